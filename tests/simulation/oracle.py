"""What should have come out: a single undisturbed pass over each partition."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from stream_app.effects import Effects
from stream_app.events.instants import DAY
from stream_app.features import silence
from stream_app.features.table import Erased, records_of
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.ports import Message
from stream_app.streams.processor import Pipeline, Processor
from tests.simulation.constants import CONTROL, PARTITIONS, START_US
from tests.simulation.kit import FIXED_MODEL, pipeline_of, snapshot_of
from tests.simulation.ledger import Batch
from tests.simulation.world import World

_NOW_US = START_US + 400 * DAY
"""Later than any record that is an event."""


@dataclass
class Expected:
    """The outcome."""

    states: dict[str, bytes] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Accounts of which a tombstone is the last word."""
    erased: dict[str, Erased] = field(default_factory=dict)
    """What remains of accounts that were erased, by digest."""
    published: dict[str, dict[str, list[tuple[str, Any]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """Topic -> account -> (id, content) in order."""


def expected(world: World, poison: set[tuple[str, int, int]]) -> Expected:
    """The oracle of a run; `poison`: (topic, partition, offset) of records that the engine fails
    on."""
    run = _Run(world)
    if world.plan.shape.mixed:
        _follow(world, run, poison)
    else:
        _from_log(world, run, poison)
    run.finish()
    return run.out


def _at_home(
    records: Iterable[MemoryRecord], poison: set[tuple[str, int, int]]
) -> list[MemoryRecord]:
    """The records that say something of an account of their partition. Strays have no key."""
    return [
        record
        for record in records
        if record.key is not None
        and not (poison and (record.topic, record.partition, record.offset) in poison)
    ]


def _from_log(world: World, run: _Run, poison: set[tuple[str, int, int]]) -> None:
    """Each account's records lie in one topic, so the log alone says what happens to it."""
    run.use(FIXED_MODEL if world.plan.model else None)
    for partition in range(PARTITIONS):
        run.take(_at_home(in_order(world, partition), poison))


def in_order(world: World, partition: int) -> list[MemoryRecord]:
    """The records of a partition so that those of one account are as they were sent: by topic,
    and by time where there are control records, which have waited for what came before them."""
    records = [r for topic in world.consumed for r in world.broker.read(topic, partition)]
    if world.broker.read(CONTROL, partition):
        records.sort(key=lambda record: record.timestamp)
    return records


def _follow(world: World, run: _Run, poison: set[tuple[str, int, int]]) -> None:
    """Repeat what was committed: the records in that order, the silence and the model versions
    that were decided on. Nothing else is taken from the workers. Partitions have nothing to do
    with each other, so those that use the same model are taken together."""
    left = [deque(book.batches) for book in world.ledger.books.values()]
    while batches := [partition for partition in left if partition]:
        model = batches[0][0].model
        run.use(model)
        for partition in batches:
            while partition and partition[0].model == model:
                batch = partition.popleft()
                if batch.records:
                    run.take(_at_home(batch.records, poison))
                elif batch.states:
                    run.sweep(batch)


class _Run:
    """All accounts under the oracle.

    Records are collected and applied together, because batching never changes a result
    (tests/engine). A look at a silent account is put off until its next event, which comes to the
    same unless that event is late or another model has come (tests/engine too).
    """

    def __init__(self, world: World) -> None:
        self.out = Expected()
        self._world = world
        self._pipeline: Pipeline = pipeline_of(world.plan.shape)
        self._processor = Processor(self._pipeline, 0, 1)
        self._assigner: Assigner | None = None
        self._model: bytes | None = None
        self._waiting: list[MemoryRecord] = []
        self._looks: dict[str, int] = {}
        """Until when the silence of an account has been looked at, after the waiting records."""

    def use(self, model: bytes | None) -> None:
        """Another model from here on."""
        if model == self._model:
            return
        self._flush()
        self._model = model
        rule = Hysteresis.of(self._world.settings.segments)
        self._assigner = None if model is None else Assigner(snapshot_of(model), rule)

    def take(self, records: list[MemoryRecord]) -> None:
        """Go on with these records."""
        if self._looks and self._late(records):
            self._flush()
        self._waiting += records

    def _apply(self, records: list[MemoryRecord]) -> None:
        while records:
            count = self._pipeline.cut(records)
            work = self._processor.process(records[:count], self._assigner, _NOW_US)
            self._keep(work.effects, work.outbox)
            records = records[count:]

    def sweep(self, batch: Batch) -> None:
        """Silence and new model for the accounts of a batch, as far as their states say that it
        was looked at. Not further than the clock allowed: that is checked elsewhere."""
        after = records_of(*zip(*batch.states, strict=True))
        for (account, _), as_of in zip(batch.states, silence.as_of(after).tolist(), strict=True):
            self._looks[account] = max(as_of + 1, self._looks.get(account, 0))

    def _late(self, records: list[MemoryRecord]) -> bool:
        """Whether an event lies before a look at its account that is still to be carried out, or
        a control record finds that the account stands where the look has left it."""
        if any(record.topic == CONTROL for record in records):
            return True
        decoded = self._pipeline.decoder.decode(records, _NOW_US)
        return any(
            at_us < self._looks.get(event.account_id, 0)
            for event, at_us in zip(decoded.events, decoded.times_us, strict=True)
        )

    def _look(self) -> None:
        looks, self._looks = self._looks, {}
        engine, table = self._pipeline.engine, self._processor.table
        rows = table.rows_of(list(looks))
        until_us = np.array(list(looks.values()))
        effects = engine.look(table, rows, until_us, self._assigner, _NOW_US)
        self._keep(effects, self._pipeline.messages.of(effects))

    def finish(self) -> None:
        """The final state."""
        self._flush()
        table = self._processor.table
        rows = np.arange(len(table))
        self.out.states.update(table.pack(rows))
        self.out.erased = table.erased

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._apply(waiting)
        if self._looks:
            self._look()

    def _keep(self, effects: Effects, outbox: list[Message]) -> None:
        for account in effects.gone:
            self.out.profiles.pop(account, None)
        self.out.gone.update(effects.gone)
        self.out.gone.difference_update(effects.accounts)
        for account, payload in effects.accounts.items():
            self.out.profiles[account] = msgspec.json.encode(payload)
        for message in outbox:
            if message.topic in ("segment-changes", "intent-spikes"):
                account = (message.key or b"").decode()
                self.out.published[message.topic][account].append(content_of(message))


def content_of(message: Any) -> tuple[str, Any]:
    """(id, what it says, apart from when it was decided) of a message or record."""
    body = msgspec.json.decode(message.value)
    body.pop("decided_at", None)
    body.pop("lag_ms", None)
    headers = dict(message.headers)
    return headers["ce_id"].decode(), (body, headers["ce_type"], headers["ce_time"])
