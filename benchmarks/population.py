"""Stored accounts by the million, copied from some that real events have led to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from redis import Redis

from benchmarks.broker import PARTITIONS
from benchmarks.job import snapshot
from benchmarks.load import Item, Load, items
from stream_app.features.table import LAYOUT
from stream_app.segments.snapshot import Assigner, write_snapshot
from stream_app.settings import Settings
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit
from stream_app.streams.processor import Pipeline, Processor
from stream_app.streams.redis_store import RedisStore
from tests.models import save_model

TEMPLATES = 400
_EVENTS_PER_TEMPLATE = 100
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Stored:
    """An account as it lies in Redis."""

    state: bytes
    profile: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record as the log would have it."""

    topic: str
    value: bytes
    offset: int
    headers: tuple[()] = ()
    key: bytes | None = None
    timestamp: int = 0
    partition: int = 0


def recorded(drawn: Iterable[Item], prefix: str) -> list[Recorded]:
    """Events as records of one partition."""
    return [Recorded(prefix + item.topic, item.value, n) for n, item in enumerate(drawn)]


def templates(settings: Settings, ends_us: int) -> list[Stored]:
    """Some accounts with all their states and profiles, from events through the worker's own
    steps."""
    processor = Processor(Pipeline(settings), 0, 1)
    load = Load(TEMPLATES * _EVENTS_PER_TEMPLATE, TEMPLATES, ends_us=ends_us, name="template")
    records = recorded(items(load), settings.kafka.topic_prefix)
    assigner = Assigner(snapshot(), settings.segments.margin)
    profiles: dict[str, bytes] = {}
    states: dict[str, bytes] = {}
    for start in range(0, len(records), 4_000):
        work = processor.process(records[start : start + 4_000], assigner, time.time_ns() // 1_000)
        profiles |= dict(work.profiles)
        states |= dict(work.states)
    return [Stored(states[name], profiles[name]) for name in sorted(profiles)]


async def fill(settings: Settings, accounts: int, ends_us: int) -> None:
    """Store so many accounts named as `Load` names them, through commits as an owner's."""
    drawn = templates(settings, ends_us)
    by_partition: defaultdict[int, list[str]] = defaultdict(list)
    for i in range(accounts):
        name = f"account-{i:07}"
        by_partition[partition_of(name.encode(), PARTITIONS)].append(name)
    store = RedisStore(settings.redis)
    await store.start()
    await store.register(PARTITIONS, LAYOUT)
    await save_model(store, 1, write_snapshot(snapshot()), b"")
    for partition, names in by_partition.items():
        position = (await store.claim(partition, "fill")).position
        for start in range(0, len(names), _CHUNK):
            mine = names[start : start + _CHUNK]
            given = [(name, drawn[(start + n) % len(drawn)]) for n, name in enumerate(mine)]
            position = await store.commit(
                partition,
                Commit(
                    position,
                    {},
                    1,
                    position.outbox_first,
                    states=[(name, each.state) for name, each in given],
                    profiles=[(name, each.profile) for name, each in given],
                ),
            )
    await store.stop()


def redis_bytes(redis_url: str, name: str) -> dict[str, int]:
    """Bytes of a deployment's states and profiles, by MEMORY USAGE: keys, values and what the
    hashes themselves need."""
    with Redis.from_url(redis_url) as client:
        return {
            kind: sum(
                int(client.memory_usage(f"{name}:{{{p}}}:{kind}", samples=1_000) or 0)
                for p in range(PARTITIONS)
            )
            for kind in ("state", "profile")
        }


def sizes(stored: list[Stored]) -> tuple[float, float]:
    """Mean bytes of a state and of a profile."""
    count = len(stored)
    return sum(len(s.state) for s in stored) / count, sum(len(s.profile) for s in stored) / count
