"""Stored accounts by the million, copied from some that real events have led to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from redis import Redis

from benchmarks.broker import PARTITIONS
from benchmarks.job import snapshot
from benchmarks.load import Item, Load, items
from stream_app.features.table import LAYOUT
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, write_snapshot
from stream_app.settings import Settings
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit
from stream_app.streams.processor import Pipeline, Processor
from stream_app.streams.redis_store import RedisStore
from tests.models import save_model

TEMPLATES = 400
NEW_EVERY = 40
"""One account in so many of a load is new to a worker that has known the others: then about one
event in a hundred changes a segment, as in the traffic of `stream-app traffic`."""
_EVENTS_PER_TEMPLATE = 100
_HISTORY_SECONDS = 28 * 86_400.0
_RECENT_SECONDS = 1_800.0
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


@lru_cache(maxsize=4)
def templates(ends_us: int) -> tuple[Stored, ...]:
    """Some accounts with all their states and profiles, from a month of events through the worker's
    own steps. All have had an event within the last half hour, so none is silent."""
    settings = Settings()
    processor = Processor(Pipeline(settings), 0, 1)
    begins_us = ends_us - round(_RECENT_SECONDS * 1e6)
    month = Load(
        TEMPLATES * _EVENTS_PER_TEMPLATE, TEMPLATES, 0.0, _HISTORY_SECONDS, begins_us, seed=2
    )
    recent = Load(3 * TEMPLATES, TEMPLATES, 0.0, _RECENT_SECONDS, ends_us, seed=3)
    latest = list(items(recent))
    records = recorded([*items(month), *latest], "")
    assigner = Assigner(snapshot(), Hysteresis.of(settings.segments))
    profiles: dict[str, bytes] = {}
    states: dict[str, bytes] = {}
    for start in range(0, len(records), 4_000):
        work = processor.process(records[start : start + 4_000], assigner, time.time_ns() // 1_000)
        profiles |= dict(work.profiles)
        states |= dict(work.states)
    names = sorted({item.account for item in latest})
    return tuple(Stored(states[name], profiles[name]) for name in names)


def known(load: Load, processors: Mapping[int, Processor]) -> None:
    """Give the owners of all partitions the accounts of a load, as of its begin, but for some
    that are new."""
    drawn = templates(begin_us(load))
    for partition, names in _by_partition(load.accounts, new_every=NEW_EVERY).items():
        states = [drawn[n % len(drawn)].state for n in range(len(names))]
        processors[partition].put(names, states)
        processors[partition].recount()


def begin_us(load: Load) -> int:
    """A minute before the first event of a load."""
    return load.ends_us - round((load.span_seconds + 60.0) * 1e6)


def _by_partition(accounts: int, new_every: int = 0) -> dict[int, list[str]]:
    """Accounts as `Load` names them; without those that are to be new."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for i in range(accounts):
        if not new_every or i % new_every:
            name = f"account-{i:07}"
            found[partition_of(name.encode(), PARTITIONS)].append(name)
    return found


async def fill(settings: Settings, accounts: int, ends_us: int, *, new_every: int = 0) -> None:
    """Store so many accounts named as `Load` names them, through commits as an owner's. The last
    event of each was shortly before `ends_us`. `new_every`: so often one is left out."""
    drawn = templates(ends_us)
    store = RedisStore(settings.redis)
    await store.start()
    await store.register(PARTITIONS, LAYOUT)
    await save_model(store, 1, write_snapshot(snapshot()), b"")
    for partition, names in _by_partition(accounts, new_every).items():
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


def sizes(stored: Sequence[Stored]) -> tuple[float, float]:
    """Mean bytes of a state and of a profile."""
    count = len(stored)
    return sum(len(s.state) for s in stored) / count, sum(len(s.profile) for s in stored) / count
