"""The event log on Kafka, writing: `KafkaPublisher`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import randrange
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import (
    KAFKA_FAILURES,
    connection,
    translate,
    why_unreachable,
)
from stream_app.streams.partitioning import common_count, partition_of
from stream_app.streams.ports import Message

# Longer than aiokafka's back-off (100 ms) after a request that failed.
_ABANDON_SECONDS = 0.5
# Far below what topics take by default (1 MiB), large enough to make up for a round trip.
_BATCH_BYTES = 256 * 1024


class KafkaPublisher:
    """A `Publisher` on aiokafka's idempotent producer.

    Of each partition one batch is under way at a time, and the next one waits for its
    acknowledgement. So a batch that fails never lets a later one pass, and what waits in memory is
    what callers have handed over and still wait for.
    """

    def __init__(self, settings: KafkaSettings, client_id: str = "stream-app-publisher") -> None:
        self._settings = settings
        self._client_id = client_id
        self._session: _Session | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        await self._open()

    async def stop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        session = await self._open()
        try:
            queues = await session.by_partition(messages)
            outcomes = await asyncio.gather(
                *(session.send(part, queue) for part, queue in queues.items()),
                return_exceptions=True,
            )
            for failure in filter(None, outcomes):
                raise failure
        except KAFKA_FAILURES as error:
            # An idempotent producer numbers its batches. After one that failed for good aiokafka
            # goes on with the next number, and Kafka refuses it, for ever: start a new one.
            if self._session is session:
                self._session = None
            await session.close()
            raise translate(error, f"publishing {len(messages)} records") from error

    async def _open(self) -> _Session:
        async with self._opening:
            if self._session is None:
                self._session = await _Session.start(self._settings, self._client_id)
            return self._session


class _Session:
    """One producer, from its start to its first failure."""

    def __init__(self, producer: AIOKafkaProducer, deadline_seconds: float) -> None:
        self._producer = producer
        self._deadline_seconds = deadline_seconds
        self._turns: defaultdict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unacknowledged = 0
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(cls, settings: KafkaSettings, client_id: str) -> _Session:
        producer = AIOKafkaProducer(
            **connection(settings, client_id),
            enable_idempotence=True,
            acks="all",
            linger_ms=settings.linger_ms,
            max_batch_size=_BATCH_BYTES,
        )
        timeout_seconds = settings.request_timeout_ms / 1_000
        try:
            # aiokafka asks for a producer id until it gets one.
            async with asyncio.timeout(timeout_seconds):
                await producer.start()
        except KAFKA_FAILURES as error:
            await producer.stop()
            raise await why_unreachable(settings, error) from error
        # Long enough for a broker's restart, in which aiokafka tries again by itself.
        return cls(producer, 1.5 * timeout_seconds)

    async def by_partition(
        self, messages: Sequence[Message]
    ) -> dict[TopicPartition, list[Message]]:
        """The messages by where they go, each in the given order."""
        counts = {
            topic: await self._partitions(topic) for topic in {each.topic for each in messages}
        }
        anywhere = {topic: randrange(count) for topic, count in counts.items()}  # noqa: S311
        queues: defaultdict[TopicPartition, list[Message]] = defaultdict(list)
        for message in messages:
            topic, key = message.topic, message.key
            partition = anywhere[topic] if key is None else partition_of(key, counts[topic])
            queues[TopicPartition(topic, partition)].append(message)
        return queues

    async def _partitions(self, topic: str) -> int:
        client = self._producer.client
        if client.cluster.partitions_for_topic(topic) is None:
            # Asking Kafka about one name creates the topic where `auto.create.topics.enable` is
            # on, as by default; asking about all does not.
            cluster = await client.fetch_all_metadata()
            common_count([topic], dict.fromkeys(cluster.topics(), 1))
        return len(await self._producer.partitions_for(topic))

    async def send(self, part: TopicPartition, messages: Sequence[Message]) -> None:
        """Returns when all are acknowledged."""
        # Callers take turns here: in aiokafka, who waits longest for a full partition is not the
        # first to go on, and its time-out counts what has passed several times.
        async with self._turns[part]:
            waiting = list(reversed(messages))
            while waiting:
                batch = self._producer.create_batch()
                while waiting and _append(batch, waiting[-1]):
                    waiting.pop()
                async with asyncio.timeout(self._deadline_seconds):
                    await self._deliver(batch, part)

    async def _deliver(self, batch: Any, part: TopicPartition) -> None:
        delivery = await self._producer.send_batch(batch, part.topic, partition=part.partition)
        self._unacknowledged += 1
        try:
            await asyncio.wait({delivery, self._closed}, return_when=asyncio.FIRST_COMPLETED)
            if not delivery.done():
                raise KafkaTimeoutError("the producer was closed after another failure")
            self._unacknowledged -= 1
            delivery.result()
        finally:
            delivery.cancel()

    async def close(self) -> None:
        """End the producer; what is not acknowledged is dropped."""
        if self._closed.done():
            return
        self._closed.set_result(None)
        if self._unacknowledged:
            await _abandon(self._producer)
        else:
            await self._producer.stop()


async def _abandon(producer: AIOKafkaProducer) -> None:
    """End a producer without `stop`, which waits until all it holds is acknowledged."""
    producer._closed = True
    sending = producer._sender.sender_task
    sending.cancel()
    await producer.client.close()  # requests under way fail, and are put back to be sent again
    await asyncio.wait({sending}, timeout=_ABANDON_SECONDS)
    metadata = producer.client._md_update_fut
    if metadata is not None and not metadata.done():
        metadata.set_result(False)  # before that they wait for metadata, which never comes now
    await asyncio.wait({sending})


def _append(batch: Any, message: Message) -> bool:
    """False: the batch is full. The first message of a batch always fits."""
    added = batch.append(
        key=message.key, value=message.value, timestamp=None, headers=list(message.headers)
    )
    return added is not None
