"""The event log on Kafka, writing: `KafkaPublisher`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from random import randrange
from time import time_ns
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
from stream_app.streams.kafka_batch import BATCH_BYTES, batches_of
from stream_app.streams.partitioning import common_count
from stream_app.streams.ports import Message

# Longer than aiokafka's back-off (100 ms) after a request that failed.
_ABANDON_SECONDS = 0.5


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
        session = self._session or await self._open()
        try:
            await session.send(await session.batches_of(messages))
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
        self._under_way: set[_Round] = set()
        self._closed = False

    @classmethod
    async def start(cls, settings: KafkaSettings, client_id: str) -> _Session:
        producer = AIOKafkaProducer(
            **connection(settings, client_id),
            enable_idempotence=True,
            acks="all",
            linger_ms=settings.linger_ms,
            max_batch_size=BATCH_BYTES,
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

    async def batches_of(self, messages: Sequence[Message]) -> dict[TopicPartition, list[Any]]:
        """The messages by where they go, each in the given order, in batches."""
        topics = {message.topic for message in messages}
        counts = {topic: await self._partitions(topic) for topic in topics}
        anywhere = {topic: randrange(count) for topic, count in counts.items()}  # noqa: S311
        now_ms = time_ns() // 1_000_000
        return batches_of(self._producer, messages, counts, anywhere, now_ms)

    async def _partitions(self, topic: str) -> int:
        client = self._producer.client
        if known := client.cluster.partitions_for_topic(topic):
            return len(known)
        # Asking Kafka about one name creates the topic where `auto.create.topics.enable` is
        # on, as by default; asking about all does not.
        cluster = await client.fetch_all_metadata()
        common_count([topic], dict.fromkeys(cluster.topics(), 1))
        return len(await self._producer.partitions_for(topic))

    async def send(self, queues: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Returns when all batches are acknowledged, or raises when the outcome of all is known or
        does not matter any more."""
        # Callers take turns here: in aiokafka, who waits longest for a full partition is not the
        # first to go on, and its time-out counts what has passed several times. They take them in
        # one order, so that nobody waits for who waits for him.
        taken = []
        try:
            for part in sorted(queues):
                await self._turns[part].acquire()
                taken.append(self._turns[part])
            for batches in zip_longest(*queues.values()):
                async with asyncio.timeout(self._deadline_seconds):
                    await self._round(zip(queues, batches, strict=True))
        finally:
            for turn in taken:
                turn.release()

    async def _round(self, batches: Iterable[tuple[TopicPartition, Any]]) -> None:
        """Send one batch to each partition that has one left, without a task for each of them."""
        under_way = _Round()
        self._under_way.add(under_way)
        try:
            for part, batch in batches:
                if batch is not None:
                    under_way.add(
                        await self._producer.send_batch(batch, part.topic, partition=part.partition)
                    )
                    self._unacknowledged += 1
            await under_way.wait()
        finally:
            self._under_way.discard(under_way)
            self._unacknowledged -= under_way.decided
            under_way.leave()

    async def close(self) -> None:
        """End the producer; what is not acknowledged is dropped."""
        if self._closed:
            return
        self._closed = True
        for under_way in self._under_way:
            under_way.fail(KafkaTimeoutError("the producer was closed after another failure"))
        if self._unacknowledged:
            await _abandon(self._producer)
        else:
            await self._producer.stop()


class _Round:
    """Some batches under way at once."""

    def __init__(self) -> None:
        self.decided = 0
        """Batches whose outcome is known."""
        self._deliveries: list[asyncio.Future[Any]] = []
        self._complete = False
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, delivery: asyncio.Future[Any]) -> None:
        """One more. Its future is given up with the round; the batch goes its way."""
        self._deliveries.append(delivery)
        delivery.add_done_callback(self._decide)

    async def wait(self) -> None:
        """Until the outcome of all is known. Raises the first failure among them."""
        self._complete = True
        self._end()
        await self._ended
        for delivery in self._deliveries:
            delivery.result()

    def fail(self, error: Exception) -> None:
        """Who waits, or is going to, waits no longer."""
        if not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # seen, so that nobody warns if it is not waited for

    def leave(self) -> None:
        """Nobody waits any more."""
        self._ended.cancel()
        for delivery in self._deliveries:
            delivery.cancel()

    def _decide(self, delivery: asyncio.Future[Any]) -> None:
        if not delivery.cancelled():
            delivery.exception()  # seen; `wait` raises the first one
            self.decided += 1
            self._end()

    def _end(self) -> None:
        if self._complete and self.decided == len(self._deliveries) and not self._ended.done():
            self._ended.set_result(None)


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
