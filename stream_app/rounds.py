"""Applying a batch of events to the accounts of a partition, with numpy alone.

A batch that holds several events of one account is applied in rounds: round r takes each account's
r-th event, and is carried out at once for all its accounts. What comes out is put into the order of
the events, so that nobody sees the rounds. `stepper.py` does the same, bit for bit, in one pass of
compiled code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream_app.events.batch import EventBatch
from stream_app.features import silence, update
from stream_app.features.table import FeatureTable, Records, Rows, gathered, joined
from stream_app.intent.interest import add_interest
from stream_app.intent.spikes import NO_CANDIDATES, Candidates
from stream_app.segments.decide import EVENT, MODEL, SILENCE
from stream_app.settings import Settings

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Applied:
    """The points that a batch gives rise to, in the order of its events. Of one event: a look under
    a new model, silence checks that lie before it, and the event itself."""

    rows: Rows
    at_us: npt.NDArray[np.int64]
    cause: npt.NDArray[np.uint8]
    occurred_us: npt.NDArray[np.int64]
    """When what caused the point happened."""
    records: Records
    """Copies of records, as they were at the points."""
    record: npt.NDArray[np.int64]
    """Position of each point's copy in `records`."""
    candidates: Candidates
    """What may be a spike; `point` is a position in the above."""
    events: int
    """That were no duplicates."""

    def __len__(self) -> int:
        return len(self.rows)

    def held(self, part: slice) -> Records:
        """The record of each of some points."""
        record = self.record[part]
        first = int(record[0]) if len(record) else 0
        in_a_row = np.arange(first, first + len(record))
        if np.array_equal(record, in_a_row):  # mostly: of each point one copy, in their order
            return self.records[first : first + len(record)]
        return gathered(self.records, record)


@dataclass(slots=True)
class _Points:
    """Points as they are found."""

    rows: list[Rows] = field(default_factory=list)
    at_us: list[npt.NDArray[np.int64]] = field(default_factory=list)
    cause: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    occurred_us: list[npt.NDArray[np.int64]] = field(default_factory=list)
    records: list[Records] = field(default_factory=list)
    """Gathered copies that the points refer to."""
    record: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """Position of each point's record in the concatenation of `records`."""
    order: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """Position in the batch of the event that each point belongs to."""
    candidates: list[Candidates] = field(default_factory=list)
    held: int = 0
    count: int = 0

    def hold(self, records: Records) -> int:
        """Keep a copy of records; returns the position of the first."""
        first = self.held
        self.records.append(records)
        self.held += len(records)
        return first

    def add(
        self,
        rows: Rows,
        at_us: npt.NDArray[np.int64],
        cause: int,
        occurred_us: npt.NDArray[np.int64],
        record: npt.NDArray[np.int64],
        order: npt.NDArray[np.int64],
    ) -> None:
        """Append points."""
        causes = np.empty(len(rows), np.uint8)
        causes.fill(cause)
        self.rows.append(rows)
        self.at_us.append(at_us)
        self.cause.append(causes)
        self.occurred_us.append(occurred_us)
        self.record.append(record)
        self.order.append(order)
        self.count += len(rows)

    def in_order(self, events: int) -> Applied:
        """All points. Those of an event were added in their order, so sorting keeps that."""
        if not self.count:
            return NOTHING
        rows, at_us = _concatenated(self.rows), _concatenated(self.at_us)
        cause, occurred_us = _concatenated(self.cause), _concatenated(self.occurred_us)
        record, order = _concatenated(self.record), _concatenated(self.order)
        candidates = np.concatenate(self.candidates) if self.candidates else NO_CANDIDATES
        if (order[1:] < order[:-1]).any():
            sorted_ = np.argsort(order, kind="stable")
            rows, at_us, cause = rows[sorted_], at_us[sorted_], cause[sorted_]
            occurred_us, record = occurred_us[sorted_], record[sorted_]
            position = np.empty(len(sorted_), np.int64)
            position[sorted_] = np.arange(len(sorted_))
            candidates["point"] = position[candidates["point"]]
        candidates = candidates[np.argsort(candidates["point"], kind="stable")]
        records = joined(self.records)
        return Applied(rows, at_us, cause, occurred_us, records, record, candidates, events)


_NONE = np.empty(0, np.int64)
NOTHING = Applied(
    *(_NONE, _NONE, np.empty(0, np.uint8), _NONE),
    *(gathered(FeatureTable(1).data, _NONE), _NONE, NO_CANDIDATES, 0),
)
"""What comes of no events."""


class Rounds:
    """The settings, prepared."""

    def __init__(self, settings: Settings) -> None:
        self._weights = update.Weights(settings.scores)
        self._spikes = settings.spikes

    def apply(self, table: FeatureTable, batch: EventBatch, rows: Rows, model: int) -> Applied:
        """Apply a batch; `rows` are those of its accounts, `model` the version in use, 0: none."""
        points = _Points()
        applied = 0
        for index in _rounds(rows):
            applied += self._round(table, batch, rows, index, model, points)
        return points.in_order(applied)

    def look(
        self, table: FeatureTable, rows: Rows, before_us: npt.NDArray[np.int64], model: int
    ) -> Applied:
        """Points of accounts of which there is no event: silence checks that are due before an
        instant each, and looks under a new model."""
        points = _Points()
        if len(rows):
            records, order = table.take(rows), np.arange(len(rows))
            _check_model(rows, records, order, model, points)
            _check_silence(rows, records, order, before_us, points)
            table.store(rows, records)
        return points.in_order(0)

    def note_due(self, table: FeatureTable, rows: Rows) -> None:
        """Note when accounts are to be looked at next."""
        table.due_us[rows] = silence.next_due(table.take(rows))

    def _round(
        self,
        table: FeatureTable,
        batch: EventBatch,
        rows: Rows,
        index: npt.NDArray[np.int64],
        model: int,
        points: _Points,
    ) -> int:
        """Apply events `index`, each of another account; returns how many were no duplicates."""
        records = table.take(rows[index])
        duplicate = update.is_duplicate(records, batch.id_hash[index])
        if duplicate.any():
            index, records = index[~duplicate], gathered(records, ~duplicate)
            if not len(index):
                return 0
        mine, at_us = rows[index], batch.at_us[index]
        _check_model(mine, records, index, model, points)
        known = records["first_us"] > 0
        before_us = np.where(known, at_us, records["latest_us"])
        _check_silence(mine, records, index, before_us, points)
        update.advance(records, at_us)
        update.add(records, batch, index, self._weights)
        for found in add_interest(records, batch, index, self._spikes):
            found["row"] = mine[found["point"]]
            found["point"] += points.count
            points.candidates.append(found)
        table.store(mine, records)
        record = points.hold(records) + np.arange(len(records))
        points.add(mine, silence.as_of(records), EVENT, at_us, record, index)
        return len(index)


def _check_model(
    rows: Rows, records: Records, order: npt.NDArray[np.int64], model: int, points: _Points
) -> None:
    """Add a point for each known account that was last decided under another model."""
    outdated = records["model"] != model
    if not outdated.any():
        return
    stale = (outdated & (records["first_us"] > 0)).nonzero()[0]
    records["model"] = model
    if len(stale):
        held = gathered(records, stale)
        at_us = silence.as_of(held)
        record = points.hold(held) + np.arange(len(stale))
        points.add(rows[stale], at_us, MODEL, at_us, record, order[stale])


def _check_silence(
    rows: Rows,
    records: Records,
    order: npt.NDArray[np.int64],
    before_us: npt.NDArray[np.int64],
    points: _Points,
) -> None:
    """Add the points of checks due before each instant and count them as done."""
    if (before_us - records["latest_us"]).max(initial=0) <= silence.FIRST_US:
        return  # nobody has been silent for so long as the first check
    counts = silence.pending(records, before_us)
    waiting = counts.nonzero()[0]
    if not len(waiting):
        return
    held = gathered(records, waiting)
    position, due_us = silence.due_instants(held, counts[waiting])
    record, at = points.hold(held) + position, waiting[position]
    points.add(rows[at], due_us, SILENCE, due_us, record, order[at])
    records["checks"] += counts.astype(np.uint8)


def _concatenated(parts: Sequence[npt.NDArray[_Scalar]]) -> npt.NDArray[_Scalar]:
    """All parts in one; most batches have only one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _rounds(rows: Rows) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of events, the r-th of each account in round r; in event order within a round."""
    if len(set(rows.tolist())) == len(rows):
        if len(rows):
            yield np.arange(len(rows))
        return
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    counts = np.diff(starts, append=len(rows))
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - np.repeat(starts, counts)
    by_rank = np.argsort(rank, kind="stable")
    yield from np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])
