"""The owner of one partition: claims it, applies its records, commits, publishes, lets go.

The commit protocol (docs/guarantees.md): everything a step leads to is written in one atomic commit
that is refused unless the epoch, the revision and the offsets are those this owner last saw. Only
then are messages published, and only when Kafka has acknowledged them are they trimmed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec

from stream_app.changes.types import SegmentChange
from stream_app.errors import (
    ConfigError,
    Fenced,
    Incompatible,
    Moved,
    OutcomeUnknown,
    StreamAppError,
    Unavailable,
)
from stream_app.events.instants import SECOND
from stream_app.streams.backoff import Backoff
from stream_app.streams.inbox import Inbox, size_of
from stream_app.streams.metrics import Metrics
from stream_app.streams.models import Models
from stream_app.streams.pace import Pace
from stream_app.streams.ports import (
    Claim,
    Clock,
    Commit,
    EventLog,
    Message,
    Position,
    Publisher,
    Record,
    StateStore,
)
from stream_app.streams.processor import Pipeline, Processor, Summary, Work
from stream_app.streams.relay import Relay

log = logging.getLogger(__name__)

_SENDING_SECONDS = 0.003
"""How long a commit is given to look and to be sent before the event loop is busy with the next
batch. Where that is not enough, Redis writes after that batch instead of meanwhile."""

_to_entry = msgspec.msgpack.Encoder().encode
from_entry = msgspec.msgpack.Decoder(Message).decode
"""The message of an outbox entry."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the partitions of a worker share."""

    owner: str
    """Name of the worker, for displays."""
    partitions: int
    pipeline: Pipeline
    log: EventLog
    store: StateStore
    publisher: Publisher
    clock: Clock
    models: Models
    metrics: Metrics
    pace: Pace
    taken: Callable[[], None]
    """Called when a partition has taken records from its inbox."""
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while accounts are loaded. Loading is work, so two at a time would both take twice as
    long, and have twice as much on its way in memory."""


class _EngineFailed(Exception):
    """Applying these records failed; an error of this program."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(f"applying {len(records)} records failed")
        self.records = records


class Partition:
    """One partition of this worker. `run` it as a task; cancel the task to drop it at once."""

    def __init__(self, number: int, context: Context) -> None:
        self.number = number
        self.ready = False
        """Whether it is claimed, loaded and being read."""
        self.inbox = Inbox(context.pipeline.cut, context.taken)
        self._context = context
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._paused = self._recheck = self._ticked = self._swept = False
        self._silent_until_us = 0
        """Up to when silence is being decided; 0: nothing is to be done."""
        self._refused = False
        """Whether the last try to commit failed."""
        self._poison: set[tuple[str, int]] = set()
        self._singly = 0
        """So many records are applied one by one, to find the one that the engine fails on."""
        self._position = Position(epoch=0)
        self._outbox_next = 0
        """Index that the next outbox entry will have."""
        self._reads_from: dict[str, int] = {}
        """Where reading was last begun, per topic."""
        self._processor = self._new_processor()
        self._relay = self._new_relay(0)

    @property
    def summary(self) -> Summary:
        """Counts of the partition as of now."""
        return self._processor.summary(self._context.clock.now_us())

    @property
    def processor(self) -> Processor:
        """The accounts, to be read only."""
        return self._processor

    @property
    def flowing(self) -> bool:
        """Whether Redis and Kafka take what they are given."""
        return not (self._refused or self._relay.failing)

    def offer(self, records: Sequence[Record]) -> int:
        """Hand over records that were read. Returns their bytes, 0 if they were not taken."""
        if not self.ready or self._paused:
            return 0
        self._wake.set()
        return self.inbox.add(records)

    def tick(self) -> None:
        """Time has passed: look for accounts that silence may have moved, trim the outbox."""
        self._ticked = True
        self._wake.set()

    async def pause(self) -> None:
        """Finish what is in flight and publish it, then rest. Records in the inbox are dropped:
        they will be read again, by whoever owns the partition then."""
        self._paused = True
        self.inbox.clear()
        self._wake.set()
        if self.ready:
            await self._quiet.wait()
            await self._relay.below(1)
            with suppress(Fenced, Moved, Unavailable):  # else published again, with the same ids
                await self._check_still_mine()
                await self._trim()

    def resume(self) -> None:
        """The partition is still (or again) ours: go on, if nobody has claimed it meanwhile."""
        self._paused, self._recheck = False, True
        self._wake.set()

    async def run(self) -> None:
        """Own the partition until cancelled. After any trouble memory is dropped and the partition
        is claimed again, with back-off, so that it is never left without an owner.

        Raises
        ------
        ConfigError, Incompatible
            Trying again cannot help.
        """
        backoff = Backoff(first_seconds=0.2)
        while True:
            try:
                await self._own(backoff)
            except (ConfigError, Incompatible):
                raise
            except (StreamAppError, _EngineFailed) as error:
                self._note(error)
            finally:
                self._let_go()
            began = self._context.clock.monotonic()
            await backoff.wait()
            self._context.metrics.waits.labels("claim").inc(self._context.clock.monotonic() - began)

    async def _own(self, backoff: Backoff) -> None:
        await self._claim()
        relay = asyncio.create_task(self._relay.run())
        relay.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                self._wake.clear()
                if relay.done():
                    relay.result()  # it only ends with an error
                work = None if self._paused else await self._next_work()
                if work is None:
                    if not self._wake.is_set():
                        self._quiet.set()
                        await self._wake.wait()
                        self._quiet.clear()
                    continue
                while work is not None:
                    work = await self._carry_out(work)
                    backoff.reset()
        finally:
            relay.cancel()
            await asyncio.wait({relay})

    async def _claim(self) -> None:
        context = self._context
        began = context.clock.monotonic()
        claim = await context.store.claim(self.number, context.owner)
        await context.models.refresh(anew=True)
        async with context.loading:
            processor = await self._loaded(claim)
        self._processor, self._position = processor, claim.position
        await self._check_still_mine()  # else the accounts may be a later owner's
        self._relay = self._new_relay(claim.position.outbox_first)
        self._outbox_next = claim.position.outbox_first + len(claim.outbox)
        if claim.outbox:
            log.info("partition %d: publishing %d outbox entries", self.number, len(claim.outbox))
            self._relay.put([from_entry(entry) for entry in claim.outbox], self._outbox_next)
        self._recheck = False
        await self._start_reading()
        took = context.clock.monotonic() - began
        context.metrics.claim.observe(took)
        context.metrics.accounts.labels(str(self.number)).set(len(processor.table))
        log.info(
            "partition %d: claimed with epoch %d, %d accounts, in %.2f s",
            self.number,
            claim.position.epoch,
            len(processor.table),
            took,
        )

    async def _loaded(self, claim: Claim) -> Processor:
        processor = self._new_processor()
        processor.table.topic_names = dict(claim.names)
        processor.remember(claim.erased)
        async for chunk in self._context.store.load(self.number):
            processor.put([account for account, _ in chunk], [state for _, state in chunk])
            await asyncio.sleep(0)  # heartbeats share the loop
        processor.recount(claim.summary)
        return processor

    async def _start_reading(self) -> None:
        stored = self._position.offsets
        self._context.log.pause(self.number)
        self.inbox.clear()  # what came before is read again
        self.ready = True  # before `seek`: a record that came between the two would be passed over
        self._reads_from = used = await self._context.log.seek(self.number, stored)
        for topic, offset in used.items():
            missed = offset - stored.get(topic, offset)
            if missed > 0:
                self._context.metrics.gaps.inc(missed)
                log.error("partition %d: retention removed %d unread records of %s",
                          self.number, missed, topic)  # fmt: skip

    async def _next_work(self) -> Work | None:
        if self._recheck:
            self._recheck = False
            await self._check_still_mine()
            await self._start_reading()
        if self._ticked:
            self._ticked = False
            try:
                self._silent_until_us = await self._time_passes()
            except Unavailable as error:  # memory is kept: the next tick does the same
                log.warning("partition %d looks at the time later: %s", self.number, error)
        if (work := self._portion_of_silence()) is not None:
            return work
        if not self.inbox:
            return None
        if await self._waited_for_the_outbox():
            return None
        self._swept = False
        return self._process(self._take())

    async def _waited_for_the_outbox(self) -> bool:
        context = self._context
        worker = context.pipeline.settings.worker
        limit = worker.outbox_limit
        if self.inbox.first.topic == context.pipeline.control_topic:
            limit = 1  # nothing of an account that is erased shall stay in the outbox
        if not self._relay.full(limit, worker.outbox_limit_bytes):
            return False
        began = context.clock.monotonic()
        log.log(
            logging.WARNING if limit > 1 else logging.INFO,
            "partition %d: waits, %d messages (%d bytes) are not on Kafka yet",
            *(self.number, self._relay.pending, self._relay.pending_bytes),
        )
        await self._relay.below(limit, worker.outbox_limit_bytes)
        context.metrics.waits.labels("outbox").inc(context.clock.monotonic() - began)
        self._wake.set()
        return True

    def _take(self) -> list[Record]:
        count = 1 if self._singly else self._context.pipeline.settings.worker.max_batch
        self._singly = max(self._singly - 1, 0)
        records = self.inbox.take(count)
        if self.inbox:
            self._wake.set()
        return records

    def _process(self, records: list[Record]) -> Work:
        context = self._context
        began = context.clock.monotonic()
        try:
            work = self._processor.process(records, context.models.assigner, context.clock.now_us())
        except Exception as error:
            raise _EngineFailed(records) from error
        context.metrics.step.observe(context.clock.monotonic() - began)
        for topic, count in Counter(record.topic for record in records).items():
            context.metrics.records.labels(topic).inc(count)
        return work

    async def _time_passes(self) -> int:
        """Until when silence may be decided: up to the clock, or, while there are unread records,
        up to the event time that their topics were read to: a backlog does not look like silence.
        0: not known."""
        await self._check_still_mine()
        await self._trim()
        context, position = self._context, self._position
        now_us = context.clock.now_us()
        grace = round(context.pipeline.settings.worker.sweep_grace_seconds * SECOND)
        until_us = now_us - grace
        context.log.show_progress(self.number, position.offsets)
        try:
            ends = await context.log.end_offsets(self.number)
        except Unavailable as error:
            log.warning("partition %d: no sweep, the lag is not known: %s", self.number, error)
            return 0
        behind = {topic: lag for topic, end in ends.items() if (lag := end - self._at(topic)) > 0}
        context.metrics.lag.labels(str(self.number)).set(sum(behind.values()))
        behind.pop(context.pipeline.control_topic, None)  # control events are no behaviour
        return min(until_us, self._processor.reached_us(behind)) if behind else until_us

    def _portion_of_silence(self) -> Work | None:
        """The sweep: some of the accounts that silence may have moved, if it is time for them.
        Portions and batches of events take turns."""
        context, pace = self._context, self._context.pace
        assigner, worker = context.models.assigner, context.pipeline.settings.worker
        if not self._silent_until_us or (self._swept and self.inbox):
            return None
        if self._relay.full(worker.outbox_limit, worker.outbox_limit_bytes):
            return None  # the next tick looks again
        unchecked = min(self._processor.unchecked(assigner), pace.of_model)
        if not unchecked and not self._processor.due(self._silent_until_us):
            self._silent_until_us = 0
            return None
        if wait_seconds := pace.wait_seconds:
            asyncio.get_running_loop().call_later(wait_seconds, self._wake.set)
            return None
        began = context.clock.monotonic()
        try:
            work = self._processor.sweep(
                self._silent_until_us, assigner, context.clock.now_us(), pace.portion, unchecked
            )
        except Exception as error:
            raise _EngineFailed([]) from error
        pace.looked_at(unchecked)
        pace.took(len(work.states), context.clock.monotonic() - began)
        self._swept = True
        self._wake.set()
        return None if work.empty else work

    def _at(self, topic: str) -> int:
        """Next offset of a topic; where nothing was read yet, the first one that is still there."""
        return max(self._position.offsets.get(topic, 0), self._reads_from.get(topic, 0))

    async def _trim(self) -> None:
        first = self._relay.acknowledged
        if first > self._position.outbox_first:
            await self._context.store.trim(self.number, self._position.epoch, first)
            self._position = replace(self._position, outbox_first=first)

    async def _check_still_mine(self) -> None:
        """Has somebody else had the partition, or was the store set back to an older copy? Asked
        also when there is nothing to commit: a commit would be refused, but it may never come."""
        stored = await self._context.store.position(self.number)
        mine = self._position
        if (stored.epoch, stored.revision) != (mine.epoch, mine.revision) or (
            dict(stored.offsets) != dict(mine.offsets)
        ):
            refused = Fenced if stored.epoch > mine.epoch else Moved
            raise refused(f"partition {self.number} is not as this owner left it in the store")
        # Should entries be back that were trimmed before, they are trimmed again.
        self._position = replace(self._position, outbox_first=stored.outbox_first)

    async def _carry_out(self, work: Work) -> Work | None:
        """Commit; where many records wait, apply the next batch meanwhile, and return what comes of
        it. Memory is then one batch ahead of the store, but nothing of that batch is sent before
        the store has this one; should it refuse, memory is dropped as always."""
        if not self._may_run_ahead():
            await self._commit(work)
            return None
        commit = asyncio.create_task(self._commit(work))
        try:
            await asyncio.wait({commit}, timeout=_SENDING_SECONDS)
            ahead = self._process(self._take()) if self._may_run_ahead() else None
        except _EngineFailed:
            await commit  # else its records would be applied one by one too
            raise
        except BaseException:
            commit.cancel()
            raise
        await commit
        return ahead

    def _may_run_ahead(self) -> bool:
        """Whether the next thing to do is another batch of events, and a large one."""
        worker, pipeline = self._context.pipeline.settings.worker, self._context.pipeline
        return (
            len(self.inbox) >= worker.ahead_records
            and not (self._paused or self._recheck or self._ticked or self._silent_until_us)
            and self.inbox.first.topic != pipeline.control_topic
            and not self._relay.full(worker.outbox_limit, worker.outbox_limit_bytes)
        )

    async def _commit(self, work: Work) -> None:
        context, expected = self._context, self._position
        entries = [_to_entry(message) for message in work.outbox]
        commit = Commit(
            expected=expected,
            offsets={**expected.offsets, **work.offsets},
            model_version=work.model_version,
            outbox_first=self._relay.acknowledged,
            states=work.states,
            profiles=work.profiles,
            removed=work.removed,
            outbox=entries,
            names=work.names,
            erased=work.erased,
            summary=work.summary,
        )
        began = context.clock.monotonic()
        self._position = await self._apply(commit)
        self._refused = False
        self._outbox_next += len(work.outbox)
        if self._poison:  # in place: the processor looks at the same set
            done = self._position.offsets
            self._poison -= {(topic, at) for topic, at in self._poison if at < done.get(topic, 0)}
        context.metrics.commit.observe(context.clock.monotonic() - began)
        self._relay.put(
            [*work.outbox, *work.samples],
            self._outbox_next,
            began,
            [c.lag_ms / 1_000 for c in work.effects.changes if _is_prompt(c)],
            sum(map(len, entries)) + sum(map(size_of, work.samples)),
        )
        self._count(work)

    async def _apply(self, commit: Commit) -> Position:
        """Commit; while Redis is away, wait; when the outcome is unknown, look."""
        context = self._context
        backoff = Backoff()
        while True:
            began = context.clock.monotonic()
            try:
                return await context.store.commit(self.number, commit)
            except OutcomeUnknown as error:
                log.warning("partition %d: commit without an answer: %s", self.number, error)
                with suppress(Unavailable):
                    stored = await context.store.position(self.number)
                    if stored.epoch == commit.expected.epoch and (
                        stored.revision == commit.expected.revision + 1
                    ):
                        return stored
            except Unavailable as error:
                log.warning("partition %d waits for Redis to commit: %s", self.number, error)
            self._refused = True
            await backoff.wait()
            context.metrics.waits.labels("redis").inc(context.clock.monotonic() - began)

    def _count(self, work: Work) -> None:
        metrics, effects = self._context.metrics, work.effects
        metrics.commits.inc()
        metrics.events.inc(effects.applied)
        metrics.duplicates.inc(effects.duplicates)
        metrics.forwarded.inc(work.forwarded)
        metrics.spikes.inc(len(effects.spikes))
        metrics.accounts.labels(str(self.number)).set(len(self._processor.table))
        for reason, count in work.rejected.items():
            metrics.dead_letters.labels(reason).inc(count)
        for kind, count in effects.controls.items():
            metrics.controls.labels(kind).inc(count)
        for reason, count in Counter(change.reason for change in effects.changes).items():
            metrics.changes.labels(reason).inc(count)

    def _note(self, error: Exception) -> None:
        """Say what happened, and remember a record that the engine fails on."""
        self._context.metrics.losses.labels(type(error).__name__.strip("_")).inc()
        if isinstance(error, _EngineFailed):
            log.error("partition %d: %s", self.number, error, exc_info=error.__cause__)
            if len(error.records) == 1:
                (record,) = error.records
                self._poison.add((record.topic, record.offset))
            else:
                self._singly = len(error.records)
        elif isinstance(error, Fenced):
            log.warning("partition %d: claimed by another owner: %s", self.number, error)
        else:
            log.warning("partition %d: dropped from memory: %s", self.number, error)

    def _let_go(self) -> None:
        self.ready = False
        self._silent_until_us = 0
        self._refused = False
        self._context.log.pause(self.number)
        self.inbox.clear()
        self._processor = self._new_processor()
        self._quiet.set()

    def _new_processor(self) -> Processor:
        context = self._context
        processor = Processor(context.pipeline, self.number, context.partitions)
        processor.poisonous = self._poison
        return processor

    def _new_relay(self, outbox_first: int) -> Relay:
        context = self._context
        return Relay(self.number, outbox_first, context.publisher, context.clock, context.metrics)


def _is_prompt(change: SegmentChange) -> bool:
    """Whether an event alone caused it, without waiting for confirmation: freshness is measured by
    these."""
    return change.reason in {"first_seen", "behaviour"} and change.evidence_since is None
