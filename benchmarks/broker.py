"""The Kafka of a run: topics, the load on them, and what contenders publish."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.load import FIRST, INPUTS, LAST, Item, Load, items, marker
from stream_app.streams import topics
from stream_app.streams.partitioning import partition_of

PARTITIONS = 8
"""Of each topic; the product's default."""
_BATCH_BYTES = 256 * 1024
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Written:
    """A load that lies on the log."""

    prefix: str
    load: Load
    records: int
    """Markers included."""
    ends: Mapping[TopicPartition, int]

    @property
    def inputs(self) -> list[str]:
        """Names of the three topics."""
        return [self.prefix + topic for topic in INPUTS]


class Broker:
    """Everything that is asked of Kafka."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    async def create_all(self, prefix: str) -> None:
        """Every topic of the product under a prefix. On what is published the broker writes down
        when it came, so that no contender's own clock counts."""
        named = topics.with_prefix(prefix)
        await self._create(
            {
                topic.name: (
                    1 if topic.partitions == 1 else PARTITIONS,
                    topic.config | {"message.timestamp.type": "LogAppendTime"},
                )
                for topic in named
            }
        )

    async def create(self, name: str) -> None:
        """A topic for what a peer publishes."""
        await self._create({name: (PARTITIONS, {"message.timestamp.type": "LogAppendTime"})})

    async def forget(self, word: str) -> None:
        """Delete the topics whose names have this word: what a peer made and what it published."""
        async with self._admin() as admin:
            names = [topic for topic in await admin.list_topics() if word in topic]
            if names:
                await admin.delete_topics(names)

    async def write(self, prefix: str, load: Load, *, tag: str = "") -> Written:
        """Write a load, with markers as the first and the last record of every partition. `tag`:
        of the markers, where the topics have had others."""
        every = [(topic, p) for topic in INPUTS for p in range(PARTITIONS)]
        begins_us = load.ends_us - round(load.span_seconds * 1e6)
        queues: defaultdict[TopicPartition, list[Item]] = defaultdict(list)

        def put(item: Item) -> None:
            partition = partition_of(item.account.encode(), PARTITIONS)
            queues[TopicPartition(prefix + item.topic, partition)].append(item)

        for topic, partition in every:
            put(marker(FIRST + tag, topic, partition, PARTITIONS, begins_us))
        for item in items(load):
            put(item)
        for topic, partition in every:
            put(marker(LAST + tag, topic, partition, PARTITIONS, load.ends_us))
        async with self.producer() as producer:
            await asyncio.gather(*(_send(producer, part, q) for part, q in queues.items()))
        ends = await self.ends([prefix + topic for topic in INPUTS])
        return Written(prefix, load, sum(map(len, queues.values())), ends)

    async def put(self, prefix: str, batch: Iterable[Item]) -> None:
        """Write some records."""
        queues: defaultdict[TopicPartition, list[Item]] = defaultdict(list)
        for item in batch:
            partition = partition_of(item.account.encode(), PARTITIONS)
            queues[TopicPartition(prefix + item.topic, partition)].append(item)
        async with self.producer() as producer:
            await asyncio.gather(*(_send(producer, part, q) for part, q in queues.items()))

    async def ends(self, names: Sequence[str]) -> dict[TopicPartition, int]:
        """Where each partition of these topics ends now."""
        async with self.consumer() as consumer:
            return dict(await consumer.end_offsets(_parts(names)))

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """An idempotent one."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            enable_idempotence=True,
            acks="all",
            max_batch_size=_BATCH_BYTES,
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def consumer(self, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
        """One without a group."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, **options
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def watching(self, topic: str, *, prompt: bool = False) -> AsyncIterator[Watch]:
        """What is published on a topic from now on. `prompt`: as soon as it is there; else in few,
        large answers, because to watch takes time from whom it watches."""
        least = 1 if prompt else 65_536
        async with self.consumer(fetch_min_bytes=least, fetch_max_wait_ms=250) as consumer:
            parts = _parts([topic])
            consumer.assign(parts)
            for part, end in (await consumer.end_offsets(parts)).items():
                consumer.seek(part, end)
            yield Watch(consumer)

    async def _create(self, wanted: Mapping[str, tuple[int, dict[str, str]]]) -> None:
        async with self._admin() as admin:
            await admin.create_topics(
                [NewTopic(n, count, 1, topic_configs=c) for n, (count, c) in wanted.items()]
            )
            while True:
                known = {t["topic"] for t in await admin.describe_topics() if not t["error_code"]}
                if wanted.keys() <= known:
                    return
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


class Watch:
    """Reads what is published, and keeps it."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.records: list[Any] = []
        self._marked: dict[str, float] = {}

    @property
    def marked(self) -> Mapping[str, float]:
        """Marker account -> when its change was appended, seconds since 1970."""
        return self._marked

    async def until(
        self, done: Callable[[Watch], bool], patience_seconds: float, check: Callable[[], None]
    ) -> None:
        """Read until `done`. Raises TimeoutError, and what `check` raises, which is called now and
        then."""
        deadline = time.monotonic() + patience_seconds
        while not done(self):
            if time.monotonic() > deadline:
                raise TimeoutError
            check()
            for record in await self.some():
                self.records.append(record)
                if record.key.startswith((FIRST.encode(), LAST.encode())):
                    self._marked.setdefault(record.key.decode(), record.timestamp / 1e3)

    async def some(self) -> list[Any]:
        """What has come, after a tenth of a second at most."""
        fetched = await self._consumer.getmany(timeout_ms=int(_LOOK_SECONDS * 1e3))
        return [record for records in fetched.values() for record in records]


def drained(watch: Watch) -> bool:
    """Whether the change of every last marker was seen."""
    wanted = PARTITIONS * len(INPUTS)
    return sum(name.startswith(LAST) for name in watch.marked) == wanted


def finished(watch: Watch) -> float:
    """When the last marker's change was appended."""
    return max(at for name, at in watch.marked.items() if name.startswith(LAST))


def _parts(names: Sequence[str]) -> list[TopicPartition]:
    return [TopicPartition(name, p) for name in names for p in range(PARTITIONS)]


async def _send(producer: AIOKafkaProducer, part: TopicPartition, queue: Sequence[Item]) -> None:
    """Batch after batch, each acknowledged before the next."""
    waiting = list(reversed(queue))
    while waiting:
        batch = producer.create_batch()
        while waiting:
            item = waiting[-1]
            if batch.append(key=item.account.encode(), value=item.value, timestamp=None) is None:
                break
            waiting.pop()
        await (await producer.send_batch(batch, part.topic, partition=part.partition))
