"""What is asked of Kafka around a move to another number of partitions: who works, how many
partitions the consumed topics have, and to add some. In Kafka and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from aiokafka.admin import NewPartitions
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    TopicAuthorizationFailedError,
)

from stream_app.errors import ConfigError
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import admin_client, counts_of, partition_counts
from stream_app.streams.memory_log import MemoryBroker
from stream_app.streams.partitioning import common_count


class Cluster(Protocol):
    """Kafka, as whoever looks after topics and workers sees it."""

    async def members(self) -> int:
        """Workers in the group. One that was killed counts until its session times out. Raises
        `Unavailable` or `ConfigError`."""

    async def partitions(self) -> Mapping[str, int]:
        """Of each consumed topic. Raises `Incompatible` when one is missing, `Unavailable` or
        `ConfigError`."""

    async def grow(self, total: int) -> None:
        """Give each consumed topic that has fewer so many partitions; returns when all brokers'
        metadata says so. Can be repeated. Raises `ConfigError` when Kafka does not let this user do
        that, or `Unavailable`; then some topics may have grown."""


class KafkaCluster:
    """`Cluster` on a real Kafka."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        self._settings, self._topics = settings, tuple(topics)

    async def members(self) -> int:
        return await group_members(self._settings)

    async def partitions(self) -> dict[str, int]:
        counts = await partition_counts(self._settings, self._topics)
        common_count(self._topics, dict.fromkeys(counts, 1))  # raises where one is missing
        return counts

    async def grow(self, total: int) -> None:
        fewer = [topic for topic, count in (await self.partitions()).items() if count < total]
        if not fewer:
            return
        patience = self._settings.request_timeout_ms / 1_000
        async with admin_client(self._settings, "adding partitions") as admin:
            try:
                await admin.create_partitions({topic: NewPartitions(total) for topic in fewer})
            except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
                raise ConfigError(
                    f"this user of Kafka may not add partitions: {error}",
                    hint=f"let one who may run `stream-app topics grow {total}`, and call again",
                ) from error
            async with asyncio.timeout(patience):
                while _any_below(total, await counts_of(admin), fewer):  # noqa: ASYNC110 - Kafka has no event for it
                    await asyncio.sleep(0.05)


def _any_below(total: int, counts: Mapping[str, int], topics: Sequence[str]) -> bool:
    return any(counts.get(topic, 0) < total for topic in topics)


async def group_members(settings: KafkaSettings) -> int:
    """Workers in the group of the settings. Raises ConfigError or Unavailable."""
    async with admin_client(settings, "asking for the group of the workers") as admin:
        try:
            responses = await admin.describe_consumer_groups([settings.group])
        except GroupCoordinatorNotAvailableError:  # no group has ever been on this Kafka
            return 0
    groups = [group for response in responses for group in response.to_object()["groups"]]
    return sum(len(group["members"]) for group in groups)


class MemoryCluster:
    """`Cluster` on the log in memory."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        self._broker, self._group, self._topics = broker, group, tuple(topics)

    async def members(self) -> int:
        return self._broker.group(self._group).members

    async def partitions(self) -> dict[str, int]:
        counts = self._broker.topics
        common_count(self._topics, dict.fromkeys(counts, 1))
        return {topic: counts[topic] for topic in self._topics}

    async def grow(self, total: int) -> None:
        for topic, count in (await self.partitions()).items():
            if count < total:
                self._broker.add_partitions(topic, total)
