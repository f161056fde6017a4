"""The state store in Redis 6.2 or newer, one server or a Redis Cluster.

Keys of partition 3 with the prefix `sa`; the braces make a cluster keep them together:

    sa:{3}:meta      hash: epoch, owner, revision, offsets (JSON), model, outbox_first, summary,
                           closed
    sa:{3}:state     hash: account id -> packed state
    sa:{3}:profile   hash: account id -> JSON, compressed (`redis_profiles.py`)
    sa:{3}:outbox    list: entries; the first has the index outbox_first
    sa:{3}:names     hash: topic hash -> topic name
    sa:{3}:erased    hash: digest of an account id -> JSON, what remains of it

and what `redis_deployment.py` keeps of the deployment and `redis_models.py` of the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from stream_app.errors import Fenced, Incompatible, Moved, Unavailable
from stream_app.settings import RedisSettings
from stream_app.streams.deployment import closed
from stream_app.streams.ports import Claim, Commit, Position
from stream_app.streams.redis_arguments import arguments, pairs
from stream_app.streams.redis_calls import RedisCalls, Script
from stream_app.streams.redis_connections import Command
from stream_app.streams.redis_deployment import RedisDeployment
from stream_app.streams.redis_models import RedisModels
from stream_app.streams.redis_profiles import compress, decompress

_LOOK = Script.read("look.lua")
_CLAIM = Script.read("claim.lua")
_TRIM = Script.read("trim.lua")
_CHECK = Script.read("check.lua")
_NOTHING = Script("return 0")
_ACCOUNT = Script(
    "return {redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[2], ARGV[1])}"
)

_POSITION = ("epoch", "revision", "offsets", "model", "outbox_first")
_TRIES = 5  # of a commit, when a key changes between look and write; a trim is the only reason
_PROFILES_AT_ONCE = 1_000  # compressed within 5 ms; then whatever else shares the loop has its turn
_OUTBOX_CHUNK = 250  # entries per call; an entry may be a dead letter of some 100 KB


class RedisStore(RedisDeployment, RedisModels):
    """`MovableStore` in Redis. Several stores, in one process or in many, share one prefix."""

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
        await self._use_everything()

    async def _use_everything(self) -> None:
        """Use every command that a script or a commit uses, on keys of its own, and leave nothing.
        What lacks a right half-way would leave half of its work, so this runs at the start."""
        kept, listed = (f"{self._prefix}:{{check}}:{kind}" for kind in ("hash", "list"))
        await self._calls.script(_CHECK, [kept, listed])
        writes: list[Command] = [
            *(("HSET", kept, "field", 0), ("HDEL", kept, "field")),
            *(("RPUSH", listed, "entry"), ("LTRIM", listed, 1, 0)),
        ]
        # Redis looks at rights before it knows whether others changed these keys meanwhile.
        await self._calls.transaction(_NOTHING, [kept, listed], lambda _: writes)

    async def stop(self) -> None:
        await self._calls.stop()

    async def claim(self, partition: int, owner: str) -> Claim:
        return await self._claim(partition, owner, "")

    async def close(self, partition: int, owner: str) -> Claim:
        return await self._claim(partition, owner, "close")

    async def _claim(self, partition: int, owner: str, close: str) -> Claim:
        keys = self._keys(partition, "meta", "names")
        answer = await self._calls.script(_CLAIM, keys, owner, close)
        if answer == b"CLOSED":
            raise closed(partition)
        meta, names = answer
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
        """All fields of a hash. While a chunk is worked on, Redis looks for the next one."""
        (key,) = self._keys(partition, kind)

        def ask(cursor: bytes) -> asyncio.Future[Any]:
            call = self._calls.call(key, "HSCAN", key, cursor, "COUNT", self._load_chunk)
            return asyncio.ensure_future(call)

        asked, cursor = ask(b"0"), b""
        try:
            while cursor != b"0":
                cursor, flat = await asked
                if cursor != b"0":
                    asked = ask(cursor)
                if flat:
                    found = zip(flat[::2], flat[1::2], strict=True)
                    yield [(field.decode(), value) for field, value in found]
        finally:  # who leaves early does not want to know what became of it
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def position(self, partition: int) -> Position:
        (key,) = self._keys(partition, "meta")
        return _position(await self._calls.call(key, "HMGET", key, *_POSITION))

    async def commit(self, partition: int, commit: Commit) -> Position:
        """By a transaction, and not by a script: to get at many arguments costs a script several
        times what writing them does."""
        keys = self._keys(partition, "meta", "state", "profile", "outbox", "names", "erased")
        meta, state, profile, outbox, names, erased = keys
        removed, entries = arguments(commit.removed), arguments(commit.outbox)
        writes: list[Command] = [
            ("HDEL", state, removed),
            ("HDEL", profile, removed),
            ("HSET", state, pairs(commit.states)),
            ("HSET", profile, pairs(await _compressed(commit.profiles))),
            ("HSET", names, pairs([(str(code), name) for code, name in commit.names])),
            ("HSET", erased, pairs(commit.erased)),
            ("RPUSH", outbox, entries),
        ]
        writes = [command for command in writes if command[-1]]
        committed = commit.expected

        def decide(found: Any) -> list[Command]:
            nonlocal committed
            stored, entries_stored = _position(found[0]), int(found[1])
            committed = _after(partition, commit, stored, entries_stored)
            passed = committed.outbox_first - stored.outbox_first
            trim: list[Command] = [("LTRIM", outbox, passed, -1)] if passed else []
            summary = ("summary", commit.summary) if commit.summary else ()
            return [*trim, *writes, ("HSET", meta, *_fields(committed), *summary)]

        for _ in range(_TRIES):
            if await self._calls.transaction(_LOOK, keys, decide):
                return committed
        raise Unavailable(
            f"partition {partition} is written to by others all the time, though nobody claims it",
            hint="find out which other program uses keys under this prefix",
        )

    async def trim(self, partition: int, epoch: int, outbox_first: int) -> None:
        keys = self._keys(partition, "meta", "outbox")
        code, detail = await self._calls.script(_TRIM, keys, epoch, outbox_first)
        if code != b"OK":
            _refused(partition, epoch, code, detail)

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        keys = self._keys(partition, "state", "profile")
        state, profile = await self._calls.script(_ACCOUNT, keys, account_id, write=False)
        return state, profile and decompress(profile)

    async def profiles(self, partition: int, accounts: Sequence[str]) -> list[bytes | None]:
        if not accounts:
            return []
        (key,) = self._keys(partition, "profile")
        found: list[bytes | None] = await self._calls.call(key, "HMGET", key, *accounts)
        return [profile and decompress(profile) for profile in found]

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


async def _compressed(profiles: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    while len(found) < len(profiles):
        if found:
            await asyncio.sleep(0)
        part = profiles[len(found) : len(found) + _PROFILES_AT_ONCE]
        found += [(account, compress(profile)) for account, profile in part]
    return found


def _position(fields: Sequence[bytes | None]) -> Position:
    epoch, revision, offsets, model, outbox_first = fields
    return Position(
        epoch=int(epoch or 0),
        revision=int(revision or 0),
        offsets=msgspec.json.decode(offsets or b"{}", type=dict[str, int]),
        model_version=int(model or 0),
        outbox_first=int(outbox_first or 0),
    )


def _after(partition: int, commit: Commit, stored: Position, entries: int) -> Position:
    """The position after `commit` where now is `stored`, with so many entries in the outbox."""
    expected = commit.expected
    if stored.epoch != expected.epoch or not stored.epoch:
        raise _fenced(partition, stored.epoch, expected.epoch)
    if stored.revision != expected.revision:
        raise _moved(partition, f"revision {stored.revision}")
    if stored.offsets != dict(expected.offsets):
        raise _moved(partition, f"offsets {_offsets(stored.offsets).decode()}")
    # A trim may have run since the caller read outbox_first: the larger of the two holds.
    first = max(stored.outbox_first, commit.outbox_first)
    if first > (end := stored.outbox_first + entries):
        raise _moved(partition, f"outbox end {end}")
    return Position(
        epoch=expected.epoch,
        revision=expected.revision + 1,
        offsets=dict(commit.offsets),
        model_version=commit.model_version,
        outbox_first=first,
    )


def _fields(position: Position) -> tuple[str | int | bytes, ...]:
    """What a commit writes of a position: names and values in turn."""
    return (
        *("revision", position.revision, "offsets", _offsets(position.offsets)),
        *("model", position.model_version, "outbox_first", position.outbox_first),
    )


def _offsets(offsets: Mapping[str, int]) -> bytes:
    """The stored form, sorted."""
    return msgspec.json.encode(dict(offsets), order="deterministic")


def _refused(partition: int, epoch: int, code: bytes, detail: bytes) -> NoReturn:
    if code == b"FENCED":
        raise _fenced(partition, int(detail), epoch)
    raise _moved(partition, detail.decode())


def _fenced(partition: int, stored: int, mine: int) -> Fenced:
    return Fenced(f"partition {partition} has epoch {stored}, mine is {mine}")


def _moved(partition: int, stored: str) -> Moved:
    return Moved(f"partition {partition} is not where this owner left it: it has {stored}")


def _info(answer: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in answer.decode().splitlines())
    return {name: value for name, separator, value in lines if separator}


def _names(flat: Sequence[bytes]) -> dict[int, str]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {int(code): name.decode() for code, name in pairs}
