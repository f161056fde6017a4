"""The ports as one simulated process sees them: the shared world, with faults in between.

Every call passes two points, before it reaches the world and before its answer is back. There the
process may crash, be frozen, or be told that the world is away.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from stream_app.errors import OutcomeUnknown, StreamAppError, Unavailable
from stream_app.events.instants import SECOND
from stream_app.features import silence
from stream_app.features.table import records_of
from stream_app.streams.memory_log import MemoryLog, MemoryRecord
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Claim, Commit, Listener, Message, Position, Record
from stream_app.streams.registry import Registry
from tests.simulation.constants import START_US

if TYPE_CHECKING:
    from tests.simulation.world import Worker, World

T = TypeVar("T")

_LOAD_CHUNK = 2
_LONG_AGO = 2.0
_CUT_OFF_SECONDS = 0.4
"""How long a call takes to notice that the world is away."""


class Member(MemoryLog):
    """A member of the group, with the same place in sets in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number

    __eq__ = object.__eq__


class Clock:
    """The wall clock of one process, which can be wrong."""

    def __init__(self, world: World) -> None:
        self._wrong_us = self._before_us = 0
        self._jumped = -_LONG_AGO
        self._loop, self._speed = world.loop, world.plan.us_per_second

    def now_us(self) -> int:
        return START_US + round(self._loop.now * self._speed) + self._wrong_us

    def jump(self, us: int) -> None:
        """Be more wrong than before."""
        self._before_us, self._jumped = self._wrong_us, self._loop.now
        self._wrong_us += us

    def lately_us(self) -> int:
        """The latest that it may have shown a moment ago."""
        if self._loop.now - self._jumped > _LONG_AGO:
            return self.now_us()
        return self.now_us() + max(self._before_us - self._wrong_us, 0)

    def monotonic(self) -> float:
        return self._loop.now


class Store:
    """`StateStore` of one process."""

    def __init__(self, process: Worker) -> None:
        self._process, self._world = process, process.world
        self._ledger = process.world.ledger
        self._store = process.world.ledger.store
        self._seen: dict[int, tuple[Commit, tuple[MemoryRecord, ...] | None]] = {}
        """The commit last tried per partition and its records: another try is the same."""
        self._models: dict[int, bytes] = {}

    async def start(self) -> None:
        await self._world.point(self._process, "connect", "before")

    async def stop(self) -> None:
        """Nothing to close."""

    async def register(self, partitions: int, layout: str) -> None:
        await self._call("register", lambda: self._store.register(partitions, layout))

    async def deployment(self) -> tuple[int, str] | None:
        return await self._call("deployment", self._store.deployment)

    async def claim(self, partition: int, owner: str) -> Claim:
        return await self._write(
            "claim", lambda: self._ledger.claim(self._process, partition, owner)
        )

    async def load(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        async for items in self._store.load(partition):
            for start in range(0, len(items), _LOAD_CHUNK):
                yield await self._call(
                    "load",
                    lambda: _now(items[start : start + _LOAD_CHUNK]),  # noqa: B023
                )

    async def position(self, partition: int) -> Position:
        return await self._call("position", lambda: self._store.position(partition))

    async def commit(self, partition: int, commit: Commit) -> Position:
        seen = self._seen.get(partition)
        if seen is None or seen[0] is not commit:
            records = self._process.log.between(partition, commit.expected.offsets, commit.offsets)
            seen = self._seen[partition] = commit, records
            if not records and commit.states:
                self._check_sweep(partition, commit)
        records, models = seen[1], self._models
        return await self._write(
            "commit",
            lambda: self._ledger.commit(self._process, partition, commit, records, models),
        )

    def _check_sweep(self, partition: int, commit: Commit) -> None:
        """Silence must not be decided on before it has passed, by the worker's own clock."""
        worker = self._world.settings.worker
        until_us = self._process.clock.lately_us() - round(worker.sweep_grace_seconds * SECOND)
        stored = self._store._partitions[partition].states
        for account, state in commit.states:
            before, after = (_decided_until(s) for s in (stored.get(account, state), state))
            if after > max(before, until_us):
                self._world.violate(f"{self._process} takes {account} for silent too early")

    async def trim(self, partition: int, epoch: int, outbox_first: int) -> None:
        await self._write(
            "trim", lambda: self._ledger.trim(self._process, partition, epoch, outbox_first)
        )

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        return await self._call("account", lambda: self._store.account(partition, account_id))

    async def summaries(self, partitions: int) -> list[bytes]:
        return await self._call("summaries", lambda: self._store.summaries(partitions))

    async def registry(self) -> Registry:
        return await self._call("registry", self._store.registry)

    async def update_registry(self, *registries: Registry, **written: Any) -> bool:
        return await self._write(
            "update_registry", lambda: self._store.update_registry(*registries, **written)
        )

    async def snapshot(self, version: int | None = None) -> tuple[int, bytes] | None:
        found = await self._call("snapshot", lambda: self._store.snapshot(version))
        if found is not None:
            self._models[found[0]] = found[1]
        return found

    async def trainer_checkpoint(self) -> bytes | None:
        return await self._call("trainer_checkpoint", self._store.trainer_checkpoint)

    async def save_trainer_checkpoint(self, trainer: bytes) -> None:
        await self._write(
            "save_trainer_checkpoint", lambda: self._store.save_trainer_checkpoint(trainer)
        )

    async def _call(self, op: str, apply: Callable[[], Awaitable[T]]) -> T:
        """A call that may be repeated: it fails or it does not."""
        process, world = self._process, self._world
        fault = await world.point(process, op, "before")
        if world.store_away(process):
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the store is away")
        if fault is not None and fault.kind in ("store-refused", "store-unknown"):
            raise Unavailable("the store did not answer")
        result = await apply()
        await world.point(process, op, "after")
        if world.store_away(process):
            raise Unavailable("the store did not answer")
        return result

    async def _write(self, op: str, apply: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """A call of which it may stay unknown whether it was applied."""
        process, world = self._process, self._world
        try:
            fault = await world.point(process, op, "before")
        except CancelledError:
            # It was on its way, or it was not.
            if world.random.random() < 0.5:
                world.later(world.random.random() * 2.0, apply)
            raise
        if world.store_away(process):
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the store is away")
        if fault is not None and fault.kind == "store-refused":
            raise Unavailable("the store is busy")
        if fault is not None and fault.kind == "store-unknown":
            if fault.variant == "applied":
                await apply()
            elif fault.variant == "applied late":
                world.later(fault.seconds, apply)
            raise OutcomeUnknown(f"{op}: no answer")
        try:
            result = await apply()
        except StreamAppError:
            await world.point(process, op, "after")
            raise
        await world.point(process, op, "after")
        if world.store_away(process):
            raise OutcomeUnknown(f"{op}: no answer")
        return result


def _decided_until(state: bytes) -> int:
    return int(silence.as_of(records_of([""], [state]))[0])


async def _now(value: T) -> T:
    return value


class Log:
    """`EventLog` of one process, and the listener that its member of the group tells."""

    def __init__(self, process: Worker) -> None:
        world = process.world
        self._process, self._world = process, world
        self.member = Member(world.broker, "workers", world.consumed)
        self.member.number = world.next_number()
        self.is_member = False
        """Whether it has a session that can expire."""
        self._listener: Listener | None = None
        self._given: dict[int, list[MemoryRecord]] = {}
        """What was read since the last `seek`, by partition."""

    @property
    def topics(self) -> tuple[str, ...]:
        return self.member.topics

    def between(
        self, partition: int, start: Mapping[str, int], end: Mapping[str, int]
    ) -> tuple[MemoryRecord, ...] | None:
        """The records from `start` to `end` in the order in which they were read, or None."""
        found = tuple(
            record
            for record in self._given.get(partition, ())
            if start.get(record.topic, 0) <= record.offset < end.get(record.topic, 0)
        )
        wanted = sum(offset - start.get(topic, 0) for topic, offset in end.items())
        return found if len(found) == wanted else None

    async def start(self, listener: Listener) -> int:
        self._listener = listener
        await self._world.point(self._process, "join", "before")
        if self._world.log_away(self._process):
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the log is away")
        self.is_member = True
        return await self._outside(self.member.start(self))

    async def stop(self) -> None:
        await self._outside(self.member.stop())

    async def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        await self._world.point(self._process, "poll", "before")
        if self._world.log_away(self._process):
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the log is away")
        batches = await self.member.poll(max_records, timeout_seconds)
        # Nothing may suspend between reading and handing over, as with the real log.
        for partition, records in batches.items():
            self._given.setdefault(partition, []).extend(records)  # type: ignore[arg-type]
        return batches

    async def seek(self, partition: int, offsets: Mapping[str, int]) -> dict[str, int]:
        await self._world.point(self._process, "seek", "before")
        if self._world.log_away(self._process):
            self.pause(partition)
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the log is away")
        self._given[partition] = []
        used = await self.member.seek(partition, offsets)
        await self._world.point(self._process, "seek", "after")
        return used

    def pause(self, partition: int) -> None:
        if not self._process.dead:
            self.member.pause(partition)

    async def end_offsets(self, partition: int) -> dict[str, int]:
        await self._world.point(self._process, "end_offsets", "before")
        if self._world.log_away(self._process):
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the log is away")
        return await self.member.end_offsets(partition)

    def show_progress(self, partition: int, offsets: Mapping[str, int]) -> None:
        if not self._process.dead and not self._world.log_away(self._process):
            self.member.show_progress(partition, offsets)

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """Called by the group, in its own context."""
        assert self._listener is not None
        await self._tell(self._listener.on_revoked, partitions)

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """Called by the group, in its own context."""
        assert self._listener is not None
        await self._tell(self._listener.on_assigned, partitions)

    async def _tell(
        self,
        call: Callable[[frozenset[int]], Coroutine[Any, Any, None]],
        partitions: frozenset[int],
    ) -> None:
        process, world = self._process, self._world
        if (cut_off := process.log_away_until - world.loop.now) > 0:
            await asyncio.sleep(cut_off)
        if not process.dead:
            task = world.loop.create_task(call(partitions), context=process.context)
            await asyncio.wait({task})
            if not process.dead:
                task.result()
                return
        # The dead do not answer; the group goes on when their session has expired.
        await world.loop.create_future()

    async def _outside(self, call: Coroutine[Any, Any, T]) -> T:
        """Carry out a call in the world's context: what it starts survives this process."""
        if self._process.dead:
            call.close()
            raise CancelledError
        return await self._world.loop.create_task(call, context=self._world.context)


class Publisher:
    """`Publisher` of one process."""

    def __init__(self, process: Worker) -> None:
        self._process, self._world = process, process.world
        self._in_flight: list[Sequence[Message]] = []
        """Given up by the caller, but still on the wire: appended before anything later."""

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def publish(self, messages: Sequence[Message]) -> None:
        process, world = self._process, self._world
        try:
            fault = await world.point(process, "publish", "before")
        except CancelledError:
            if world.random.random() < 0.5:
                self._in_flight.append(messages)
                world.soon(world.random.random() * 2.0, self._flush)
            raise
        self._flush()
        if world.log_away(process):
            await asyncio.sleep(_CUT_OFF_SECONDS)
            raise Unavailable("the log is away")
        if fault is not None and fault.kind == "log-unsent":
            if fault.variant == "a part":
                self._append(self._part(messages))
            elif fault.variant == "everything":
                self._append(messages)
            raise Unavailable("not acknowledged in time")
        self._append(messages)
        await world.point(process, "publish", "after")
        if world.log_away(process):
            raise Unavailable("not acknowledged in time")

    def _part(self, messages: Sequence[Message]) -> list[Message]:
        """What has arrived when some of the partitions' leaders did not answer."""
        leaders: dict[tuple[str, int], bool] = {}
        part = []
        for message in messages:
            place = message.topic, partition_of(message.key or b"", 2)
            if place not in leaders:
                leaders[place] = self._world.random.random() < 0.5
            if leaders[place]:
                part.append(message)
        return part

    def _flush(self) -> None:
        in_flight, self._in_flight = self._in_flight, []
        for messages in in_flight:
            self._append(messages, given_up=True)

    def _append(self, messages: Sequence[Message], *, given_up: bool = False) -> None:
        self._world.append(self._process, messages, given_up=given_up)
