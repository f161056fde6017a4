"""What every event log and publisher promises, in memory and on Kafka: one test per promise."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app import native
from stream_app.errors import Incompatible, Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_log import KafkaLog
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_records import KafkaRecord
from stream_app.streams.memory_log import MemoryBroker, MemoryLog, MemoryPublisher
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import EventLog, Message, Publisher, Record
from stream_app.streams.topics import Topic
from tests.services import Service, kafka

PATIENCE_SECONDS = 30.0
"""After so long something never happens. No test that passes waits for it."""
SHORT_SECONDS = 0.4
"""How long a test looks for something that must not come."""
PARTITIONS = 4
GROUP = "workers"


class World(Protocol):
    """A log under test, empty at first."""

    async def create_topic(self, name: str, partitions: int = PARTITIONS) -> str:
        """Returns the full name."""

    def log(self, topics: Iterable[str]) -> EventLog:
        """A member of the only group."""

    async def publisher(self) -> Publisher: ...

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        """What retention does."""

    async def progress(self) -> Mapping[tuple[str, int], int]:
        """What the group shows for lag displays."""

    async def close(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.logs: list[EventLog] = []

    async def create_topic(self, name: str, partitions: int = PARTITIONS) -> str:
        self.broker.create_topic(name, partitions)
        return name

    def log(self, topics: Iterable[str]) -> EventLog:
        self.logs.append(MemoryLog(self.broker, GROUP, tuple(topics)))
        return self.logs[-1]

    async def publisher(self) -> Publisher:
        return MemoryPublisher(self.broker)

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        self.broker.delete_records(topic, partition, before)

    async def progress(self) -> Mapping[tuple[str, int], int]:
        return self.broker.progress(GROUP)

    async def close(self) -> None:
        for log in self.logs:
            await log.stop()


class OnKafka:
    """Topics and groups have names of their own, so that tests do not meet."""

    def __init__(self, bootstrap: str) -> None:
        self.prefix = f"test-{uuid.uuid4().hex[:8]}."
        self.settings = KafkaSettings(
            bootstrap_servers=bootstrap,
            group=self.prefix + GROUP,
            session_timeout_ms=3_000,
            request_timeout_ms=5_000,
        )
        self.admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self.logs: list[KafkaLog] = []
        self.publishers: list[KafkaPublisher] = []

    async def create_topic(self, name: str, partitions: int = PARTITIONS) -> str:
        topic = Topic(self.prefix + name, "output", "", partitions)
        await create_topics(self.settings, [topic])
        return topic.name

    def log(self, topics: Iterable[str]) -> KafkaLog:
        self.logs.append(KafkaLog(self.settings, tuple(topics)))
        return self.logs[-1]

    async def publisher(self) -> KafkaPublisher:
        publisher = KafkaPublisher(self.settings)
        self.publishers.append(publisher)
        await publisher.start()
        return publisher

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        await self.admin.start()
        target = {TopicPartition(topic, partition): RecordsToDelete(before_offset=before)}
        await self.admin.delete_records(target)

    async def progress(self) -> Mapping[tuple[str, int], int]:
        await self.admin.start()
        found = await self.admin.list_consumer_group_offsets(self.settings.group)
        return {(part.topic, part.partition): at.offset for part, at in found.items()}

    async def close(self) -> None:
        await self.stop_clients()
        await self.admin.close()

    async def stop_clients(self) -> None:
        for log in self.logs:
            await log.stop()
        for publisher in self.publishers:
            await publisher.stop()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        under_test: World = InMemory()
    else:
        under_test = OnKafka(request.getfixturevalue("kafka_bootstrap"))
    yield under_test
    await under_test.close()


@pytest.fixture
async def on_kafka(kafka_bootstrap: str) -> AsyncIterator[OnKafka]:
    under_test = OnKafka(kafka_bootstrap)
    yield under_test
    await under_test.close()
    assert not left_behind()


class Journal:
    """What the members of a group were told, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.changed = asyncio.Condition()


class Member:
    """A listener that writes down what it is told, and can be made to take its time or fail."""

    def __init__(self, log: EventLog, name: str = "", journal: Journal | None = None) -> None:
        self.log = log
        self.name = name
        self.journal = journal or Journal()
        self.assignments: list[frozenset[int]] = []
        self.revocations: list[frozenset[int]] = []
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.fails_with: Exception | None = None

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        await self._note(self.revocations, partitions, "is asked to give up")
        await self.may_finish.wait()
        self.journal.entries.append(f"{self.name} has given up")

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        await self._note(self.assignments, partitions, f"has {sorted(partitions)}")
        await self.may_finish.wait()
        if self.fails_with is not None:
            raise self.fails_with

    async def _note(
        self, book: list[frozenset[int]], partitions: frozenset[int], what: str
    ) -> None:
        async with self.journal.changed:
            book.append(partitions)
            self.journal.entries.append(f"{self.name} {what}")
            self.journal.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self.journal.changed:
            await self.journal.changed.wait_for(condition)

    async def until_it_has(self, partitions: Iterable[int]) -> None:
        wanted = frozenset(partitions)
        await self.until(lambda: self.assignments[-1:] == [wanted])

    async def seek_all(self) -> None:
        """From the beginning."""
        for partition in self.assignments[-1]:
            await self.log.seek(partition, {})

    async def read(self, count: int) -> dict[int, list[Record]]:
        """Poll until so many records have come, or more."""
        found: dict[int, list[Record]] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(map(len, found.values())) < count:
                for partition, records in (await self.log.poll(1_000, 1.0)).items():
                    found.setdefault(partition, []).extend(records)
        return found

    async def poll_until_it_raises(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await self.log.poll(1_000, 0.2)

    async def poll_for_ever(self) -> None:
        while True:
            await self.log.poll(1_000, 0.2)

    async def reads_nothing(self) -> bool:
        return not await self.log.poll(1_000, SHORT_SECONDS)


async def alone(world: World, *topics: str) -> Member:
    """The only member of the group, with all partitions, none of them sought."""
    member = Member(world.log(topics))
    await member.log.start(member)
    await member.until_it_has(range(PARTITIONS))
    return member


async def publish(world: World, *messages: Message) -> None:
    await (await world.publisher()).publish(messages)


def key_of(partition: int, partitions: int = PARTITIONS) -> bytes:
    """A key that belongs there."""
    keys = (f"account-{number}".encode() for number in range(10_000))
    return next(key for key in keys if partition_of(key, partitions) == partition)


def numbered(topic: str, partition: int, count: int, start: int = 0) -> list[Message]:
    key = key_of(partition)
    return [Message(topic, key, str(number).encode()) for number in range(start, start + count)]


def values(records: Iterable[Record], topic: str | None = None) -> list[int]:
    return [int(record.value) for record in records if topic in {None, record.topic}]


# Starting


async def test_start_tells_the_number_of_partitions(world: World) -> None:
    topics = [await world.create_topic("visits"), await world.create_topic("mail")]
    log = world.log(topics)
    assert log.topics == tuple(topics)
    assert await log.start(Member(log)) == PARTITIONS


async def test_topics_with_different_numbers_of_partitions_are_refused(world: World) -> None:
    topics = [await world.create_topic("visits", 4), await world.create_topic("mail", 3)]
    log = world.log(topics)
    with pytest.raises(Incompatible, match=f"{topics[0]} has 4, {topics[1]} has 3"):
        await log.start(Member(log))


async def test_a_missing_topic_is_named_with_the_remedy(world: World) -> None:
    log = world.log([await world.create_topic("visits"), "no-such-topic"])
    with pytest.raises(Incompatible, match="missing topic: no-such-topic") as failure:
        await log.start(Member(log))
    assert "stream-app topics create" in failure.value.hint


# Reading


async def test_nothing_is_delivered_before_seek(world: World) -> None:
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, partition=0, count=3))
    member = await alone(world, topic)
    assert await member.reads_nothing()
    await member.log.seek(0, {})
    assert values((await member.read(3))[0]) == [0, 1, 2]


async def test_only_the_sought_partition_is_delivered(world: World) -> None:
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, 0, 3), *numbered(topic, 1, 3))
    member = await alone(world, topic)
    await member.log.seek(1, {})
    assert set(await member.read(3)) == {1}
    assert await member.reads_nothing()


async def test_each_topic_comes_in_the_order_of_its_offsets(world: World) -> None:
    topics = [await world.create_topic("visits"), await world.create_topic("mail")]
    member = await alone(world, *topics)
    await member.seek_all()
    for start in range(0, 60, 20):
        for topic in topics:
            await publish(world, *numbered(topic, 2, 20, start))
    records = (await member.read(120))[2]
    for topic in topics:
        assert values(records, topic) == list(range(60))
        assert [record.offset for record in records if record.topic == topic] == list(range(60))


async def test_reading_starts_at_the_stored_offsets(world: World) -> None:
    topics = [await world.create_topic("visits"), await world.create_topic("mail")]
    for topic in topics:
        await publish(world, *numbered(topic, 0, 10))
    member = await alone(world, *topics)
    offsets = {topics[0]: 7, topics[1]: 9}
    assert await member.log.seek(0, offsets) == offsets
    records = (await member.read(4))[0]
    assert values(records, topics[0]) == [7, 8, 9]
    assert values(records, topics[1]) == [9]


async def test_a_topic_without_a_stored_offset_starts_at_its_beginning(world: World) -> None:
    topics = [await world.create_topic("visits"), await world.create_topic("new")]
    for topic in topics:
        await publish(world, *numbered(topic, 0, 5))
    await world.delete_records(topics[1], 0, before=2)
    member = await alone(world, *topics)
    assert await member.log.seek(0, {topics[0]: 5}) == {topics[0]: 5, topics[1]: 2}
    assert values((await member.read(3))[0], topics[1]) == [2, 3, 4]


async def test_an_offset_that_retention_removed_becomes_the_earliest_there_is(
    world: World,
) -> None:
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, 0, 10))
    await world.delete_records(topic, 0, before=6)
    member = await alone(world, topic)
    assert await member.log.seek(0, {topic: 3}) == {topic: 6}
    assert values((await member.read(4))[0]) == [6, 7, 8, 9]


async def test_an_offset_beyond_the_end_becomes_the_earliest_there_is(world: World) -> None:
    """The topic was deleted and created anew: what it holds now was never read."""
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, 0, 2))
    member = await alone(world, topic)
    assert await member.log.seek(0, {topic: 3}) == {topic: 0}
    assert await member.log.seek(0, {topic: 2}) == {topic: 2}
    assert await member.reads_nothing()


async def test_a_partition_of_others_cannot_be_sought(world: World) -> None:
    topic = await world.create_topic("visits")
    member = await alone(world, topic)
    assert await member.log.seek(PARTITIONS, {}) == {}
    assert await member.reads_nothing()


async def test_a_paused_partition_waits_for_the_next_seek(world: World) -> None:
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, 0, 5))
    member = await alone(world, topic)
    await member.seek_all()
    await member.read(5)
    member.log.pause(0)
    await publish(world, *numbered(topic, 0, 5, start=5), *numbered(topic, 1, 1))
    assert set(await member.read(1)) == {1}
    assert await member.reads_nothing()
    await member.log.seek(0, {topic: 3})
    assert values((await member.read(7))[0]) == [3, 4, 5, 6, 7, 8, 9]


async def test_poll_gives_no_more_than_asked_and_keeps_the_rest(world: World) -> None:
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, 0, 10), *numbered(topic, 1, 10))
    member = await alone(world, topic)
    await member.seek_all()
    found: dict[int, list[int]] = {0: [], 1: []}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(map(len, found.values())) < 20:
            batches = await member.log.poll(3, 1.0)
            assert sum(map(len, batches.values())) <= 3
            for partition, records in batches.items():
                found[partition] += values(records)
    assert found == {0: list(range(10)), 1: list(range(10))}


async def test_end_offsets_are_the_next_to_be_written(world: World) -> None:
    topics = [await world.create_topic("visits"), await world.create_topic("mail")]
    member = await alone(world, *topics)
    await publish(world, *numbered(topics[0], 1, 3))
    assert await member.log.end_offsets(1) == {topics[0]: 3, topics[1]: 0}


async def test_progress_shows_in_the_group(world: World) -> None:
    topic = await world.create_topic("visits")
    await publish(world, *numbered(topic, 1, 3))
    member = await alone(world, topic)
    member.log.show_progress(1, {topic: 2})
    member.log.show_progress(1, {topic: 3})
    await member.log.stop()
    assert (await world.progress())[topic, 1] == 3


# Sharing


async def two_members(world: World, *topics: str) -> tuple[Member, Member]:
    journal = Journal()
    first = Member(world.log(topics), "first", journal)
    await first.log.start(first)
    await first.until_it_has(range(PARTITIONS))
    second = Member(world.log(topics), "second", journal)
    await second.log.start(second)
    return first, second


async def both_share(first: Member, second: Member) -> None:
    await first.until(lambda: len(first.assignments[-1]) == PARTITIONS // 2)
    await second.until(lambda: [len(share) for share in second.assignments[-1:]] == [2])


async def test_members_split_the_partitions_and_keep_the_topics_of_each_together(
    world: World,
) -> None:
    topics = [await world.create_topic(name) for name in ("visits", "downloads", "mail")]
    journal = Journal()
    members = [Member(world.log(topics), str(number), journal) for number in range(3)]
    for member in members:
        await member.log.start(member)

    def shared() -> bool:
        shares = [member.assignments[-1] for member in members if member.assignments]
        return sorted(map(len, shares)) == [1, 1, 2]

    await members[0].until(shared)
    assert frozenset().union(*(m.assignments[-1] for m in members)) == set(range(PARTITIONS))
    for topic in topics:
        await publish(world, *(m for p in range(PARTITIONS) for m in numbered(topic, p, 1)))
    for member in members:
        await member.seek_all()
        found = await member.read(3 * len(member.assignments[-1]))
        assert set(found) == member.assignments[-1]
        assert all({r.topic for r in records} == set(topics) for records in found.values())
        assert await member.reads_nothing()


async def test_nobody_gets_a_partition_before_its_owner_has_given_it_up(world: World) -> None:
    topic = await world.create_topic("visits")
    first, second = await two_members(world, topic)
    first.may_finish.clear()
    await first.until(lambda: first.revocations == [frozenset(range(PARTITIONS))])
    assert await second.reads_nothing()
    assert not second.assignments
    first.may_finish.set()
    await both_share(first, second)
    order = first.journal.entries
    assert order.index("first has given up") < min(
        place for place, entry in enumerate(order) if entry.startswith("second has")
    )


async def test_records_stop_as_soon_as_a_partition_is_being_given_up(world: World) -> None:
    topic = await world.create_topic("visits")
    first = await alone(world, topic)
    await first.seek_all()
    first.may_finish.clear()
    second = Member(world.log([topic]))
    await second.log.start(second)
    await first.until(lambda: len(first.revocations) == 1)
    await publish(world, *numbered(topic, 0, 1))
    assert await first.reads_nothing()
    assert await first.log.seek(0, {}) == {}
    assert await first.reads_nothing()
    first.may_finish.set()
    await both_share(first, second)


async def test_the_listener_is_called_once_at_a_time(world: World) -> None:
    topic = await world.create_topic("visits")
    first = Member(world.log([topic]), "first")
    first.may_finish.clear()
    await first.log.start(first)
    await first.until_it_has(range(PARTITIONS))
    second = Member(world.log([topic]), "second", first.journal)
    await second.log.start(second)
    assert await first.reads_nothing()
    assert not first.revocations
    first.may_finish.set()
    await both_share(first, second)
    assert len(first.revocations) == 1


async def test_a_partition_that_is_kept_waits_for_seek_again(world: World) -> None:
    topic = await world.create_topic("visits")
    first = await alone(world, topic)
    await first.seek_all()
    await publish(world, *(m for p in range(PARTITIONS) for m in numbered(topic, p, 2)))
    await first.read(2 * PARTITIONS)
    second = Member(world.log([topic]))
    await second.log.start(second)
    await both_share(first, second)
    kept = min(first.assignments[-1])
    await publish(world, *numbered(topic, kept, 2, start=2))
    assert await first.reads_nothing()
    assert await first.log.seek(kept, {topic: 1}) == {topic: 1}
    assert values((await first.read(3))[kept]) == [1, 2, 3]


async def test_when_a_member_leaves_the_others_take_over_at_once(world: World) -> None:
    topic = await world.create_topic("visits")
    first, second = await two_members(world, topic)
    await both_share(first, second)
    given_up = len(first.revocations)
    await first.log.stop()
    await second.until_it_has(range(PARTITIONS))
    assert len(first.revocations) == given_up, "a member that leaves is not called any more"
    await publish(world, *(m for p in range(PARTITIONS) for m in numbered(topic, p, 1)))
    await second.seek_all()
    assert set(await second.read(PARTITIONS)) == set(range(PARTITIONS))


async def test_more_members_than_partitions_leave_some_without(world: World) -> None:
    topic = await world.create_topic("visits", 1)
    first = Member(world.log([topic]))
    await first.log.start(first)
    await first.until_it_has({0})
    second = Member(world.log([topic]))
    await second.log.start(second)
    await second.until(lambda: len(second.assignments) > 0)
    await first.until(lambda: len(first.assignments) > 1)
    assert sorted(len(member.assignments[-1]) for member in (first, second)) == [0, 1]


async def test_what_the_listener_raises_comes_out_of_poll(world: World) -> None:
    topic = await world.create_topic("visits")
    member = Member(world.log([topic]))
    member.fails_with = ZeroDivisionError("on purpose")
    await member.log.start(member)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        await member.poll_until_it_raises()


# Publishing


async def test_what_publish_returned_for_can_be_read(world: World) -> None:
    topic = await world.create_topic("changes")
    member = await alone(world, topic)
    await publish(world, *(m for p in range(PARTITIONS) for m in numbered(topic, p, 50)))
    ends = [await member.log.end_offsets(partition) for partition in range(PARTITIONS)]
    assert ends == [{topic: 50}] * PARTITIONS


async def test_messages_of_a_key_keep_their_order(world: World) -> None:
    topic = await world.create_topic("changes")
    publisher = await world.publisher()
    keys = [key_of(partition) for partition in range(PARTITIONS)]
    for start in range(0, 3_000, 1_000):
        await publisher.publish(
            [
                Message(topic, keys[number % PARTITIONS], str(number).encode())
                for number in range(start, start + 1_000)
            ]
        )
    member = await alone(world, topic)
    await member.seek_all()
    for partition, records in (await member.read(3_000)).items():
        assert values(records) == list(range(partition, 3_000, PARTITIONS))
        assert {record.key for record in records} == {keys[partition]}


async def test_calls_at_the_same_time_do_not_mix_up_a_key(world: World) -> None:
    topic = await world.create_topic("changes")
    publisher = await world.publisher()
    calls = [publisher.publish(numbered(topic, 0, 20, start)) for start in range(0, 200, 20)]
    await asyncio.gather(*calls)
    member = await alone(world, topic)
    await member.seek_all()
    found = values((await member.read(200))[0])
    for start in range(0, 200, 20):
        assert [each for each in found if start <= each < start + 20] == list(
            range(start, start + 20)
        )


async def test_keys_values_and_headers_arrive_as_they_were(world: World) -> None:
    topic = await world.create_topic("changes", 1)
    headers = (("ce_id", b"a:1"), ("ce_id", b"twice"), ("empty", b""), ("ü", bytes(range(256))))
    sent = [
        Message(topic, b"key", b"value", headers),
        Message(topic, b"tombstone", None),
        Message(topic, None, b"no key"),
        Message(topic, b"", b""),
        Message(topic, bytes(range(256)), bytes(range(256))),
    ]
    await publish(world, *sent)
    member = Member(world.log([topic]))
    await member.log.start(member)
    await member.until_it_has({0})
    await member.seek_all()
    records = (await member.read(len(sent)))[0]
    assert [(r.key, r.value, tuple(r.headers)) for r in records] == [
        (m.key, m.value, m.headers) for m in sent
    ]
    assert all(record.topic == topic and record.timestamp > 0 for record in records)


async def test_publishing_to_a_missing_topic_is_refused_with_the_remedy(world: World) -> None:
    publisher = await world.publisher()
    with pytest.raises(Incompatible, match="missing topic: no-such-topic") as failure:
        await publisher.publish([Message("no-such-topic", b"key", b"value")])
    assert "stream-app topics create" in failure.value.hint


async def test_publishing_nothing_is_fine(world: World) -> None:
    await (await world.publisher()).publish([])


# In memory only: what simulations need


async def test_a_zombie_reads_on_while_another_owns_its_partitions() -> None:
    world = InMemory()
    first, second = await two_members(world, await world.create_topic("visits"))
    await both_share(first, second)
    await first.seek_all()
    zombie = first.log
    assert isinstance(zombie, MemoryLog)
    zombie.expire()
    await second.until_it_has(range(PARTITIONS))
    await publish(world, *numbered("visits", 0, 1))
    assert values((await first.read(1))[0]) == [0], "it does not know yet"
    await zombie.rejoin()
    assert first.revocations[-1] == {0, 1}
    await both_share(first, second)
    await world.close()


async def test_a_frozen_listener_does_not_stop_the_others_once_its_session_expires() -> None:
    world = InMemory()
    first, second = await two_members(world, await world.create_topic("visits"))
    first.may_finish.clear()
    await first.until(lambda: len(first.revocations) == 1)
    assert isinstance(first.log, MemoryLog)
    first.log.expire()
    await second.until_it_has(range(PARTITIONS))
    await world.close()


async def test_a_limited_topic_forgets_the_oldest_and_says_so() -> None:
    world = InMemory()
    world.broker.create_topic("visits", PARTITIONS, max_records=10)
    await publish(world, *numbered("visits", 0, 8))
    member = await alone(world, "visits")
    await member.seek_all()
    await publish(world, *numbered("visits", 0, 992, start=8))
    assert await member.reads_nothing()
    await member.until(lambda: len(member.assignments) == 2)
    [used] = (await member.log.seek(0, {"visits": 8})).values()
    kept = values((await member.read(10))[0])
    assert kept == list(range(used, 1_000))
    assert 10 <= len(kept) <= 20
    await world.close()


# On Kafka only


async def test_what_a_transaction_took_back_is_not_delivered(on_kafka: OnKafka) -> None:
    topic = await on_kafka.create_topic("visits")
    async with AIOKafkaProducer(
        bootstrap_servers=on_kafka.settings.bootstrap_servers, transactional_id=topic
    ) as producer:
        for number, keep in enumerate([True, False, True]):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, str(number).encode(), key_of(0))
            await (producer.commit_transaction if keep else producer.abort_transaction)()
    member = await alone(on_kafka, topic)
    await member.seek_all()
    records = (await member.read(2))[0]
    assert values(records) == [0, 2]
    assert await member.log.seek(0, {topic: records[-1].offset + 1})
    assert await member.reads_nothing()


async def test_what_a_producer_has_compressed_is_read(on_kafka: OnKafka, both_paths: str) -> None:
    topic = await on_kafka.create_topic("visits")
    kinds = ("gzip", "snappy", "lz4", "zstd", None)
    long = b" " * 1_000
    for number, kind in enumerate(kinds):
        async with AIOKafkaProducer(
            bootstrap_servers=on_kafka.settings.bootstrap_servers, compression_type=kind
        ) as producer:
            named = [("kind", str(kind).encode())]
            value = b"%d%b" % (number, long)
            await producer.send_and_wait(topic, value, key_of(0), partition=0, headers=named)
    member = await alone(on_kafka, topic)
    await member.seek_all()
    records = (await member.read(len(kinds)))[0]
    assert values(records) == list(range(len(kinds)))
    assert [dict(record.headers)["kind"] for record in records] == [
        str(kind).encode() for kind in kinds
    ]
    expected = native.compiled.FetchedRecord if both_paths == "native" else KafkaRecord
    assert {type(record) for record in records} == {expected}


async def test_an_offset_lost_while_reading_has_the_partitions_assigned_anew(
    on_kafka: OnKafka,
) -> None:
    topic = await on_kafka.create_topic("visits")
    await publish(on_kafka, *numbered(topic, 0, 5))
    member = await alone(on_kafka, topic)
    await member.seek_all()
    await member.read(5)
    log = member.log
    assert isinstance(log, KafkaLog)
    assert log._consumer is not None
    log._consumer.seek(TopicPartition(topic, 0), 1_000)  # as if retention had overtaken it
    with pytest.raises(Unavailable, match="OffsetOutOfRange"):
        await member.read(1)
    polling = asyncio.create_task(member.poll_for_ever())
    await member.until(lambda: len(member.assignments) == 2)
    polling.cancel()
    assert member.revocations == [frozenset(range(PARTITIONS))]
    await member.seek_all()
    assert values((await member.read(5))[0]) == [0, 1, 2, 3, 4]


async def test_a_record_that_is_too_large_for_its_topic_is_refused(on_kafka: OnKafka) -> None:
    topic = await on_kafka.create_topic("changes")
    publisher = await on_kafka.publisher()
    await publisher.publish(numbered(topic, 0, 5))
    with pytest.raises(Incompatible, match="MessageSizeTooLarge") as failure:
        await publisher.publish([Message(topic, key_of(0), bytes(9 * 1024 * 1024))])
    assert "max.message.bytes" in failure.value.hint
    # An idempotent producer that went on after this would be refused for ever.
    await publisher.publish(numbered(topic, 0, 5))
    member = await alone(on_kafka, topic)
    assert await member.log.end_offsets(0) == {topic: 10}


@pytest.mark.parametrize("address", ["localhost:1", "no-such-host.invalid:9092"])
async def test_a_kafka_that_is_away_is_unavailable_with_the_reason(address: str) -> None:
    settings = KafkaSettings(bootstrap_servers=address, request_timeout_ms=1_000)
    log = KafkaLog(settings, ["visits"])
    with pytest.raises(Unavailable, match=address):
        await log.start(Member(log))
    with pytest.raises(Unavailable, match=address):
        await KafkaPublisher(settings).start()


async def test_a_member_that_no_longer_polls_loses_its_partitions_until_it_does(
    on_kafka: OnKafka,
) -> None:
    topic = await on_kafka.create_topic("visits")
    on_kafka.settings = on_kafka.settings.model_copy(update={"max_poll_interval_ms": 1_500})
    first, second = await two_members(on_kafka, topic)
    first.may_finish.clear()
    await first.until(lambda: len(first.revocations) == 1)
    assert await first.reads_nothing(), "and what this poll leaves behind must not count as polling"
    first.may_finish.set()
    await both_share(first, second)
    busy = asyncio.create_task(second.poll_for_ever())
    await second.until_it_has(range(PARTITIONS))
    awake = asyncio.create_task(first.poll_for_ever())
    await both_share(first, second)
    for polling in (busy, awake):
        polling.cancel()


async def test_a_listener_may_take_longer_than_the_session_time_out(on_kafka: OnKafka) -> None:
    topic = await on_kafka.create_topic("visits")
    on_kafka.settings = on_kafka.settings.model_copy(update={"session_timeout_ms": 1_000})
    member = Member(on_kafka.log([topic]))
    member.may_finish.clear()
    await member.log.start(member)
    await member.until_it_has(range(PARTITIONS))
    await asyncio.sleep(1.5)  # in which Kafka must hear of the member all the same
    member.may_finish.set()
    assert await member.reads_nothing()
    assert len(member.assignments) == 1
    assert not member.revocations


@pytest.fixture
async def own_kafka() -> AsyncIterator[Service]:
    service = await asyncio.to_thread(kafka, own=True)
    await asyncio.to_thread(service.start)
    yield service
    await asyncio.to_thread(service.close)


@pytest.mark.integration
async def test_outages_are_told_and_everything_goes_on_by_itself(
    own_kafka: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.streams.kafka_log._SILENCE_SECONDS", 2.0)
    world = OnKafka(own_kafka.address)
    topic = await world.create_topic("visits")
    publisher = await world.publisher()
    await publisher.publish(numbered(topic, 0, 1))
    member = await alone(world, topic)
    await member.seek_all()
    await member.read(1)

    await asyncio.to_thread(own_kafka.kill)
    publishing = asyncio.create_task(until_available(publisher, numbered(topic, 0, 1, start=1)))
    with pytest.raises(Unavailable, match="not answered"):
        await member.poll_until_it_raises()
    await asyncio.to_thread(own_kafka.start)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await publishing
        await work_until(member, 1)

    assert own_kafka.pid is not None
    os.kill(own_kafka.pid, signal.SIGSTOP)
    publishing = asyncio.create_task(publisher.publish(numbered(topic, 0, 1)))
    assert await member.reads_nothing()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await world.stop_clients()
    with pytest.raises(Unavailable, match="closed"):
        await publishing
    os.kill(own_kafka.pid, signal.SIGCONT)
    await world.close()
    assert not left_behind()


async def until_available(publisher: Publisher, messages: list[Message]) -> None:
    while True:
        try:
            return await publisher.publish(messages)
        except Unavailable:
            continue


async def work_until(member: Member, last: int) -> None:
    """As a worker does: poll through errors, and seek whatever is assigned anew."""
    sought = len(member.assignments)
    found: list[int] = []
    while last not in found:
        with suppress(Unavailable):
            if len(member.assignments) > sought:
                sought = len(member.assignments)
                await member.seek_all()
            for records in (await member.log.poll(1_000, 0.2)).values():
                found += values(records)


def left_behind() -> list[str]:
    """What aiokafka still runs."""
    running = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    ours = ("AIOKafka", "GroupCoordinator", "Fetcher", "Sender", "MessageAccumulator")
    return [name for name in running if name.startswith(ours)]
