"""Bugs in the commit."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from stream_app.errors import OutcomeUnknown, Unavailable
from stream_app.streams import memory_store
from stream_app.streams.backoff import Backoff
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.partition import Partition
from stream_app.streams.ports import Commit, Position
from stream_app.streams.processor import Work
from tests.simulation.bugs.registry import bug, swap


@bug
def offsets_before_state(stack: ExitStack) -> None:
    """Offsets are committed first, state and outbox after that."""
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        if work.offsets:
            nothing: Any = {"states": [], "profiles": [], "outbox": [], "samples": []}
            await real(self, replace(work, **nothing))
            work = replace(work, offsets={})
        await real(self, work)

    swap(stack, Partition, "_commit", commit)


@bug
def publish_before_commit(stack: ExitStack) -> None:
    """Messages go out before the state that they follow from is committed."""
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        await self._context.publisher.publish(work.outbox)
        await real(self, work)

    swap(stack, Partition, "_commit", commit)


@bug
def no_epoch_check(stack: ExitStack) -> None:
    """The store does not ask whose partition it is."""
    swap(stack, memory_store._Partition, "check_epoch", lambda self, epoch: None)


@bug
def no_revision_check(stack: ExitStack) -> None:
    """The store does not ask from where a commit goes on."""
    real = MemoryStore.commit

    async def commit(self: MemoryStore, partition: int, given: Commit) -> Position:
        at = self._partitions[partition].position
        expected = replace(at, epoch=given.expected.epoch)
        return await real(self, partition, replace(given, expected=expected))

    swap(stack, MemoryStore, "commit", commit)


@bug
def unknown_is_applied(stack: ExitStack) -> None:
    """A commit without an answer is taken for applied."""

    async def apply(self: Partition, commit: Commit) -> Position:
        backoff = Backoff()
        while True:
            try:
                return await self._context.store.commit(self.number, commit)
            except OutcomeUnknown:
                return replace(
                    commit.expected,
                    revision=commit.expected.revision + 1,
                    offsets=dict(commit.offsets),
                )
            except Unavailable:
                await backoff.wait()

    swap(stack, Partition, "_apply", apply)


@bug
def unknown_is_not_applied(stack: ExitStack) -> None:
    """A commit without an answer is taken for not applied: the batch is left out of memory, and
    its records are computed again from where this owner believes the partition to be."""

    async def apply(self: Partition, commit: Commit) -> Position:
        backoff = Backoff()
        while True:
            try:
                return await self._context.store.commit(self.number, commit)
            except OutcomeUnknown:
                await backoff.wait()
                stored = await self._context.store.position(self.number)
                # "Somebody else's numbers": take them over and write on top.
                commit = replace(
                    commit, expected=stored, outbox=list(commit.outbox), states=list(commit.states)
                )
            except Unavailable:
                await backoff.wait()

    swap(stack, Partition, "_apply", apply)
