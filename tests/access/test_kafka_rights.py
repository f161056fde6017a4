"""deploy/kafka/acls.sh: it follows from the topics' roles, and gives nobody more."""

from __future__ import annotations

import asyncio
from itertools import compress
from typing import get_args

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError

from stream_app.cli.program import run
from stream_app.errors import ConfigError
from stream_app.settings import KafkaSettings
from stream_app.streams import topics
from stream_app.streams.access import PRINCIPALS, commands, grants, trainer_group
from stream_app.streams.cluster import KafkaCluster
from stream_app.streams.kafka_admin import admin_client, connection, create_topics, partition_counts
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.ports import Message
from stream_app.streams.topics import TOPICS, Role
from tests.access.acls import SCRIPT, printed
from tests.access.conftest import GROUP, kafka_as
from tests.services.secured_kafka import SecuredKafka

WORKER, PRODUCER, CONSUMER, OPERATOR, TOOLS, ADMIN = (
    "stream-app-worker", "stream-app-producer", "stream-app-consumer",
    "stream-app-operator", "stream-app-tools", "stream-app-admin",
)  # fmt: skip


def names(*roles: Role) -> set[str]:
    return {topic.name for topic in TOPICS if topic.role in roles}


def may(operation: str, user: str) -> set[str]:
    """Topics on which a user may do something."""
    return {
        grant.name
        for grant in grants(TOPICS, GROUP)
        if (grant.principal, grant.operation, grant.resource) == (user, operation, "topic")
    }


# The list


def test_the_script_in_the_repository_is_what_the_program_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["topics", "acls"]) == 0
    assert SCRIPT.read_text() == capsys.readouterr().out == commands(TOPICS, GROUP)


def test_the_script_asks_for_exactly_these_entries() -> None:
    assert sorted(printed()) == sorted(grants(TOPICS, GROUP))
    assert len(set(printed())) == len(printed())


def test_prefix_and_group_are_those_of_the_settings() -> None:
    found = list(grants(topics.with_prefix("staging."), "blue"))
    assert {g.name for g in found if g.resource == "topic"} == {
        f"staging.{topic.name}" for topic in TOPICS
    }
    groups = {g.name for g in found if g.resource == "group" and g.pattern == "literal"}
    assert groups == {"blue", trainer_group("blue")}


def test_the_worker_reads_what_it_consumes_and_writes_what_it_publishes() -> None:
    assert may("Read", WORKER) == {*topics.consumed(), topics.ACCOUNT_FEATURES.name}
    assert may("Write", WORKER) == names(
        "forwarded", "control", "training", "output", "model", "refused"
    )


def test_the_others_have_what_their_part_needs() -> None:
    everywhere = names(*get_args(Role))
    assert {user: may("Read", user) for user in (PRODUCER, CONSUMER, OPERATOR, TOOLS, ADMIN)} == {
        PRODUCER: set(),
        CONSUMER: names("output", "model"),
        OPERATOR: names("refused", "output", "model"),
        TOOLS: set(),
        ADMIN: set(),
    }
    assert {user: may("Write", user) for user in (PRODUCER, CONSUMER, OPERATOR, TOOLS, ADMIN)} == {
        PRODUCER: names("input"),
        CONSUMER: set(),
        OPERATOR: names("input", "forwarded", "control", "model"),
        TOOLS: set(),
        ADMIN: set(),
    }
    assert may("Describe", TOOLS) == may("Create", ADMIN) == everywhere
    assert not may("Create", WORKER) | may("Create", TOOLS)
    assert {grant.principal for grant in grants(TOPICS, GROUP) if grant.operation == "Alter"} == {
        ADMIN
    }
    assert may("Alter", ADMIN) == set(topics.consumed())


def test_every_topic_has_somebody_who_writes_and_somebody_who_reads() -> None:
    users = [principal.name for principal in PRINCIPALS]
    assert set.union(*(may("Read", user) for user in users)) == {t.name for t in TOPICS}
    assert set.union(*(may("Write", user) for user in users)) == {t.name for t in TOPICS}


# A real broker


async def can_read(settings: KafkaSettings, topic: str, group: str | None = None) -> bool:
    """Whether a record can be had, of a topic that has one. A topic that a user cannot see does
    not exist for it, and aiokafka would wait for it to appear."""
    if topic not in await partition_counts(settings):
        return False
    consumer = AIOKafkaConsumer(
        **connection(settings, "test"),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        if group is None:
            consumer.assign([TopicPartition(topic, 0)])
        else:
            consumer.subscribe([topic])
        async with asyncio.timeout(20):
            await consumer.getone()
    except KafkaError as error:
        if "Authorization" not in repr(error):
            raise
        return False
    finally:
        await consumer.stop()
    return True


async def can_write(settings: KafkaSettings, topic: str) -> bool:
    if topic not in await partition_counts(settings):
        return False
    publisher = KafkaPublisher(settings)
    try:
        await publisher.publish([Message(topic, b"key", b"{}")])
    except ConfigError as error:
        if "Authorization" not in str(error) or "topics acls" not in error.hint:
            raise
        return False
    finally:
        await publisher.stop()
    return True


@pytest.fixture(scope="module")
def filled(secured: SecuredKafka) -> SecuredKafka:
    """With records in both partitions of every topic."""

    async def fill() -> None:
        publisher = KafkaPublisher(KafkaSettings(bootstrap_servers=secured.service.address))
        records = [Message(topic.name, b"%d" % n, b"{}") for topic in TOPICS for n in range(20)]
        await publisher.publish(records)
        await publisher.stop()

    asyncio.run(fill())
    return secured


@pytest.mark.integration
@pytest.mark.parametrize("user", [WORKER, PRODUCER, CONSUMER, OPERATOR, TOOLS, ADMIN, "stranger"])
async def test_kafka_lets_a_user_read_and_write_just_that(filled: SecuredKafka, user: str) -> None:
    settings = kafka_as(filled, user)
    every = [topic.name for topic in TOPICS]
    reads = await asyncio.gather(*(can_read(settings, name) for name in every))
    writes = await asyncio.gather(*(can_write(settings, name) for name in every))
    assert set(compress(every, reads)) == may("Read", user)
    assert set(compress(every, writes)) == may("Write", user)


@pytest.mark.integration
async def test_groups_are_for_those_who_own_them(filled: SecuredKafka) -> None:
    topic = topics.SEGMENT_CHANGES.name
    consumer = kafka_as(filled, CONSUMER)
    assert await can_read(consumer, topic, f"{CONSUMER}-crm")
    assert not await can_read(consumer, topic, GROUP)
    assert not await can_read(consumer, topic, "crm")


@pytest.mark.integration
async def test_only_the_administrator_creates_topics(filled: SecuredKafka) -> None:
    new = [topic.with_prefix("unknown.") for topic in TOPICS]
    for user in (WORKER, TOOLS, ADMIN):
        with pytest.raises(ConfigError, match="Authorization"):
            await create_topics(kafka_as(filled, user), new)
    assert set(await partition_counts(kafka_as(filled, ADMIN))) == {t.name for t in TOPICS}
    assert await partition_counts(kafka_as(filled, "stranger")) == {}


@pytest.mark.integration
async def test_the_administrator_makes_what_is_missing(filled: SecuredKafka) -> None:
    made = await create_topics(kafka_as(filled, ADMIN), TOPICS)
    assert set(made.existing) == {topic.name for topic in TOPICS}


@pytest.mark.integration
async def test_only_the_administrator_adds_partitions(filled: SecuredKafka) -> None:
    """The user of workers, which does the rest of `stream-app repartition`, is told whom to ask."""
    as_worker = KafkaCluster(kafka_as(filled, WORKER), topics.consumed())
    with pytest.raises(ConfigError, match="may not add partitions") as failure:
        await as_worker.grow(4)
    assert "topics grow 4" in failure.value.hint
    assert await as_worker.members() == 0
    assert set((await as_worker.partitions()).values()) == {2}
    more = {topic: NewPartitions(4) for topic in topics.consumed()}
    async with admin_client(kafka_as(filled, ADMIN)) as admin:
        await admin.create_partitions(more, validate_only=True)
