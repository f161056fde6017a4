"""Bugs in owning a partition and reading it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from stream_app.errors import Moved
from stream_app.streams.inbox import Inbox
from stream_app.streams.partition import Partition
from stream_app.streams.ports import Commit, Position
from stream_app.streams.worker import Worker
from tests.simulation.bugs.registry import bug, swap


@bug
def offset_plus_one(stack: ExitStack) -> None:
    """Reading goes on after the next record instead of at it."""
    real = Partition._start_reading

    async def start_reading(self: Partition) -> None:
        position = self._position
        self._position = replace(
            position, offsets={topic: offset + 1 for topic, offset in position.offsets.items()}
        )
        try:
            await real(self)
        finally:
            self._position = position

    swap(stack, Partition, "_start_reading", start_reading)


@bug
def lose_a_revoke(stack: ExitStack) -> None:
    """Partitions that went to somebody else are kept."""

    async def on_assigned(self: Worker, partitions: frozenset[int]) -> None:
        await self._registered.wait()
        for number in sorted(partitions):
            if number in self._partitions:
                self._partitions[number].resume()
            elif not self._stopping.is_set():
                self._add(number)
        for number, partition in self._partitions.items():
            if number not in partitions:
                partition.resume()

    swap(stack, Worker, "on_assigned", on_assigned)


@bug
def resume_without_reading(stack: ExitStack) -> None:
    """A partition that was given back is believed to go on by itself."""

    def resume(self: Partition) -> None:
        self._paused = False
        self._wake.set()

    swap(stack, Partition, "resume", resume)


@bug
def never_look(stack: ExitStack) -> None:
    """An owner believes that the store is as it left it."""

    async def check(self: Partition) -> None:
        """Nothing."""

    swap(stack, Partition, "_check_still_mine", check)


@bug
def stale_inbox(stack: ExitStack) -> None:
    """What was read before a rebalance is applied after it."""

    def clear(self: Inbox) -> None:
        self._taken()

    swap(stack, Inbox, "clear", clear)


@bug
def deaf_after_seek(stack: ExitStack) -> None:
    """Records that come before the claim is complete are passed over."""
    real = Partition.offer

    def offer(self: Partition, records: Any) -> None:
        if not getattr(self, "deaf", False):
            real(self, records)

    start = Partition._start_reading

    async def start_reading(self: Partition) -> None:
        self.deaf = True  # type: ignore[attr-defined]
        try:
            await start(self)
        finally:
            self.deaf = False  # type: ignore[attr-defined]

    swap(stack, Partition, "offer", offer)
    swap(stack, Partition, "_start_reading", start_reading)


@bug
def keep_memory(stack: ExitStack) -> None:
    """An owner that was refused claims again, but does not load the state again."""
    let_go, claim = Partition._let_go, Partition._claim

    def keep(self: Partition) -> None:
        self.kept = self._processor  # type: ignore[attr-defined]
        let_go(self)

    async def reclaim(self: Partition) -> None:
        await claim(self)
        kept = getattr(self, "kept", None)
        if kept is not None and len(kept.table):
            self._processor = kept

    swap(stack, Partition, "_let_go", keep)
    swap(stack, Partition, "_claim", reclaim)


@bug
def moved_is_fine(stack: ExitStack) -> None:
    """A commit that is refused because the partition has moved on is taken for done."""
    real = Partition._apply

    async def apply(self: Partition, commit: Commit) -> Position:
        try:
            return await real(self, commit)
        except Moved:
            return await self._context.store.position(self.number)

    swap(stack, Partition, "_apply", apply)
