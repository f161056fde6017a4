"""Reading Kafka from outside of any group: `KafkaReader`, for the tools of an operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.errors import Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import (
    KAFKA_FAILURES,
    connection,
    partition_counts,
    translate,
    why_unreachable,
)
from stream_app.streams.partitioning import common_count
from stream_app.streams.ports import Record

_BATCH = 500
_POLL_MS = 500
# Disconnecting takes milliseconds, unless Kafka does not answer.
_CLOSE_SECONDS = 3.0


class KafkaReader:
    """A `LogReader` on aiokafka's consumer, which commits nothing and joins no group."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        consumer = AIOKafkaConsumer(
            **connection(self._settings, self._client_id),
            enable_auto_commit=False,
            # What retention removes while we read is passed over.
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
        except KAFKA_FAILURES as error:
            await consumer.stop()
            raise await why_unreachable(self._settings, error) from error
        self._consumer = consumer

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _close(consumer)

    async def stretches(self, topic: str, since_us: int | None = None) -> dict[int, range]:
        # Never asks about a topic that may not exist: that can create it.
        count = common_count([topic], await partition_counts(self._settings, [topic]))
        parts = [TopicPartition(topic, partition) for partition in range(count)]
        consumer = self._connected()
        try:
            first, end = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
            if since_us is not None:
                found = await consumer.offsets_for_times(dict.fromkeys(parts, since_us // 1_000))
                first = {part: at.offset if at else end[part] for part, at in found.items()}
        except KAFKA_FAILURES as error:
            raise translate(error, f"reading the offsets of {topic}") from error
        return {part.partition: range(first[part], end[part]) for part in parts}

    async def read(self, topic: str, stretches: Mapping[int, range]) -> AsyncIterator[list[Record]]:
        consumer = self._connected()
        unread = {TopicPartition(topic, p): s.stop for p, s in stretches.items() if s}
        if not unread:
            return
        consumer.assign(list(unread))
        for part in unread:
            consumer.seek(part, stretches[part.partition].start)
        heard = time.monotonic()
        while unread:
            try:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
                for part, stop in list(unread.items()):
                    # Not the offset of the last record: compaction may have taken the rest.
                    if await consumer.position(part) >= stop:
                        del unread[part]
                        consumer.pause(part)
            except KAFKA_FAILURES as error:
                raise translate(error, f"reading {topic}") from error
            for part, records in fetched.items():
                within = [r for r in records if r.offset < stretches[part.partition].stop]
                if within:
                    yield within
            heard = time.monotonic() if fetched else self._still_patient(topic, heard)

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Unavailable("not connected to Kafka at the moment")
        return self._consumer

    def _still_patient(self, topic: str, heard: float) -> float:
        """aiokafka tries again quietly, for ever, while Kafka is away."""
        silent_seconds = time.monotonic() - heard
        if silent_seconds > self._settings.request_timeout_ms / 1_000:
            raise Unavailable(
                f"Kafka has given nothing of {topic} for {silent_seconds:.0f} seconds"
            )
        return heard


async def _close(consumer: AIOKafkaConsumer) -> None:
    """Disconnect, also when Kafka is away: then aiokafka's `stop` may be torn along half-way by a
    fetch that it cancels."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=_CLOSE_SECONDS)
    fetcher = consumer._fetcher
    left = {stopping, fetcher._fetch_task, *fetcher._pending_tasks}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await consumer._client.close()
