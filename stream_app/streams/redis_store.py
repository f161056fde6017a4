"""The state store in Redis 6.2 or newer, one server or a Redis Cluster.

Keys of partition 3 with the prefix `sa`; the braces make a cluster keep them together:

    sa:{3}:meta      hash: epoch, owner, revision, offsets (JSON), model, outbox_first, summary
    sa:{3}:state     hash: account id -> packed state
    sa:{3}:profile   hash: account id -> JSON
    sa:{3}:outbox    list: entries; the first has the index outbox_first
    sa:{3}:names     hash: topic hash -> topic name
    sa:{3}:erased    hash: digest of an account id -> JSON, what remains of it
    sa:deployment    string: JSON with partitions and layout

and what `redis_models.py` keeps of the model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import chain
from typing import NoReturn

import msgspec

from stream_app.errors import Fenced, Incompatible, Moved, Unavailable
from stream_app.settings import RedisSettings
from stream_app.streams.ports import Claim, Commit, Position
from stream_app.streams.redis_arrays import array
from stream_app.streams.redis_calls import RedisCalls, Script
from stream_app.streams.redis_models import RedisModels

_COMMIT = Script.read("commit.lua")
_CLAIM = Script.read("claim.lua")
_TRIM = Script.read("trim.lua")
_CHECK = Script.read("check.lua")
_ACCOUNT = Script(
    "return {redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[2], ARGV[1])}"
)

_OUTBOX_CHUNK = 250  # entries per call; an entry may be a dead letter of some 100 KB


class _Deployment(msgspec.Struct):
    partitions: int
    layout: str


class RedisStore(RedisModels):
    """`StateStore` in Redis. Several stores, in one process or in many, share one prefix."""

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__(RedisCalls(settings), settings.prefix)
        self._load_chunk = settings.load_chunk

    async def start(self) -> None:
        """Connect and look whether this Redis will do. Besides what the port names, raises
        `ConfigError` when Redis refuses the user, or one of the commands that are needed."""
        await self._calls.call(self._prefix, "PING")
        info = _info(await self._calls.call(self._prefix, "INFO", "memory"))
        policy = info.get("maxmemory_policy", "noeviction")
        if info.get("maxmemory", "0") != "0" and policy != "noeviction":
            raise Incompatible(
                f"Redis has a memory limit and the policy {policy}, so it may drop state",
                hint="set maxmemory-policy to noeviction",
            )
        keys = [f"{self._prefix}:{{check}}:hash", f"{self._prefix}:{{check}}:list"]
        await self._calls.script(_CHECK, keys, array(["ok"]))

    async def stop(self) -> None:
        await self._calls.stop()

    async def register(self, partitions: int, layout: str) -> None:
        key = f"{self._prefix}:deployment"
        new = msgspec.json.encode(_Deployment(partitions, layout))
        await self._calls.call(key, "SET", key, new, "NX", write=True)
        stored = await self.deployment()
        if stored is None:
            raise Unavailable(f"{key} was deleted by somebody just now")
        if stored != (partitions, layout):
            raise Incompatible(
                f"the state was made for {stored[0]} partitions and layout {stored[1]}, "
                f"not for {partitions} and {layout}",
                hint="bring the topics back to that count, or start under a new prefix and group",
            )

    async def deployment(self) -> tuple[int, str] | None:
        key = f"{self._prefix}:deployment"
        stored = await self._calls.call(key, "GET", key)
        if stored is None:
            return None
        deployment = msgspec.json.decode(stored, type=_Deployment)
        return deployment.partitions, deployment.layout

    async def claim(self, partition: int, owner: str) -> Claim:
        keys = self._keys(partition, "meta", "names")
        meta, names = await self._calls.script(_CLAIM, keys, owner)
        position = _position(meta)
        outbox: list[bytes] = []
        (key,) = self._keys(partition, "outbox")
        while True:
            last = len(outbox) + _OUTBOX_CHUNK - 1
            chunk = await self._calls.call(key, "LRANGE", key, len(outbox), last)
            outbox += chunk
            if len(chunk) < _OUTBOX_CHUNK:
                break
        summary = await self._calls.call(keys[0], "HGET", keys[0], "summary")
        erased = [pair async for chunk in self._scan(partition, "erased") for pair in chunk]
        if (outbox or erased) and await self.position(partition) != position:
            raise Fenced(f"partition {partition} was claimed again while it was being claimed")
        return Claim(position, tuple(outbox), _names(names), dict(erased), summary or b"")

    def load(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        return self._scan(partition, "state")

    async def _scan(self, partition: int, kind: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        (key,) = self._keys(partition, kind)
        cursor = b"0"
        while True:
            cursor, flat = await self._calls.call(
                key, "HSCAN", key, cursor, "COUNT", self._load_chunk
            )
            if flat:
                pairs = zip(flat[::2], flat[1::2], strict=True)
                yield [(field.decode(), value) for field, value in pairs]
            if cursor == b"0":
                return

    async def position(self, partition: int) -> Position:
        (key,) = self._keys(partition, "meta")
        fields = ("epoch", "revision", "offsets", "model", "outbox_first")
        return _position(await self._calls.call(key, "HMGET", key, *fields))

    async def commit(self, partition: int, commit: Commit) -> Position:
        expected = commit.expected
        revision = expected.revision + 1
        code, detail = await self._calls.script(
            _COMMIT,
            self._keys(partition, "meta", "state", "profile", "outbox", "names", "erased"),
            *(expected.epoch, expected.revision, _offsets(expected.offsets)),
            *(revision, _offsets(commit.offsets), commit.model_version, commit.outbox_first),
            commit.summary,
            array(chain.from_iterable(commit.states)),
            array(chain.from_iterable(commit.profiles)),
            array(commit.removed),
            array(commit.outbox),
            array(chain.from_iterable((str(code), name) for code, name in commit.names)),
            array(chain.from_iterable(commit.erased)),
        )
        if code != b"OK":
            _refused(partition, expected.epoch, code, detail)
        return Position(
            epoch=expected.epoch,
            revision=revision,
            offsets=dict(commit.offsets),
            model_version=commit.model_version,
            outbox_first=int(detail),
        )

    async def trim(self, partition: int, epoch: int, outbox_first: int) -> None:
        keys = self._keys(partition, "meta", "outbox")
        code, detail = await self._calls.script(_TRIM, keys, epoch, outbox_first)
        if code != b"OK":
            _refused(partition, epoch, code, detail)

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        keys = self._keys(partition, "state", "profile")
        state, profile = await self._calls.script(_ACCOUNT, keys, account_id, write=False)
        return state, profile

    async def profiles(self, partition: int, accounts: Sequence[str]) -> list[bytes | None]:
        if not accounts:
            return []
        (key,) = self._keys(partition, "profile")
        found: list[bytes | None] = await self._calls.call(key, "HMGET", key, *accounts)
        return found

    async def outbox_length(self, partition: int) -> int:
        (key,) = self._keys(partition, "outbox")
        return int(await self._calls.call(key, "LLEN", key))

    async def names(self, partition: int) -> dict[int, str]:
        (key,) = self._keys(partition, "names")
        return _names(await self._calls.call(key, "HGETALL", key))

    async def erased(self, partition: int, digest: str) -> bytes | None:
        (key,) = self._keys(partition, "erased")
        stored: bytes | None = await self._calls.call(key, "HGET", key, digest)
        return stored

    async def summaries(self, partitions: int) -> list[bytes]:
        keys = [self._keys(partition, "meta")[0] for partition in range(partitions)]
        return [await self._calls.call(key, "HGET", key, "summary") or b"" for key in keys]

    def _keys(self, tag: int | str, *kinds: str) -> list[str]:
        return [f"{self._prefix}:{{{tag}}}:{kind}" for kind in kinds]


def _position(fields: Sequence[bytes | None]) -> Position:
    epoch, revision, offsets, model, outbox_first = fields
    return Position(
        epoch=int(epoch or 0),
        revision=int(revision or 0),
        offsets=msgspec.json.decode(offsets or b"{}", type=dict[str, int]),
        model_version=int(model or 0),
        outbox_first=int(outbox_first or 0),
    )


def _offsets(offsets: Mapping[str, int]) -> bytes:
    """The stored form. Sorted, because the script compares it byte by byte."""
    return msgspec.json.encode(dict(offsets), order="deterministic")


def _refused(partition: int, epoch: int, code: bytes, detail: bytes) -> NoReturn:
    if code == b"FENCED":
        raise Fenced(f"partition {partition} has epoch {int(detail)}, mine is {epoch}")
    raise Moved(f"partition {partition} is not where this owner left it: it has {detail.decode()}")


def _info(answer: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in answer.decode().splitlines())
    return {name: value for name, separator, value in lines if separator}


def _names(flat: Sequence[bytes]) -> dict[int, str]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {int(code): name.decode() for code, name in pairs}
