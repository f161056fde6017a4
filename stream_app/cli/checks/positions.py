"""How far the workers are behind Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_admin import KAFKA_FAILURES, connection, translate

_CLIENT = "stream-app-doctor"


@dataclass(frozen=True, slots=True)
class Lag:
    """How one partition stands."""

    records: int
    """Not yet read, over all topics."""
    lost: int
    """Removed by retention before they were read."""
    reset: tuple[str, ...]
    """Topics that end before the stored offset."""


async def lag(
    settings: KafkaSettings, topics: Sequence[str], offsets: Sequence[Mapping[str, int]]
) -> list[Lag]:
    """Lag of each partition; `offsets` are the stored next offsets per topic, by partition.

    The store has the truth; what the group has committed to Kafka is older. Raises ConfigError or
    Unavailable.
    """
    consumer = AIOKafkaConsumer(**connection(settings, _CLIENT), enable_auto_commit=False)
    parts = [TopicPartition(topic, p) for topic in topics for p in range(len(offsets))]
    try:
        await consumer.start()
        first, end = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
    except KAFKA_FAILURES as error:
        raise translate(error, "reading the ends of topics") from error
    finally:
        await consumer.stop()
    return [_lag(topics, p, stored, first, end) for p, stored in enumerate(offsets)]


def _lag(
    topics: Sequence[str],
    partition: int,
    stored: Mapping[str, int],
    first: Mapping[TopicPartition, int],
    end: Mapping[TopicPartition, int],
) -> Lag:
    records = lost = 0
    reset = []
    for topic in topics:
        part = TopicPartition(topic, partition)
        offset = stored.get(topic, first[part])
        if offset > end[part]:
            reset.append(topic)
            offset = first[part]
        lost += max(first[part] - offset, 0)
        records += end[part] - max(offset, first[part])
    return Lag(records, lost, tuple(reset))
