"""The event log on Kafka, reading: `KafkaLog` is a member of a consumer group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from stream_app.errors import Incompatible, StreamAppError, Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import (
    KAFKA_FAILURES,
    connection,
    partition_counts,
    translate,
    why_unreachable,
)
from stream_app.streams.kafka_records import keep_raw, take
from stream_app.streams.partitioning import common_count
from stream_app.streams.ports import Listener, Record

log = logging.getLogger(__name__)

# How long the group waits for a member to finish its work in flight and join again. Three times
# the default of `WorkerSettings.shutdown_seconds`, within which a worker must have finished.
_REBALANCE_TIMEOUT_MS = 60_000
# Idle fetches return after this time. A partition that starts to be read waits for the fetch that
# is under way for the others, so it is short.
_FETCH_WAIT_MS = 100
# Kafka answers a fetch within _FETCH_WAIT_MS; after such a silence it is away.
_SILENCE_SECONDS = 10.0
# Lag displays need no more, and Kafka no less.
_PROGRESS_SECONDS = 5.0
_PROGRESS_TIMEOUT_SECONDS = 1.0
# `getmany` should end by its own time-out: one that is cancelled leaves a little behind.
_GRACE_SECONDS = 0.05
# Leaving takes milliseconds, unless Kafka does not answer.
_LEAVE_SECONDS = 3.0


class KafkaLog:
    """One member of a consumer group: an `EventLog`.

    aiokafka joins the group, assigns by range (which keeps equal partitions of all topics
    together) and fetches ahead; it never decides where to read. Partitions that it hands over are
    paused within its callback, before it can fetch, and delivered only from `seek` on.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], client_id: str = "stream-app-worker"
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._client_id = client_id
        self._listener: Listener | None = None
        self._partitions = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._joined = False
        self._generation = 0
        """Changes with each assignment, so that an answer that crosses one is recognised."""
        self._owned: frozenset[int] = frozenset()
        self._delivered: set[int] = set()
        self._failure: Exception | None = None
        self._turn = asyncio.Lock()
        self._calls: set[asyncio.Task[None]] = set()
        """Calls of the listener, one at a time by `_turn`."""
        self._leaving: asyncio.Task[None] | None = None
        self._heard = 0
        self._silent_seconds = 0.0
        self._progress: dict[TopicPartition, int] = {}
        self._showing: asyncio.Task[None] | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        return self._topics

    async def start(self, listener: Listener) -> int:
        self._listener = listener
        await self._join()
        return self._partitions

    async def stop(self) -> None:
        self._listener = None
        self._delivered.clear()
        await _cancel(*self._calls, self._showing)
        if self._leaving is not None:
            await self._leaving
        if self._consumer is not None:
            if not self._silent_seconds:
                await self._commit_progress()
            consumer, self._consumer = self._consumer, None
            await _leave(consumer)

    async def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        self._raise_failure()
        if self._leaving is not None and not self._leaving.done():
            await asyncio.wait({self._leaving}, timeout=timeout_seconds)
            if not self._leaving.done():
                return {}
        if self._consumer is None:
            await self._join()
        began = time.monotonic()
        batches = await self._fetch(max_records, timeout_seconds)
        if batches:
            self._silent_seconds = 0.0
        else:
            self._raise_failure()
            self._check_silence(time.monotonic() - began)
        return batches

    async def seek(self, partition: int, offsets: Mapping[str, int]) -> dict[str, int]:
        self.pause(partition)
        consumer, generation = self._consumer, self._generation
        if consumer is None or partition not in self._owned:
            return {}
        parts = [TopicPartition(topic, partition) for topic in self._topics]
        try:
            first, end = await asyncio.gather(
                consumer.beginning_offsets(parts), consumer.end_offsets(parts)
            )
        except KAFKA_FAILURES as error:
            raise translate(error, f"reading the offsets of partition {partition}") from error
        if generation != self._generation:
            return {}
        used = {}
        for part in parts:
            wanted = offsets.get(part.topic, -1)
            used[part.topic] = wanted if first[part] <= wanted <= end[part] else first[part]
            consumer.seek(part, used[part.topic])
            consumer.resume(part)
        self._delivered.add(partition)
        self._silent_seconds = 0.0
        return used

    def pause(self, partition: int) -> None:
        self._delivered.discard(partition)
        if self._consumer is not None and partition in self._owned:
            self._consumer.pause(*(TopicPartition(topic, partition) for topic in self._topics))

    async def end_offsets(self, partition: int) -> dict[str, int]:
        if self._consumer is None:
            raise Unavailable("not connected to Kafka at the moment")
        parts = [TopicPartition(topic, partition) for topic in self._topics]
        try:
            ends = await self._consumer.end_offsets(parts)
        except KAFKA_FAILURES as error:
            raise translate(error, f"reading the end of partition {partition}") from error
        return {part.topic: ends[part] for part in parts}

    def show_progress(self, partition: int, offsets: Mapping[str, int]) -> None:
        if partition not in self._owned:
            return
        for topic, offset in offsets.items():
            self._progress[TopicPartition(topic, partition)] = offset
        if self._showing is None or self._showing.done():
            self._showing = asyncio.create_task(self._commit_progress(_PROGRESS_SECONDS))

    async def _commit_progress(self, delay_seconds: float = 0.0) -> None:
        await asyncio.sleep(delay_seconds)
        shown, self._progress = self._progress, {}
        offsets = {
            part: OffsetAndMetadata(offset, "")
            for part, offset in shown.items()
            if part.partition in self._owned
        }
        if self._consumer is None or not offsets:
            return
        try:
            async with asyncio.timeout(_PROGRESS_TIMEOUT_SECONDS):
                # `consumer.commit` tries again without a limit, and when it is cancelled its
                # request goes on: should that fail, asyncio reports an error that nobody handled.
                await self._consumer._coordinator._do_commit_offsets(None, offsets)
        except KAFKA_FAILURES as error:
            log.debug("progress was not shown: %r", error)

    async def _join(self) -> None:
        """Connect and subscribe. The group assigns partitions later, through the callbacks."""
        counts = await partition_counts(self._settings, self._topics)
        self._partitions = common_count(self._topics, counts)
        session_ms = self._settings.session_timeout_ms
        keep_raw()
        consumer = AIOKafkaConsumer(
            **connection(self._settings, self._client_id),
            group_id=self._settings.group,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 10,
            max_poll_interval_ms=self._settings.max_poll_interval_ms,
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
            partition_assignment_strategy=(RangePartitionAssignor,),
            enable_auto_commit=False,
            # Never to be guessed by aiokafka: an offset that is gone comes as an error.
            auto_offset_reset="none",
            # What a producer's transaction took back was never meant.
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
        except KAFKA_FAILURES as error:
            await consumer.stop()
            raise await why_unreachable(self._settings, error) from error
        if self._listener is None:
            await _leave(consumer)
            raise Unavailable("the log was stopped")
        consumer.subscribe(self._topics, listener=_Callbacks(self, consumer))
        self._consumer = consumer
        self._silent_seconds = 0.0

    async def _fetch(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        consumer = self._consumer
        if consumer is None:
            return {}
        try:
            # `getmany` waits for a rebalance without a limit, and the rebalance perhaps for us.
            # Nothing suspends between taking records and returning them: none can be lost here.
            async with asyncio.timeout(timeout_seconds + _GRACE_SECONDS):
                fetched = await take(consumer, max_records, timeout_seconds)
        except (TimeoutError, ConsumerStoppedError):
            return {}
        except KafkaError as error:
            raise self._give_up(consumer, error) from error
        finally:
            _end_fetch(consumer)
        batches: dict[int, list[Record]] = {}
        for part, records in fetched.items():
            if part.partition not in self._delivered:
                continue
            if part.partition in batches:
                batches[part.partition] += records
            else:
                batches[part.partition] = records
        return batches

    def _give_up(self, consumer: AIOKafkaConsumer, error: KafkaError) -> StreamAppError:
        """Drop a consumer that raised: an offset is gone, or its coordination has ended for good.
        The next poll joins anew, and every partition is assigned and sought again."""
        log.warning("leaving the group %s to join it anew: %r", self._settings.group, error)
        self._consumer = None
        lost = self._lose()

        async def leave() -> None:
            await self._revoke(lost)
            await _leave(consumer)

        self._leaving = asyncio.create_task(leave())
        return translate(error, "reading; the group is joined anew")

    def _check_silence(self, waited_seconds: float) -> None:
        """aiokafka retries quietly while Kafka is away; its fetches then no longer get answers."""
        consumer = self._consumer
        if consumer is None or (self._joined and not self._delivered):
            return
        heard = max(
            (
                consumer.last_poll_timestamp(TopicPartition(topic, partition)) or 0
                for topic in self._topics
                for partition in self._delivered
            ),
            default=0,
        )
        if heard != self._heard:
            self._heard, self._silent_seconds = heard, 0.0
            return
        self._silent_seconds += waited_seconds
        if self._silent_seconds >= _SILENCE_SECONDS:
            raise Unavailable(
                f"Kafka at {self._settings.bootstrap_servers} has not "
                f"{'answered' if self._joined else 'let this member join'} for "
                f"{self._silent_seconds:.0f} seconds",
                hint="reading goes on by itself when Kafka is back",
            )

    def _lose(self) -> frozenset[int]:
        """Deliver nothing any more. Returns what was owned."""
        self._generation += 1
        self._joined = False
        self._delivered.clear()
        owned, self._owned = self._owned, frozenset()
        return owned

    async def _revoke(self, lost: frozenset[int]) -> None:
        if lost and self._listener is not None:
            await asyncio.wait({self._tell(partial(self._listener.on_revoked, lost))})

    def _assign(self, consumer: AIOKafkaConsumer, parts: set[TopicPartition]) -> None:
        for part in parts:
            consumer.pause(part)
            consumer.seek(part, 0)  # any position: without one aiokafka looks for a committed one
        self._generation += 1
        self._joined = True
        self._silent_seconds = 0.0
        self._owned = frozenset(
            partition
            for partition in range(self._partitions)
            if all(TopicPartition(topic, partition) in parts for topic in self._topics)
        )
        self._check_counts(consumer)
        if self._listener is not None:
            # Not awaited: aiokafka sends no heartbeats before its callback returns.
            self._tell(partial(self._listener.on_assigned, self._owned))

    def _check_counts(self, consumer: AIOKafkaConsumer) -> None:
        known = {topic: consumer.partitions_for_topic(topic) for topic in self._topics}
        changed = {
            topic: len(found)
            for topic, found in known.items()
            if found is not None and len(found) != self._partitions
        }
        if changed:
            self._owned = frozenset()
            self._failure = Incompatible(
                f"there were {self._partitions} partitions, but now "
                + ", ".join(f"{topic} has {count}" for topic, count in changed.items()),
                hint="stop all workers, and move the accounts with `stream-app repartition`",
            )

    def _tell(self, call: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._call_in_turn(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    async def _call_in_turn(self, call: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            try:
                await call()
            except Exception as error:
                log.exception("the listener failed; the next poll raises it")
                self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


class _Callbacks(ConsumerRebalanceListener):  # type: ignore[misc]
    """What aiokafka calls, in its own task, at each rebalance of one consumer."""

    def __init__(self, owner: KafkaLog, consumer: AIOKafkaConsumer) -> None:
        self._owner = owner
        self._consumer = consumer

    async def on_partitions_revoked(self, _: set[TopicPartition]) -> None:
        """Runs at once, up to its first await, when aiokafka begins a rebalance."""
        if self._consumer is self._owner._consumer:
            await self._owner._revoke(self._owner._lose())

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        if self._consumer is self._owner._consumer:
            self._owner._assign(self._consumer, assigned)


def _end_fetch(consumer: AIOKafkaConsumer) -> None:
    """aiokafka counts a `getmany` that ended with an exception as running for ever, and would not
    notice any more when nobody polls (`max_poll_interval_ms`). Count it as ended."""
    state = consumer._subscription
    if state._fetch_count:
        state._fetch_count = 0
        state._last_fetch_ended = time.monotonic()


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect, also when Kafka does not answer.

    Then `stop` waits long, or is torn along half-way by a fetch that it cancels. A heartbeat that
    is left behind would keep the member, and its partitions, in the group.
    """
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=_LEAVE_SECONDS)
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    await _cancel(
        stopping,
        coordinator._coordination_task,
        coordinator._heartbeat_task,
        coordinator._commit_refresh_task,
        fetcher._fetch_task,
        *fetcher._pending_tasks,
    )
    await consumer._client.close()
    if not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.warning("leaving the group failed: %r", error)


async def _cancel(*tasks: asyncio.Task[Any] | None) -> None:
    for task in tasks:
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})
