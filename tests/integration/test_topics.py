"""`stream-app topics create` on a real Kafka, and what it plans."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_app.errors import ConfigError, Incompatible, Unavailable
from stream_app.settings import InputSettings, KafkaSettings
from stream_app.streams import topics as t
from stream_app.streams.kafka_admin import create_topics, partition_counts, plan

INPUTS = ("website-visits", "content-downloads", "email-events", "engagement", "account-control")


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)


@pytest.fixture
def topics(settings: KafkaSettings) -> tuple[t.Topic, ...]:
    return t.with_prefix(settings.topic_prefix)


async def test_all_topics_are_created_once(
    settings: KafkaSettings, topics: tuple[t.Topic, ...]
) -> None:
    names = [topic.name for topic in topics]
    assert await partition_counts(settings, names) == {}
    first = await create_topics(settings, topics)
    assert (first.created, first.existing, first.replication_factor) == (topics, (), 1)
    again = await create_topics(settings, topics)
    assert (again.created, again.existing) == ((), tuple(names))
    found = await partition_counts(settings, [*names, "no-such-topic"])
    assert found == {topic.name: topic.partitions for topic in topics}


async def test_topics_are_set_up_as_declared(
    settings: KafkaSettings, topics: tuple[t.Topic, ...]
) -> None:
    await create_topics(settings, topics)
    for topic in topics:
        found = await configuration(settings, topic.name)
        assert topic.config.items() <= found.items()


async def test_existing_topics_decide_the_number_of_partitions(
    settings: KafkaSettings, topics: tuple[t.Topic, ...]
) -> None:
    visits = settings.topic_prefix + t.WEBSITE_VISITS.name
    await make(settings, visits, partitions=3)
    await create_topics(settings, topics)
    found = await partition_counts(settings, t.consumed(settings.topic_prefix))
    assert found == dict.fromkeys(t.consumed(settings.topic_prefix), 3)


async def test_existing_topics_that_differ_are_reported_and_nothing_is_created(
    settings: KafkaSettings, topics: tuple[t.Topic, ...]
) -> None:
    visits = settings.topic_prefix + t.WEBSITE_VISITS.name
    mail = settings.topic_prefix + t.EMAIL_EVENTS.name
    await make(settings, visits, partitions=3)
    await make(settings, mail, partitions=5)
    with pytest.raises(Incompatible, match=f"{visits} has 3, {mail} has 5") as failure:
        await create_topics(settings, topics)
    assert failure.value.hint
    assert await partition_counts(settings, [topic.name for topic in topics]) == {
        visits: 3,
        mail: 5,
    }


async def test_more_replicas_than_brokers_are_refused(
    settings: KafkaSettings, topics: tuple[t.Topic, ...]
) -> None:
    with pytest.raises(ConfigError, match="replication factor"):
        await create_topics(settings, topics[:1], replication_factor=99)


async def test_an_unusable_prefix_is_refused(settings: KafkaSettings) -> None:
    with pytest.raises(ConfigError, match="InvalidTopic"):
        await create_topics(settings, t.with_prefix("no spaces "))


async def test_a_kafka_that_is_away_is_named() -> None:
    settings = KafkaSettings(bootstrap_servers="localhost:1", request_timeout_ms=1_000)
    with pytest.raises(Unavailable, match="localhost:1"):
        await create_topics(settings, t.TOPICS)


async def test_addresses_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="bootstrap_servers"):
        await partition_counts(KafkaSettings(bootstrap_servers="localhost:port"))


def test_one_number_of_partitions_serves_all_topics_but_the_single_ones() -> None:
    planned = {topic.name: topic.partitions for topic in plan(t.TOPICS, {}, partitions=12)}
    assert planned.pop("account-features") == planned.pop("segment-models") == 1
    assert set(planned.values()) == {12}


def test_a_number_that_existing_topics_do_not_have_is_refused() -> None:
    with pytest.raises(Incompatible, match="exist with 8 partitions, not 12"):
        plan(t.TOPICS, {"engagement": 8}, partitions=12)


def test_a_trainer_topic_with_several_partitions_is_refused() -> None:
    with pytest.raises(Incompatible, match="account-features has 4 partitions and must have 1"):
        plan(t.TOPICS, {"account-features": 4})


def test_outputs_may_have_any_number_of_partitions() -> None:
    created = plan(t.TOPICS, {"segment-changes": 3})
    assert {topic.partitions for topic in created if topic.name in INPUTS} == {8}


def test_the_worker_reads_the_inputs_what_is_forwarded_and_what_is_asked_for() -> None:
    assert t.consumed() == INPUTS
    assert t.consumed("staging.") == tuple(f"staging.{name}" for name in INPUTS)


def test_what_an_input_accepts_can_always_be_passed_on() -> None:
    headers_bytes = 64 * 1024
    assert InputSettings().max_record_bytes < t.WEBSITE_VISITS.max_message_bytes
    for further in (t.ENGAGEMENT, t.DEAD_LETTERS):
        assert further.max_message_bytes >= t.WEBSITE_VISITS.max_message_bytes + headers_bytes
    assert t.DEAD_LETTERS.max_message_bytes >= t.ENGAGEMENT.max_message_bytes + headers_bytes


async def make(settings: KafkaSettings, name: str, partitions: int) -> None:
    await create_topics(settings, [t.Topic(name, "output", "", partitions=partitions)])


async def configuration(settings: KafkaSettings, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    await admin.close()
    [(_, _, _, _, entries)] = answer.resources
    return {entry[0]: entry[1] for entry in entries}
