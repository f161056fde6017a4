"""The material of a report from what is live: the workers' state in Redis, and Kafka's topics.

Only reads, joins no group, and looks at the newest of everything, so that it may run beside the
workers of any deployment. They go on meanwhile: what is read last may know a little more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import msgspec
import numpy as np

from stream_app.changes.accounts import accounts_at
from stream_app.changes.types import OUTPUT_TYPES, AccountSegment, IntentSpike, SegmentChange
from stream_app.errors import UsageError
from stream_app.events import cloudevents
from stream_app.features.table import is_state, records_of
from stream_app.report.material import (
    MAX_ACCOUNTS,
    MAX_CHANGES,
    MAX_LETTERS,
    MAX_MODELS,
    MAX_SPIKES,
    Change,
    Material,
)
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot, read_snapshot
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.dead_letters import read_letter
from stream_app.streams.ports import LogReader, Record, StateStore
from stream_app.streams.processor import Summary

_T = TypeVar("_T")
_EVENT_TOPICS = tuple(topic.name for topic in topics.TOPICS if topic.role == "input")


@dataclass
class _Topics:
    """Reads the newest records of topics; those that nobody of us wrote are counted."""

    reader: LogReader
    prefix: str
    unreadable: int = field(default=0, init=False)

    async def newest(
        self, topic: topics.Topic, limit: int, read: Callable[[Record], _T | None]
    ) -> tuple[list[_T], bool]:
        """About `limit` records of a topic at most, and whether there are or were older ones.
        `read` says None of a record of another kind."""
        name = self.prefix + topic.name
        stretches = await self.reader.stretches(name)
        each = -(-limit // len(stretches))
        newest = {p: range(max(s.start, s.stop - each), s.stop) for p, s in stretches.items()}
        found: list[_T] = []
        async for records in self.reader.read(name, newest):
            for record in records:
                try:
                    value = read(record)
                except (msgspec.DecodeError, UnicodeDecodeError, UsageError):
                    self.unreadable += 1
                else:
                    found += [] if value is None else [value]
        return found, any(stretch.start > 0 for stretch in newest.values())


async def read_live(
    store: StateStore, reader: LogReader, settings: Settings, partitions: int, now_us: int
) -> Material:
    """Read what is needed of a deployment.

    Raises
    ------
    Incompatible
        A topic is missing.
    SnapshotRefused
        The model in use belongs to other features.
    ConfigError, Unavailable
        Kafka or Redis refuses, or does not answer.
    """
    found = await store.snapshot()
    model = read_snapshot(found[1]) if found else None
    sizes, events = await _counts(store, settings.kafka.topic_prefix, partitions)
    each = -(-MAX_ACCOUNTS // partitions)
    accounts: list[AccountSegment] = []
    for partition in range(partitions):
        accounts += await _accounts(store, partition, each, model, settings, now_us)
    kafka = _Topics(reader, settings.kafka.topic_prefix)
    models, _ = await kafka.newest(topics.SEGMENT_MODELS, MAX_MODELS, _read_model)
    changes, cut = await kafka.newest(topics.SEGMENT_CHANGES, MAX_CHANGES, _read_change)
    spikes, _ = await kafka.newest(topics.INTENT_SPIKES, MAX_SPIKES, _read_spike)
    letters, letters_cut = await kafka.newest(topics.DEAD_LETTERS, MAX_LETTERS, _read_reason)
    return Material(
        source="live state",
        as_of_us=now_us,
        events=events,
        models=_versions(models, model),
        sizes=sizes,
        accounts=tuple(accounts),
        changes=tuple(changes),
        changes_cut=cut,
        spikes=tuple(spikes),
        letters=Counter(letters),
        letters_cut=letters_cut,
        unreadable=kafka.unreadable,
    )


async def _counts(
    store: StateStore, topic_prefix: str, partitions: int
) -> tuple[Counter[int], int]:
    """Accounts by segment, and records that were ever read from the inputs."""
    sizes: Counter[int] = Counter()
    for data in await store.summaries(partitions):
        if data:
            sizes.update(msgspec.json.decode(data, type=Summary).segments)
    events = 0
    for partition in range(partitions):
        offsets = (await store.position(partition)).offsets
        events += sum(offsets.get(topic_prefix + name, 0) for name in _EVENT_TOPICS)
    return sizes, events


async def _accounts(
    store: StateStore,
    partition: int,
    limit: int,
    model: Snapshot | None,
    settings: Settings,
    now_us: int,
) -> list[AccountSegment]:
    """Where the first `limit` accounts that Redis gives stand now; it keeps them in no order."""
    states: dict[str, bytes] = {}
    async for chunk in store.load(partition):
        states.update((account, state) for account, state in chunk if is_state(state))
        if len(states) >= limit:
            break
    kept = dict(islice(states.items(), limit))
    names = await store.names(partition)
    assigner = Assigner(model, Hysteresis.of(settings.segments)) if model else None
    return _standing(kept, names, assigner, settings, now_us)


def _standing(
    states: dict[str, bytes],
    topic_names: dict[int, str],
    assigner: Assigner | None,
    settings: Settings,
    now_us: int,
) -> list[AccountSegment]:
    records = records_of(list(states), list(states.values()))
    at_us = np.maximum(now_us, records["latest_us"])
    return accounts_at(
        list(states), records, assigner, topic_names, at_us, settings.scores
    ).payloads()


def _versions(found: list[Snapshot], current: Snapshot | None) -> tuple[Snapshot, ...]:
    """The version in use and those that it was made from, oldest first, as far as they are known
    and have the same features. Others were never used, or an operator went back behind them."""
    known = {m.version: m for m in found if current and m.catalogue == current.catalogue}
    chain: list[Snapshot] = []
    version = current
    while version and (not chain or version.version < chain[-1].version):
        chain.append(version)
        version = known.get(version.parent)
    return tuple(reversed(chain))


def _read_model(record: Record) -> Snapshot | None:
    """The topic also has what became of segments; each version says that too."""
    kind = cloudevents.attributes_of(record.headers or ()).get("type")
    if kind != OUTPUT_TYPES[Snapshot]:
        return None
    return msgspec.json.decode(record.value or b"", type=Snapshot)


def _read_change(record: Record) -> Change:
    return Change.of(msgspec.json.decode(record.value or b"", type=SegmentChange))


def _read_spike(record: Record) -> IntentSpike:
    return msgspec.json.decode(record.value or b"", type=IntentSpike)


def _read_reason(record: Record) -> str | None:
    letter = read_letter(record)
    return letter.reason if letter else None
