"""Replay: a file of events through the same engine, on event time, as fast as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time_ns
from types import TracebackType
from typing import BinaryIO, Self

import msgspec
import numpy as np

from stream_app.changes.accounts import accounts_at
from stream_app.changes.types import AccountSegment, DeadLetter
from stream_app.control import Controls
from stream_app.effects import Effects
from stream_app.engine import Engine
from stream_app.events.batch import Columns, EventBatch
from stream_app.events.control import Control
from stream_app.events.decode import Pseudonyms, Rejection
from stream_app.events.instants import parse, to_rfc3339
from stream_app.features.table import FeatureTable
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot, write_snapshot
from stream_app.segments.trainer import Trainer
from stream_app.settings import Settings
from stream_app.streams.mixed import MixedReader

_SWEEP_LIMIT = 20_000
_STEP_BYTES = 16 * 1024 * 1024
"""Of the lines of a step, at which it is full: a line may have 8 MiB."""

_DESCRIBED_AT_ONCE = 4_096
"""Accounts, to bound memory."""


class SegmentSize(msgspec.Struct, frozen=True):
    """A segment and how many accounts are in it."""

    id: int
    name: str
    accounts: int


class Summary(msgspec.Struct, kw_only=True):
    """What a replay did. read = applied + controls + duplicates + dead_letters."""

    read: int = 0
    applied: int = 0
    controls: int = 0
    """Control events that were carried out."""
    duplicates: int = 0
    dead_letters: int = 0
    dead_letters_by_reason: dict[str, int] = {}
    accounts: int = 0
    segments: list[SegmentSize] = []
    segment_changes: int = 0
    segment_changes_by_reason: dict[str, int] = {}
    intent_spikes: int = 0
    model_version: int = 0
    first_event: str | None = None
    last_event: str | None = None
    until: str | None = None
    seconds: float = 0.0
    events_per_second: float = 0.0


class Outputs:
    """The files that a replay writes into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._encoder = msgspec.json.Encoder()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("segment-changes", "intent-spikes", "accounts", "models", "dead-letters"):
            self._files[name] = (self._folder / f"{name}.jsonl").open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()

    def write(self, name: str, values: Sequence[object]) -> None:
        """Append values to a file, one JSON object a line."""
        self._files[name].write(self._encoder.encode_lines(values))

    def write_whole(self, name: str, data: bytes) -> None:
        """Write a file that is a single JSON object."""
        (self._folder / name).write_bytes(msgspec.json.format(data) + b"\n")


@dataclass
class Replay:
    """One run over any number of lines. Feed lines, then finish.

    Parameters
    ----------
    settings
        As for a worker.
    outputs
        Where results go; None: nowhere, only the summary counts.
    model
        A fixed snapshot: nothing is trained. None: the model is trained on the way.
    observe
        Called with what each step led to, before a new model is taken up.
    """

    settings: Settings
    outputs: Outputs | None = None
    model: Snapshot | None = None
    observe: Callable[[Effects], None] | None = None
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        inputs = self.settings.input
        columns = Columns(Pseudonyms(inputs.contact_hash_key.get_secret_value().encode()))
        self._reader = MixedReader(inputs, columns)
        self._engine = Engine(self.settings)
        self._controls = Controls(columns, self.settings.scores)
        segments, health = self.settings.segments, self.settings.health
        self._trainer = None if self.model else Trainer(segments, health=health)
        self._assigner = self._take_up(self.model)
        self.table = FeatureTable()
        self._reasons: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._first_us, self._latest_us, self._watermark_us = 2**62, 0, 0
        self._file, self._line = "", 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._started = perf_counter()

    @property
    def assigner(self) -> Assigner | None:
        """The model in use."""
        return self._assigner

    def start_file(self, name: str) -> None:
        """Name the file that the next lines come from, for dead letters."""
        self._flush()
        self._file, self._line = name, 0

    def feed(self, lines: Sequence[bytes]) -> None:
        """Apply lines, each one event or control event. Blank ones count for line numbers only.

        Lines are held back until a step is full or its file ends, so that steps, and with them
        the moments at which a new model is taken up, do not depend on how lines are handed over.
        """
        most = self.settings.worker.max_batch
        for line in lines:
            self._held.append(line)
            self._held_bytes += len(line)
            if len(self._held) == most or self._held_bytes >= _STEP_BYTES:
                self._flush()

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        self._step(held)

    def _step(self, given: Sequence[bytes]) -> None:
        numbers = [n for n, line in enumerate(given, self._line + 1) if line.strip()]
        lines = [line for line in given if line.strip()]
        self._line += len(given)
        read, controls = self._reader.read(lines, time_ns() // 1_000)
        self.summary.read += len(lines)
        self._reject(lines, numbers, read.rejections)
        if not controls.events:
            self._apply(read.batch)
            return
        ends = np.searchsorted(read.indices, controls.indices)
        before, *between = np.split(np.arange(len(read.batch)), ends)
        self._apply(read.batch.part(before))
        for event, at_us, part in zip(controls.events, controls.times_us, between, strict=True):
            self._control(event, at_us)
            self._apply(read.batch.part(part))

    def _control(self, event: Control, at_us: int) -> None:
        effects = self._controls.apply(self.table, [event], [at_us], self._assigner, None)
        self.summary.controls += effects.controls.total()
        self.summary.duplicates += effects.duplicates
        self._carry_out(effects)

    def _apply(self, batch: EventBatch) -> None:
        if not len(batch):
            return
        times_us = batch.at_us
        effects = self._engine.step(self.table, batch, self._assigner, None)
        self.summary.applied += effects.applied
        self.summary.duplicates += effects.duplicates
        self._carry_out(effects)
        self._first_us = min(self._first_us, int(times_us.min()))
        self._latest_us = max(self._latest_us, int(times_us.max()))
        # The median, so that a single wrong clock does not make every account look silent.
        self._watermark_us = max(self._watermark_us, int(np.median(times_us)))
        self._sweep(self._watermark_us)

    def finish(self, until: str | None = None) -> Summary:
        """Let time pass until `until` (RFC 3339, default: the latest event), write the rest."""
        self._flush()
        until_us = parse(until) if until else self._latest_us
        if self.summary.applied:
            self._sweep(until_us)
        accounts = self._accounts(until_us)
        sizes = Counter((a.segment.id, a.segment.name) for a in accounts)
        summary = self.summary
        summary.accounts = len(accounts)
        summary.segments = [SegmentSize(id_, name, sizes[id_, name]) for id_, name in sorted(sizes)]
        summary.dead_letters_by_reason = dict(self._rejected)
        summary.segment_changes_by_reason = dict(self._reasons)
        summary.model_version = self._assigner.snapshot.version if self._assigner else 0
        if summary.applied:
            summary.first_event = to_rfc3339(self._first_us)
            summary.last_event = to_rfc3339(self._latest_us)
            summary.until = to_rfc3339(until_us)
        summary.seconds = round(perf_counter() - self._started, 3)
        summary.events_per_second = round(summary.read / max(summary.seconds, 1e-3), 1)
        if self.outputs:
            self.outputs.write("accounts", accounts)
            model = write_snapshot(self._assigner.snapshot) if self._assigner else b"null"
            self.outputs.write_whole("model.json", model)
            self.outputs.write_whole("summary.json", msgspec.json.encode(summary))
        return summary

    def _reject(
        self, lines: Sequence[bytes], numbers: Sequence[int], rejections: Sequence[Rejection]
    ) -> None:
        self.summary.dead_letters += len(rejections)
        self._rejected.update(rejection.reason.value for rejection in rejections)
        if self.outputs and rejections:
            letters = [
                DeadLetter.of(lines[r.index], r, self._file, numbers[r.index]) for r in rejections
            ]
            self.outputs.write("dead-letters", letters)

    def _sweep(self, until_us: int) -> None:
        while True:
            effects = self._engine.sweep(
                self.table, until_us, self._assigner, None, limit=_SWEEP_LIMIT
            )
            self._carry_out(effects)
            if not len(effects.touched):
                return

    def _carry_out(self, effects: Effects) -> None:
        self.summary.segment_changes += len(effects.changes)
        self.summary.intent_spikes += len(effects.spikes)
        self._reasons.update(change.reason for change in effects.changes)
        if self.outputs:
            self.outputs.write("segment-changes", effects.changes)
            self.outputs.write("intent-spikes", effects.spikes)
        if self.observe:
            self.observe(effects)
        if self._trainer and effects.samples:
            snapshot = self._trainer.learn(
                [sample.vector for sample in effects.samples],
                [parse(sample.at) for sample in effects.samples],
            )
            self._assigner = self._take_up(snapshot) or self._assigner

    def _take_up(self, snapshot: Snapshot | None) -> Assigner | None:
        if snapshot is None:
            return None
        if self.outputs:
            self.outputs.write("models", [snapshot])
        return Assigner(snapshot, Hysteresis.of(self.settings.segments))

    def _accounts(self, until_us: int) -> list[AccountSegment]:
        table, found = self.table, list[AccountSegment]()
        for start in range(0, len(table), _DESCRIBED_AT_ONCE):
            part = slice(start, start + _DESCRIBED_AT_ONCE)
            found += accounts_at(
                table.ids_of(np.arange(len(table))[part]),
                table.live[part],
                self._assigner,
                table.topic_names,
                np.maximum(table.live["latest_us"][part], until_us),
                self.settings.scores,
            ).payloads()
        return found
