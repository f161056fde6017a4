"""What should have come out: one undisturbed pass over what lies on the input topics.

The engine is the product's; `tests/engine` shows that it is right, with a second implementation.
The records that are forwarded come from the oracle's own pass, not from what the workers forwarded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message, Record
from stream_app.streams.processor import Pipeline, Processor, Work

_BATCH = 4_000


@dataclass
class Expected:
    """The outcome."""

    states: dict[str, bytes] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    published: defaultdict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    """By topic; of one key in order."""
    events: int = 0
    """Applied."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Changes by reason."""


class Oracle:
    """One `Processor` per partition. `logs`: topic -> partition -> records from the start."""

    def __init__(self, settings: Settings, snapshot: Snapshot, partitions: int) -> None:
        pipeline = Pipeline(settings)
        self._engagement = settings.kafka.topic_prefix + topics.ENGAGEMENT.name
        self._assigner = Assigner(snapshot, Hysteresis.of(settings.segments))
        self._grace_us = round(settings.worker.sweep_grace_seconds * 1e6)
        self._now_us = time.time_ns() // 1_000
        self._processors = [Processor(pipeline, p, partitions) for p in range(partitions)]
        self._out = Expected()

    def run(self, logs: Mapping[str, Mapping[int, Sequence[Record]]]) -> Expected:
        """Apply everything, then let the silence pass that has passed by now."""
        for partitions in logs.values():
            for partition, records in partitions.items():
                self._apply(partition, records)
        for partition, records in self._forwarded().items():
            self._apply(partition, records)
        for processor in self._processors:
            self._sweep(processor)
            rows = np.arange(len(processor.table))
            self._out.states |= dict(processor.table.pack(rows))
        return self._out

    def _apply(self, partition: int, records: Sequence[Record]) -> None:
        processor = self._processors[partition]
        for start in range(0, len(records), _BATCH):
            batch = records[start : start + _BATCH]
            self._keep(processor.process(batch, self._assigner, self._now_us))

    def _forwarded(self) -> dict[int, list[MemoryRecord]]:
        found: defaultdict[int, list[MemoryRecord]] = defaultdict(list)
        for message in self._out.published[self._engagement]:
            partition = partition_of(message.key or b"", len(self._processors))
            offset = len(found[partition])
            found[partition].append(
                MemoryRecord(message.topic, partition, offset, 0, message.key, message.value)
            )
        return found

    def _sweep(self, processor: Processor) -> None:
        while True:
            until_us = self._now_us - self._grace_us
            work = processor.sweep(until_us, self._assigner, self._now_us)
            if work.empty:
                return
            self._keep(work)

    def _keep(self, work: Work) -> None:
        out, effects = self._out, work.effects
        out.events += effects.applied
        for change in effects.changes:
            out.reasons[change.reason] = out.reasons.get(change.reason, 0) + 1
        out.profiles |= {
            account: msgspec.json.encode(payload) for account, payload in effects.accounts.items()
        }
        for message in work.outbox:
            out.published[message.topic].append(message)
