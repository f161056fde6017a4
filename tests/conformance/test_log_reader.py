"""What every reader from outside promises, in memory and on Kafka: one test per promise."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.errors import Incompatible, Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import create_topics, partition_counts
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_reader import KafkaReader
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.ports import LogReader, Message, Publisher, Record
from stream_app.streams.topics import Topic
from tests.services import kafka

PARTITIONS = 2


class World(Protocol):
    """A reader under test, and an empty topic."""

    reader: LogReader
    publisher: Publisher
    topic: str

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def delete_records(self, partition: int, before: int) -> None:
        """What retention does."""

    async def topics(self) -> set[str]: ...


class InMemory:
    topic = "letters"

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.reader = MemoryReader(self.broker)
        self.publisher = MemoryPublisher(self.broker)

    async def open(self) -> None:
        self.broker.create_topic(self.topic, PARTITIONS)

    async def close(self) -> None:
        pass

    async def delete_records(self, partition: int, before: int) -> None:
        self.broker.delete_records(self.topic, partition, before)

    async def topics(self) -> set[str]:
        return set(self.broker.topics)


class OnKafka:
    def __init__(self, bootstrap: str) -> None:
        self.settings = KafkaSettings(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
        self.topic = f"test-{uuid.uuid4().hex[:8]}.letters"
        self.reader = KafkaReader(self.settings, "test")
        self.publisher = KafkaPublisher(self.settings)

    async def open(self) -> None:
        await create_topics(self.settings, [Topic(self.topic, "output", "", PARTITIONS)])
        await self.reader.start()

    async def close(self) -> None:
        await self.reader.stop()
        await self.publisher.stop()

    async def delete_records(self, partition: int, before: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)
        await admin.start()
        part = TopicPartition(self.topic, partition)
        await admin.delete_records({part: RecordsToDelete(before_offset=before)})
        await admin.close()

    async def topics(self) -> set[str]:
        return set(await partition_counts(self.settings))


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        under_test: World = InMemory()
    else:
        under_test = OnKafka(request.getfixturevalue("kafka_bootstrap"))
    await under_test.open()
    yield under_test
    await under_test.close()


async def publish(world: World, first: int, last: int) -> None:
    messages = [
        Message(world.topic, b"key-%d" % n, None if n % 7 == 0 else b"%d" % n, (("n", b"%d" % n),))
        for n in range(first, last)
    ]
    await world.publisher.publish(messages)


async def read(world: World, stretches: dict[int, range]) -> list[Record]:
    return [r async for batch in world.reader.read(world.topic, stretches) for r in batch]


def numbers(records: list[Record]) -> list[int]:
    return sorted(int(dict(record.headers)["n"]) for record in records)


async def test_everything_there_is_can_be_read_and_again(world: World) -> None:
    await publish(world, 0, 1_200)
    stretches = await world.reader.stretches(world.topic)
    assert set(stretches) == set(range(PARTITIONS))
    for _ in range(2):
        records = await read(world, stretches)
        assert numbers(records) == list(range(1_200))
        assert {r.value for r in records if int(dict(r.headers)["n"]) % 7 == 0} == {None}
        for partition, stretch in stretches.items():
            offsets = [r.offset for r in records if r.partition == partition]
            assert offsets == list(stretch)


async def test_batches_are_bounded(world: World) -> None:
    await publish(world, 0, 1_200)
    stretches = await world.reader.stretches(world.topic)
    sizes = [len(batch) async for batch in world.reader.read(world.topic, stretches)]
    assert 0 < max(sizes) <= 500


async def test_an_empty_topic_has_nothing_and_does_not_wait(world: World) -> None:
    stretches = await world.reader.stretches(world.topic)
    assert set(stretches.values()) == {range(0)}
    assert await read(world, stretches) == []


async def test_what_came_after_the_stretches_were_asked_for_is_not_read(world: World) -> None:
    await publish(world, 0, 20)
    before = await world.reader.stretches(world.topic)
    await publish(world, 20, 40)
    after = await world.reader.stretches(world.topic)
    assert numbers(await read(world, before)) == list(range(20))
    tail = {p: range(before[p].stop, after[p].stop) for p in after}
    assert numbers(await read(world, tail)) == list(range(20, 40))


async def test_a_part_of_one_partition(world: World) -> None:
    await publish(world, 0, 40)
    records = await read(world, {1: range(3, 6)})
    assert [(r.partition, r.offset) for r in records] == [(1, 3), (1, 4), (1, 5)]


async def test_reading_may_be_left_before_its_end(world: World) -> None:
    await publish(world, 0, 1_200)
    stretches = await world.reader.stretches(world.topic)
    async for batch in world.reader.read(world.topic, stretches):
        assert batch
        break
    assert numbers(await read(world, stretches)) == list(range(1_200))


async def test_what_retention_has_removed_is_passed_over(world: World) -> None:
    await publish(world, 0, 40)
    stretches = await world.reader.stretches(world.topic)
    await world.delete_records(0, 5)
    assert (await world.reader.stretches(world.topic))[0].start == 5
    records = await read(world, stretches)
    assert [r.offset for r in records if r.partition == 0] == list(stretches[0])[5:]
    await world.delete_records(0, stretches[0].stop)
    assert await read(world, {0: stretches[0]}) == []


async def test_from_an_instant_on(world: World) -> None:
    await publish(world, 0, 20)
    stretches = await world.reader.stretches(world.topic)
    written_ms = max(record.timestamp for record in await read(world, stretches))
    since = await world.reader.stretches(world.topic, (written_ms + 1) * 1_000)
    assert [len(stretch) for stretch in since.values()] == [0] * PARTITIONS
    since = await world.reader.stretches(world.topic, written_ms * 1_000)
    assert max(r.timestamp for r in await read(world, since)) == written_ms
    assert await world.reader.stretches(world.topic, 0) == stretches


async def test_a_topic_that_is_missing_is_named_and_not_made(world: World) -> None:
    with pytest.raises(Incompatible, match="missing-one"):
        await world.reader.stretches("missing-one")
    assert "missing-one" not in await world.topics()


@pytest.mark.integration
async def test_kafka_goes_away_while_it_is_read() -> None:
    with kafka(own=True) as service:
        world = OnKafka(service.address)
        await world.open()
        await publish(world, 0, 2_000)
        stretches = await world.reader.stretches(world.topic)
        service.kill()
        try:
            with pytest.raises(Unavailable):
                await read(world, {p: range(s.start, s.stop + 1) for p, s in stretches.items()})
        finally:
            await world.close()
