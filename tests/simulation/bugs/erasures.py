"""Bugs in erasing accounts and contacts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msgspec

from stream_app.control import Controls
from stream_app.features.table import FeatureTable, digest_of
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.partition import Partition
from stream_app.streams.ports import Commit, Position, Record
from stream_app.streams.processor import Pipeline, Processor, Work
from tests.simulation.bugs.outbox import beside_outbox
from tests.simulation.bugs.registry import bug, swap
from tests.simulation.constants import CONTROL


def _committed(stack: ExitStack, change: Any) -> None:
    """Change what is committed; `change` takes and returns the work."""
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        await real(self, change(work))

    swap(stack, Partition, "_commit", commit)


@bug
def state_left_behind(stack: ExitStack) -> None:
    """The state and the profile of an erased account stay in the store."""
    _committed(stack, lambda work: replace(work, removed=[]))


@bug
def profile_left_behind(stack: ExitStack) -> None:
    """The store forgets the state of an erased account, but not its profile."""
    real = MemoryStore.commit

    async def commit(self: MemoryStore, partition: int, given: Commit) -> Position:
        profiles = dict(self._partitions[partition].profiles)
        position = await real(self, partition, given)
        kept = {a: profiles[a] for a in given.removed if a in profiles}
        stored = self._partitions[partition].profiles
        stored.update({a: p for a, p in kept.items() if a not in stored})
        return position

    swap(stack, MemoryStore, "commit", commit)


@bug
def erased_in_memory_only(stack: ExitStack) -> None:
    """What remains of an erased account is not committed."""
    _committed(stack, lambda work: replace(work, erased=[]))


@bug
def claim_without_erased(stack: ExitStack) -> None:
    """A new owner does not take over what remains of erased accounts."""
    swap(stack, Processor, "remember", lambda self, erased: None)


@bug
def numbers_begin_anew(stack: ExitStack) -> None:
    """A new life counts its changes and spikes from 1."""
    real = FeatureTable._begin

    def begin(self: FeatureTable, first: int) -> None:
        real(self, first)
        self.live[first:]["sequence"] = self.live[first:]["spikes"] = 0

    swap(stack, FeatureTable, "_begin", begin)


@bug
def erase_before_the_outbox_is_empty(stack: ExitStack) -> None:
    """Erasures do not wait for what was decided of the account before."""

    async def waited(self: Partition) -> bool:
        worker = self._context.pipeline.settings.worker
        if not self._relay.full(worker.outbox_limit, worker.outbox_limit_bytes):
            return False
        await self._relay.below(worker.outbox_limit, worker.outbox_limit_bytes)
        self._wake.set()
        return True

    swap(stack, Partition, "_waited_for_the_outbox", waited)


@bug
def no_tombstone(stack: ExitStack) -> None:
    """Of an erased account, what was said last stays on `account-segments`."""
    real = Messages.of
    swap(stack, Messages, "of", lambda self, effects: real(self, replace(effects, gone=[])))


@bug
def no_last_change(stack: ExitStack) -> None:
    """That an account was erased is not published as a change."""
    real = Messages.of

    def of(self: Messages, effects: Any) -> Any:
        changes = [change for change in effects.changes if change.current is not None]
        return real(self, replace(effects, changes=changes))

    swap(stack, Messages, "of", of)


@bug
def erase_a_new_life(stack: ExitStack) -> None:
    """A control record that comes twice erases twice."""
    real = Controls._erase

    def erase(self: Controls, table: FeatureTable, event: Any, *more: Any) -> None:
        digest = digest_of(event.account_id)
        if (past := table.erased.get(digest)) is not None:
            table.erased[digest] = msgspec.structs.replace(past, by=())
        real(self, table, event, *more)

    swap(stack, Controls, "_erase", erase)


@bug
def contact_erased_in_memory_only(stack: ExitStack) -> None:
    """The account is not committed after a contact of it was erased."""
    real = Processor._apply_controls

    def apply(self: Processor, *given: Any) -> Any:
        effects, *more = real(self, *given)
        return replace(effects, touched=effects.touched[:0]), *more

    swap(stack, Processor, "_apply_controls", apply)


@bug
def controls_first(stack: ExitStack) -> None:
    """Control records are taken into the batch of the events around them, and applied first."""
    real = Processor.process

    def process(self: Processor, records: Sequence[Record], assigner: Any, now_us: int) -> Work:
        controls = [record for record in records if record.topic == CONTROL]
        events = [record for record in records if record.topic != CONTROL]
        if not controls or not events:
            return real(self, records, assigner, now_us)
        first = real(self, controls, assigner, now_us)
        then = real(self, events, assigner, now_us)
        return replace(
            then,
            offsets={**first.offsets, **then.offsets},
            states=[*first.states, *then.states],
            profiles=[*first.profiles, *then.profiles],
            removed=first.removed,
            erased=first.erased,
            outbox=[*first.outbox, *then.outbox],
        )

    swap(stack, Pipeline, "cut", lambda self, records: len(records))
    swap(stack, Processor, "process", process)


@bug
def redirects_beside_outbox(stack: ExitStack) -> None:
    """Control records with the wrong key are passed on, but not through the outbox."""
    beside_outbox(stack, CONTROL)


@bug
def address_in_the_clear(stack: ExitStack) -> None:
    """A contact's address is passed on as it came."""
    real = Messages.redirect

    def redirect(self: Messages, event: Any) -> Any:
        return msgspec.structs.replace(real(self, event), value=msgspec.json.encode(event))

    swap(stack, Messages, "redirect", redirect)
