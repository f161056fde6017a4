"""What a run left behind: every record of every topic from the start, and all that Redis holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream_app.streams.redis_profiles import decompress
from tests.chaos.progress import Progress
from tests.chaos.setup import PARTITIONS

Log = dict[int, list[ConsumerRecord]]
"""Partition -> its records."""

_PATIENCE_MS = 1_000


@dataclass
class Evidence:
    """Everything that is compared."""

    logs: dict[str, Log] = field(default_factory=dict)
    states: dict[str, bytes] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    outboxes: int = 0
    """Entries that are still in an outbox."""
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    """Next offset by topic and partition, as Redis has it."""


async def gather(kafka: str, progress: Progress, names: Iterable[str]) -> Evidence:
    """Read these topics, and Redis."""
    found = Evidence()
    for name in names:
        found.logs[name] = await _read(kafka, name)
    for partition, mark in (await progress.read()).items():
        found.offsets |= {(topic, partition): at for topic, at in mark.offsets.items()}
        states = await progress.redis.hgetall(progress.key(partition, "state"))
        profiles = await progress.redis.hgetall(progress.key(partition, "profile"))
        found.states |= {account.decode(): state for account, state in states.items()}
        found.profiles |= {a.decode(): decompress(profile) for a, profile in profiles.items()}
        found.outboxes += await progress.redis.llen(progress.key(partition, "outbox"))
    return found


async def ends(consumer: AIOKafkaConsumer, names: Iterable[str]) -> dict[tuple[str, int], int]:
    """Next offset that will be written, by topic and partition."""
    parts = [TopicPartition(name, p) for name in names for p in range(PARTITIONS)]
    found = await consumer.end_offsets(parts)
    return {(part.topic, part.partition): end for part, end in found.items()}


async def _read(kafka: str, topic: str) -> Log:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        last = await consumer.end_offsets(parts)
        log: Log = {partition: [] for partition in range(PARTITIONS)}
        for part in parts:
            while await consumer.position(part) < last[part]:
                fetched = await consumer.getmany(part, timeout_ms=_PATIENCE_MS)
                log[part.partition] += fetched.get(part, [])
        return log
    finally:
        await consumer.stop()
