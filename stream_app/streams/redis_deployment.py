"""What Redis has of the deployment as a whole, and of its generations:

    sa:deployment       string: JSON of `Deployment`
    sa:{3}:meta         hash of partition 3, of generation 0
    sa:{3}:1:meta       the same, of generation 1

So all generations of a partition lie on one node of a cluster.
"""

from __future__ import annotations

from copy import copy
from typing import Self

import msgspec

from stream_app.errors import Incompatible, Unavailable
from stream_app.streams.deployment import Deployment
from stream_app.streams.redis_calls import RedisCalls, Script

_CLEAR = Script.read("clear.lua")
_REPLACE = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[2]) return 1"
)
_CLEAR_CHUNK = 1_000
_META = ("owner", "revision", "offsets", "model", "outbox_first", "summary")
"""What a partition's hash `meta` has, but for `epoch` and `closed`."""


class RedisDeployment:
    """The part of `MovableStore` that concerns the deployment and its generations."""

    _calls: RedisCalls
    _prefix: str
    _generation = 0
    """That the calls about partitions mean."""

    def generation(self, number: int) -> Self:
        other = copy(self)
        other._generation = number
        return other

    async def register(self, partitions: int, layout: str) -> None:
        key = f"{self._prefix}:deployment"
        new = msgspec.json.encode(Deployment(partitions=partitions, layout=layout))
        await self._calls.call(key, "SET", key, new, "NX", write=True)
        stored = await self.deployed()
        if stored is None:
            raise Unavailable(f"{key} was deleted by somebody just now")
        stored.check(partitions, layout)
        self._generation = stored.generation

    async def deployment(self) -> tuple[int, str] | None:
        stored = await self.deployed()
        if stored is None:
            return None
        self._generation = stored.generation
        return stored.partitions, stored.layout

    async def deployed(self) -> Deployment | None:
        stored = await self._stored()
        return None if stored is None else stored[1]

    async def redeploy(self, expected: Deployment, changed: Deployment) -> bool:
        stored = await self._stored()
        if stored is None or stored[1] != expected:
            return False
        key, new = f"{self._prefix}:deployment", msgspec.json.encode(changed)
        return bool(await self._calls.script(_REPLACE, [key], stored[0], new))

    async def reopen(self, partition: int) -> None:
        (key,) = self._keys(partition, "meta")
        await self._calls.call(key, "HDEL", key, "closed", write=True)

    async def size(self, partition: int) -> int:
        (key,) = self._keys(partition, "state")
        return int(await self._calls.call(key, "HLEN", key))

    async def clear(self, partition: int) -> None:
        meta, outbox, *hashes = self._keys(
            partition, "meta", "outbox", "state", "profile", "names", "erased"
        )
        for key in hashes:
            cursor = b"0"
            while True:
                cursor = await self._calls.script(_CLEAR, [key], cursor, _CLEAR_CHUNK)
                if cursor == b"0":
                    break
        await self._calls.call(outbox, "LTRIM", outbox, 1, 0, write=True)
        await self._calls.call(meta, "HDEL", meta, *_META, write=True)

    async def _stored(self) -> tuple[bytes, Deployment] | None:
        """As it is written, and what it says."""
        key = f"{self._prefix}:deployment"
        stored = await self._calls.call(key, "GET", key)
        if stored is None:
            return None
        try:
            return stored, msgspec.json.decode(stored, type=Deployment)
        except msgspec.DecodeError as error:
            raise Incompatible(
                f"{key} in Redis is no deployment: {error}",
                hint="use the version of stream-app that the workers run",
            ) from None

    def _keys(self, tag: int | str, *kinds: str) -> list[str]:
        generation = f"{self._generation}:" if self._generation else ""
        return [f"{self._prefix}:{{{tag}}}:{generation}{kind}" for kind in kinds]
