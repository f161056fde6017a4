"""Deliberate bugs, to show that the simulation finds them. Nothing in `stream_app` knows of them.

Each function replaces a piece of the product for as long as the stack is open. The oracle runs
without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec

from stream_app.errors import Moved, OutcomeUnknown, Unavailable
from stream_app.features import update
from stream_app.segments.snapshot import Snapshot
from stream_app.segments.trainer import Trainer
from stream_app.streams import memory_store
from stream_app.streams.backoff import Backoff
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.models import Models
from stream_app.streams.partition import Partition
from stream_app.streams.ports import Commit, Position
from stream_app.streams.processor import Processor, Work
from stream_app.streams.relay import Relay
from stream_app.streams.training import Training
from stream_app.streams.worker import Worker

Bug = Callable[[ExitStack], None]
BUGS: dict[str, Bug] = {}
"""By name."""

_DAY_US = 86_400_000_000


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """With a bug in the product, or with none."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name](stack)
        yield


def _bug(plant: Bug) -> Bug:
    BUGS[plant.__name__.replace("_", "-")] = plant
    return plant


def _swap(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    stack.enter_context(patch.object(owner, name, new))


# The commit


@_bug
def offsets_before_state(stack: ExitStack) -> None:
    """Offsets are committed first, state and outbox after that."""
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        if work.offsets:
            nothing: Any = {"states": [], "profiles": [], "outbox": [], "samples": []}
            await real(self, replace(work, **nothing))
            work = replace(work, offsets={})
        await real(self, work)

    _swap(stack, Partition, "_commit", commit)


@_bug
def publish_before_commit(stack: ExitStack) -> None:
    """Messages go out before the state that they follow from is committed."""
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        await self._context.publisher.publish(work.outbox)
        await real(self, work)

    _swap(stack, Partition, "_commit", commit)


@_bug
def no_epoch_check(stack: ExitStack) -> None:
    """The store does not ask whose partition it is."""
    _swap(stack, memory_store._Partition, "check_epoch", lambda self, epoch: None)


@_bug
def no_revision_check(stack: ExitStack) -> None:
    """The store does not ask from where a commit goes on."""
    real = MemoryStore.commit

    async def commit(self: MemoryStore, partition: int, given: Commit) -> Position:
        at = self._partitions[partition].position
        expected = replace(at, epoch=given.expected.epoch)
        return await real(self, partition, replace(given, expected=expected))

    _swap(stack, MemoryStore, "commit", commit)


@_bug
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

    _swap(stack, Partition, "_apply", apply)


@_bug
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

    _swap(stack, Partition, "_apply", apply)


# The outbox


@_bug
def trim_before_acknowledgement(stack: ExitStack) -> None:
    """The outbox is trimmed up to what was handed to the relay."""
    real = Relay.put

    def put(self: Relay, messages: Any, outbox_next: int, *more: Any) -> None:
        real(self, messages, outbox_next, *more)
        self.acknowledged = outbox_next

    _swap(stack, Relay, "put", put)


@_bug
def forget_outbox_on_claim(stack: ExitStack) -> None:
    """A new owner does not publish what the old one left."""
    real = Partition._claim

    async def claim(self: Partition) -> None:
        await real(self)
        self._relay = self._new_relay(self._outbox_next)

    _swap(stack, Partition, "_claim", claim)


@_bug
def drop_oldest_on_failure(stack: ExitStack) -> None:
    """What could not be published is dropped."""

    async def publish(self: Relay) -> None:
        while True:
            self._more.clear()
            if not self._parcels:
                await self._more.wait()
                continue
            chunk = self._chunk()
            messages = [message for parcel in chunk for message in parcel.messages]
            try:
                await self._publisher.publish(messages)
            except Unavailable:
                chunk = chunk[:1]
                messages = list(chunk[0].messages)
            self._acknowledge(chunk, len(messages), self._clock.monotonic())

    _swap(stack, Relay, "_publish", publish)


@_bug
def letters_beside_outbox(stack: ExitStack) -> None:
    """Dead letters are published, but not through the outbox."""
    _beside_outbox(stack, "dead-letters")


@_bug
def forwards_beside_outbox(stack: ExitStack) -> None:
    """Forwarded records are published, but not through the outbox."""
    _beside_outbox(stack, "engagement")


def _beside_outbox(stack: ExitStack, topic: str) -> None:
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        beside = [m for m in work.outbox if m.topic == topic]
        kept = [m for m in work.outbox if m.topic != topic]
        await real(self, replace(work, outbox=kept, samples=[*beside, *work.samples]))

    _swap(stack, Partition, "_commit", commit)


@_bug
def clock_in_id(stack: ExitStack) -> None:
    """The id of a change tells when it was decided."""
    real = Messages._change

    def change(self: Messages, change: Any) -> Any:
        message = real(self, change)
        headers = tuple(
            (name, value + change.decided_at.encode() if name == "ce_id" else value)
            for name, value in message.headers
        )
        return msgspec.structs.replace(message, headers=headers)

    _swap(stack, Messages, "_change", change)


# Ownership and reading


@_bug
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

    _swap(stack, Partition, "_start_reading", start_reading)


@_bug
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

    _swap(stack, Worker, "on_assigned", on_assigned)


@_bug
def resume_without_reading(stack: ExitStack) -> None:
    """A partition that was given back is believed to go on by itself."""

    def resume(self: Partition) -> None:
        self._paused = False
        self._wake.set()

    _swap(stack, Partition, "resume", resume)


@_bug
def never_look(stack: ExitStack) -> None:
    """An owner believes that the store is as it left it."""

    async def check(self: Partition) -> None:
        """Nothing."""

    _swap(stack, Partition, "_check_still_mine", check)


@_bug
def stale_inbox(stack: ExitStack) -> None:
    """What was read before a rebalance is applied after it."""

    def empty(self: Partition) -> None:
        self._context.taken()

    _swap(stack, Partition, "_empty_inbox", empty)


@_bug
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

    _swap(stack, Partition, "offer", offer)
    _swap(stack, Partition, "_start_reading", start_reading)


@_bug
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

    _swap(stack, Partition, "_let_go", keep)
    _swap(stack, Partition, "_claim", reclaim)


@_bug
def moved_is_fine(stack: ExitStack) -> None:
    """A commit that is refused because the partition has moved on is taken for done."""
    real = Partition._apply

    async def apply(self: Partition, commit: Commit) -> Position:
        try:
            return await real(self, commit)
        except Moved:
            return await self._context.store.position(self.number)

    _swap(stack, Partition, "_apply", apply)


# Records, time and models


@_bug
def no_deduplication(stack: ExitStack) -> None:
    """An event counts each time that it comes."""
    real = update.is_duplicate
    _swap(stack, update, "is_duplicate", lambda *given: real(*given) & False)


@_bug
def lose_poison(stack: ExitStack) -> None:
    """A record that the engine fails on is left out without a dead letter."""
    real = Processor._split

    def split(self: Processor, records: Any) -> Any:
        return real(self, records)[0], []

    _swap(stack, Processor, "_split", split)


@_bug
def sweep_ahead(stack: ExitStack) -> None:
    """Silence is decided on before it has passed."""
    real = Processor.sweep
    due = Processor.due

    def sweep(self: Processor, until_us: int, assigner: Any, now_us: int) -> Work:
        return real(self, until_us + _DAY_US, assigner, now_us)

    _swap(stack, Processor, "sweep", sweep)
    _swap(stack, Processor, "due", lambda self, until_us, *a: due(self, until_us + _DAY_US, *a))


@_bug
def old_model_after_claim(stack: ExitStack) -> None:
    """A new owner decides with the model that it happens to have."""
    real, claim = Models.refresh, Partition._claim

    async def refresh(self: Models, **how: bool) -> None:
        if not getattr(self, "skip", False):
            await real(self, **how)

    async def careless(self: Partition) -> None:
        models: Any = self._context.models
        models.skip = True
        try:
            await claim(self)
        finally:
            models.skip = False

    _swap(stack, Models, "refresh", refresh)
    _swap(stack, Partition, "_claim", careless)


@_bug
def model_before_store(stack: ExitStack) -> None:
    """A model is published before the store has accepted its version."""
    real = Training._issue

    async def issue(self: Training, trainer: Trainer, snapshot: Snapshot) -> Snapshot | None:
        await self._publisher.publish([self._messages.model(snapshot)])
        return await real(self, trainer, snapshot)

    _swap(stack, Training, "_issue", issue)
