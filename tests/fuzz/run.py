"""A fuzzing run: records through two partitions, what they forward, time, models, and replay."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import thread_time
from typing import Any

import numpy as np

from stream_app.events.instants import DAY, SECOND, parse
from stream_app.features.table import Erased
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.segments.trainer import Trainer
from stream_app.settings import Settings
from stream_app.streams.ports import Message
from stream_app.streams.processor import Pipeline, Processor, Work
from tests.fuzz import checks
from tests.fuzz.generate import Generator, Record
from tests.fuzz.lines import Lines
from tests.fuzz.shrink import shown, smallest
from tests.fuzz.slowest import Slowest

PARTITIONS = 2
_START_US = parse("2004-01-01T00:00:00Z")
_YEARS = 15
"""Between the first batch and the last."""
_SAMPLED = 400
"""Of so many published messages one is checked against the schemas, and the first of each topic."""
_FEW = 5
_LONG_BYTES = 16_384
_RESULT_KEPT = 20


@dataclass
class Result:
    """What a run found."""

    records: int = 0
    """Generated. Each is applied, a duplicate or a dead letter, perhaps after a detour."""
    applied: int = 0
    duplicates: int = 0
    controls: Counter[str] = field(default_factory=Counter)
    """Control events that were carried out, by type."""
    forwarded: int = 0
    """Passed on to the other partition, and then applied there, or duplicates."""
    dead_letters: Counter[str] = field(default_factory=Counter)
    exceptions: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    schema_violations: list[str] = field(default_factory=list)
    published: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    models: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.exceptions or self.violations or self.schema_violations)


@dataclass(frozen=True)
class Saved:
    """What is stored of a partition."""

    states: tuple[tuple[str, bytes], ...]
    erased: dict[str, Erased]
    topic_names: dict[int, str]


class Run:
    """One run. Feed batches, then finish.

    Parameters
    ----------
    seed
        Decides everything but how long things take.
    batches
        How many there will be, so that event time goes on for fifteen years.
    folder
        For the files that replay reads and writes.
    """

    def __init__(self, seed: int, batches: int, folder: Path, accounts: int = 600) -> None:
        self.seed = seed
        self.settings = Settings()
        self.pipeline = Pipeline(self.settings)
        self.now_us = _START_US
        self.result = Result()
        self.slowest = Slowest()
        self._random = Random(seed)
        self._generator = Generator(self._random, PARTITIONS, accounts)
        self._longest_pause_us = max(_YEARS * 365 * DAY / max(batches, 1) * 15, 10 * SECOND)
        self.processors = [self._fresh(p) for p in range(PARTITIONS)]
        self._trainer = Trainer(self.settings.segments)
        self._assigner: Assigner | None = None
        self._inboxes: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self._offset = self._seen = self._number = 0
        self.lines = Lines(self.settings, folder, self._random)

    def batch(self, size: int) -> None:
        """Generate a batch, apply it, and check everything."""
        random = self._random
        # From a second to a hundred days, each order of magnitude as often as the next.
        self.now_us += int(SECOND * (self._longest_pause_us / SECOND) ** random.random())
        self._number += 1
        partition = self._number % PARTITIONS
        records = self._generator.batch(size, partition, self.now_us)
        self.result.records += size
        self.result.labels.update(record.label for record in records)
        with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")
            if self._number % 4 == 0:
                self._blame(partition, records, self.lines.feed)
            alone = [r for r in records[1:] if len(r.value or b"") > _LONG_BYTES]
            for record in records[:1] + alone:
                self._time(partition, record)
            left = {id(record) for record in alone}
            self._feed(partition, [r for r in records[1:] if id(r) not in left])
            if self._number % 3 == 0:
                controls = self._generator.controls(max(size // 50, 1), partition, self.now_us)
                self.result.records += len(controls)
                self._feed(partition, controls)
            self._deliver()
            for p in range(PARTITIONS):
                self._sweep(p)
                found = checks.table(
                    self.processors[p].table, self.now_us, self.settings.worker.max_topics
                )
                self._note(self.result.violations, found)

    def finish(self) -> Result:
        """End the replay, and look whether the sums are right."""
        result = self.result
        self._note(result.violations, self.lines.finish())
        done = result.applied + result.controls.total() + result.duplicates
        found = done + result.dead_letters.total()
        if found != result.records and not result.exceptions:
            self._note(
                result.violations, [f"{result.records} records went in, {found} are accounted for"]
            )
        return result

    def _time(self, partition: int, record: Record) -> None:
        """Feed a record alone. Where it seems slow, feed it again to copies of the partition, so
        that what else the machine did does not count."""
        before = self._saved(partition)
        began = thread_time()
        self._feed(partition, [record])
        seconds = thread_time() - began
        if not self.slowest.worth_repeating(seconds):
            return
        copies = [self._restored(partition, before) for _ in range(5)]
        self.slowest.repeat(record, copies, self._assigner, self.now_us)

    def _feed(self, partition: int, records: Sequence[Record], *, again: bool = False) -> None:
        """Apply records; `again`: those that the other partition has forwarded."""
        before = self._saved(partition)
        try:
            work = self._process(self.processors[partition], records)
        except Exception as error:  # noqa: BLE001
            culprits = self._culprits(partition, before, records)
            self._fail(error, culprits)
            self.processors[partition] = self._restored(partition, before)
            guilty = {id(record) for record in culprits}
            if rest := [record for record in records if id(record) not in guilty]:
                self._feed(partition, rest, again=again)
            return
        result = self.result
        result.applied += work.effects.applied
        result.controls += work.effects.controls
        result.duplicates += work.effects.duplicates
        result.dead_letters += work.rejected
        self._note(result.violations, checks.accounting(records, work))
        if again and (work.forwarded or work.rejected):
            self._note(result.violations, [f"forwarded records were not taken: {work.rejected}"])
        result.forwarded += work.forwarded
        self._take(partition, work)

    def _process(self, processor: Processor, records: Sequence[Record]) -> Work:
        return processor.process(records, self._assigner, self.now_us)

    def _deliver(self) -> None:
        """Give what was forwarded to the partition that it belongs to."""
        for partition in range(PARTITIONS):
            records, self._inboxes[partition] = self._inboxes[partition], []
            for topic in checks.INPUTS:
                if some := [record for record in records if record.topic == topic]:
                    self._feed(partition, some, again=True)

    def _sweep(self, partition: int) -> None:
        until_us = self.now_us - 60 * SECOND
        processor = self.processors[partition]
        while processor.unchecked(self._assigner) or processor.due(until_us):
            try:
                work = processor.sweep(until_us, self._assigner, self.now_us)
            except Exception as error:  # noqa: BLE001
                self._fail(error, [])
                return
            self._take(partition, work)

    def _take(self, partition: int, work: Work) -> None:
        """What the rest of the system does with the outcome of a batch."""
        for message in [*work.outbox, *work.samples]:
            self.result.published[message.topic] += 1
            self._seen += 1
            few = self.result.published[message.topic] <= _FEW
            if few or self._seen % _SAMPLED == 0:
                self._note(self.result.schema_violations, checks.published([message]))
            if message.topic in checks.INPUTS:
                self._forward(1 - partition, message)
        samples = work.effects.samples
        snapshot = self._trainer.learn([s.vector for s in samples], [parse(s.at) for s in samples])
        if snapshot:
            self._assigner = Assigner(snapshot, Hysteresis.of(self.settings.segments))
            self.result.models += 1

    def _forward(self, partition: int, message: Message) -> None:
        self._offset += 1
        self._inboxes[partition].append(
            Record(
                message.topic,
                partition,
                10**12 + self._offset,
                message.key,
                message.value,
                message.headers,
                self.now_us // 1_000,
                "forwarded",
            )
        )

    def _blame(self, partition: int, records: Sequence[Record], feed: Any) -> None:
        """Feed records to the replay."""
        try:
            self._note(self.result.violations, feed(records))
        except Exception as error:  # noqa: BLE001
            self._fail(error, records)

    def _culprits(self, partition: int, before: Saved, records: Sequence[Record]) -> list[Record]:
        def fails(some: Sequence[Record]) -> bool:
            try:
                self._process(self._restored(partition, before), some)
            except Exception:  # noqa: BLE001
                return True
            return False

        return smallest(records, fails)

    def _fail(self, error: Exception, records: Sequence[Record]) -> None:
        cause = "\n".join(shown(record) for record in records[:3])
        self._note(self.result.exceptions, [f"{type(error).__name__}: {error}\n{cause}"])

    def _note(self, where: list[str], found: Any) -> None:
        for problem in found:
            if len(where) < _RESULT_KEPT:
                where.append(f"seed {self.seed}, batch {self._number}: {problem}")

    def _fresh(self, partition: int) -> Processor:
        return Processor(self.pipeline, partition, PARTITIONS)

    def _saved(self, partition: int) -> Saved:
        held = self.processors[partition].table
        states = tuple(held.pack(np.arange(len(held))))
        return Saved(states, dict(held.erased), dict(held.topic_names))

    def _restored(self, partition: int, saved: Saved) -> Processor:
        """A partition as its next owner would have it."""
        processor = self._fresh(partition)
        processor.table.topic_names = dict(saved.topic_names)
        processor.table.erased = dict(saved.erased)
        processor.put([id_ for id_, _ in saved.states], [state for _, state in saved.states])
        processor.recount()
        return processor
