"""What is promised of Kafka's side of a move, in memory and on Kafka: one test per promise."""

from __future__ import annotations

import uuid
from typing import Protocol

import pytest

from stream_app.errors import ConfigError, Incompatible, Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams import topics
from stream_app.streams.cluster import Cluster, KafkaCluster, MemoryCluster
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_log import KafkaLog
from stream_app.streams.memory_log import MemoryBroker, MemoryLog
from stream_app.streams.ports import EventLog

PARTITIONS = 2


class World(Protocol):
    """Topics that a worker consumes."""

    names: tuple[str, ...]

    async def create(self, name: str, partitions: int) -> None: ...

    def cluster(self, *names: str) -> Cluster: ...

    def log(self) -> EventLog: ...


class InMemory:
    names = ("visits", "mail")

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def create(self, name: str, partitions: int) -> None:
        self.broker.create_topic(name, partitions)

    def cluster(self, *names: str) -> Cluster:
        return MemoryCluster(self.broker, "workers", names)

    def log(self) -> EventLog:
        return MemoryLog(self.broker, "workers", self.names)


class OnKafka:
    def __init__(self, bootstrap: str) -> None:
        prefix = f"test-{uuid.uuid4().hex[:8]}."
        self.names = (f"{prefix}visits", f"{prefix}mail")
        self.settings = KafkaSettings(bootstrap_servers=bootstrap, group=f"{prefix}workers")

    async def create(self, name: str, partitions: int) -> None:
        await create_topics(self.settings, [topics.Topic(name, "output", "", partitions)])

    def cluster(self, *names: str) -> Cluster:
        return KafkaCluster(self.settings, names)

    def log(self) -> EventLog:
        return KafkaLog(self.settings, self.names)


class Nobody:
    """A worker that does nothing."""

    async def on_revoked(self, partitions: frozenset[int]) -> None: ...

    async def on_assigned(self, partitions: frozenset[int]) -> None: ...


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def world(request: pytest.FixtureRequest) -> World:
    under_test: World
    if request.param == "memory":
        under_test = InMemory()
    else:
        under_test = OnKafka(request.getfixturevalue("kafka_bootstrap"))
    return under_test


async def both(world: World, first: int = PARTITIONS, second: int = PARTITIONS) -> Cluster:
    for name, partitions in zip(world.names, (first, second), strict=True):
        await world.create(name, partitions)
    return world.cluster(*world.names)


async def test_topics_grow_to_the_number_asked_for(world: World) -> None:
    cluster = await both(world)
    assert await cluster.partitions() == dict.fromkeys(world.names, PARTITIONS)
    await cluster.grow(5)
    assert await cluster.partitions() == dict.fromkeys(world.names, 5)
    await cluster.grow(5)


async def test_those_that_have_grown_before_stay_as_they_are(world: World) -> None:
    """As after an interruption half-way."""
    cluster = await both(world, first=5)
    await cluster.grow(5)
    assert await cluster.partitions() == dict.fromkeys(world.names, 5)


async def test_topics_that_have_more_are_left(world: World) -> None:
    cluster = await both(world, first=7)
    await cluster.grow(5)
    assert sorted((await cluster.partitions()).values()) == [5, 7]


async def test_a_missing_topic_is_named(world: World) -> None:
    await world.create(world.names[0], PARTITIONS)
    cluster = world.cluster(*world.names)
    for call in (cluster.partitions(), cluster.grow(5)):
        with pytest.raises(Incompatible, match=f"missing topic: {world.names[1]}"):
            await call


async def test_workers_are_counted_while_they_are_in_the_group(world: World) -> None:
    cluster = await both(world)
    assert await cluster.members() == 0
    log = world.log()
    await log.start(Nobody())
    try:
        while not await cluster.members():  # to join takes a moment
            await log.poll(1, 0.05)
        assert await cluster.members() == 1
    finally:
        await log.stop()
    assert await cluster.members() == 0


async def test_a_kafka_that_is_away_is_named() -> None:
    settings = KafkaSettings(bootstrap_servers="localhost:1", request_timeout_ms=1_000)
    cluster = KafkaCluster(settings, ("visits",))
    for call in (cluster.partitions(), cluster.members(), cluster.grow(5)):
        with pytest.raises((Unavailable, ConfigError), match="localhost:1"):
            await call
