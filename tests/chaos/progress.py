"""How far the partitions are, as Redis has it: who owns them, and when they commit again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.setup import PARTITIONS

_POLL_SECONDS = 0.02
_FIELDS = ("epoch", "revision", "owner", "offsets")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a partition stands."""

    epoch: int
    revision: int
    owner: str
    offsets: Mapping[str, int]


@dataclass
class Recovery:
    """Partitions that a fault struck, and how long each took to commit again."""

    partitions: frozenset[int]
    since: float
    """Monotonic seconds of the fault."""
    before: dict[int, Mark]
    """A commit beyond this one is new."""
    by_new_owner: bool = False
    """Only a commit under another epoch counts: the old owner may have one under way. May change
    while the recovery is waited for."""
    seconds: dict[int, float] | None = None
    away_seconds: float = 0.0
    """How much of it the server that was struck did not answer."""

    def notice(self, marks: Mapping[int, Mark], now: float) -> bool:
        """Take note of the marks; whether all partitions have recovered."""
        self.seconds = {} if self.seconds is None else self.seconds
        for partition in self.partitions - self.seconds.keys():
            mark, before = marks[partition], self.before[partition]
            if self.by_new_owner and mark.epoch == before.epoch:
                self.before[partition] = mark
            elif mark.revision > before.revision:
                self.seconds[partition] = now - self.since
        return len(self.seconds) == len(self.partitions)


class Progress:
    """Asks Redis again and again. While Redis is away, what was known stays."""

    def __init__(self, url: str, prefix: str) -> None:
        self.marks: dict[int, Mark] = {}
        self.redis = Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self._prefix = prefix
        self._changed = asyncio.Condition()
        self._closing = False

    async def watch(self) -> None:
        """Ask until `close`. Never to be cancelled: while a connection breaks, redis-py may take
        the cancellation for a failure of the connection."""
        while not self._closing:
            try:
                marks = await self.read()
            except (RedisError, OSError):
                pass
            else:
                async with self._changed:
                    self.marks = marks
                    self._changed.notify_all()
            await asyncio.sleep(_POLL_SECONDS)

    async def read(self, *also: tuple[Any, ...]) -> dict[int, Mark]:
        """All partitions, in one transaction together with further commands."""
        async with self.redis.pipeline(transaction=True) as pipe:
            for partition in range(PARTITIONS):
                pipe.hmget(self.key(partition, "meta"), *_FIELDS)
            for command in also:
                pipe.execute_command(*command)
            rows = await pipe.execute()
        return {partition: _mark(rows[partition]) for partition in range(PARTITIONS)}

    async def read_at_last(self, *also: tuple[Any, ...]) -> dict[int, Mark]:
        """The same; while Redis is away, again and again."""
        while True:
            try:
                return await self.read(*also)
            except (RedisError, OSError):
                await asyncio.sleep(_POLL_SECONDS)

    async def close(self, watching: asyncio.Task[None]) -> None:
        """End `watch`, and disconnect."""
        self._closing = True
        await watching
        await self.redis.aclose()

    def key(self, partition: int, kind: str) -> str:
        """Name of a key of a partition."""
        return f"{self._prefix}:{{{partition}}}:{kind}"

    def owned_by(self, owner: str) -> frozenset[int]:
        """Partitions that this worker claimed last."""
        return frozenset(p for p, mark in self.marks.items() if mark.owner == owner)

    async def recovered(self, recovery: Recovery, timeout_seconds: float) -> bool:
        """Wait until each of its partitions has committed anew. False: it took too long."""
        return await self._until(lambda: recovery.notice(self.marks, monotonic()), timeout_seconds)

    async def all_own(self, owners: Collection[str], timeout_seconds: float) -> bool:
        """Wait until each of these workers owns a partition, and nobody else does."""
        return await self._until(
            lambda: {mark.owner for mark in self.marks.values()} == set(owners), timeout_seconds
        )

    async def _until(self, holds: Any, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            return False
        return True


def _mark(row: list[bytes | None]) -> Mark:
    epoch, revision, owner, offsets = row
    return Mark(
        int(epoch or 0),
        int(revision or 0),
        (owner or b"").decode(),
        msgspec.json.decode(offsets or b"{}"),
    )
