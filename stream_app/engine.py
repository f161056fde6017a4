"""One step over one batch: the only place where features, intent, segments and changes meet.

Pure: no I/O, no clock, no global state; what it changes is the table it is given. Batching never
changes a result. A batch that holds several events of one account is applied in rounds (round r
takes each account's r-th event), each round at once for all its accounts; then all points that
arose are decided in the order of each account's own events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream_app.changes import describe
from stream_app.changes.types import AccountSegment, FeatureSample, IntentSpike, SegmentChange
from stream_app.events.batch import EventBatch
from stream_app.events.instants import HOUR
from stream_app.features import silence, update
from stream_app.features.table import Erased, FeatureTable, Records, Rows, gathered, joined
from stream_app.features.values import values_at
from stream_app.intent.interest import add_interest
from stream_app.intent.spikes import Spike
from stream_app.segments.decide import EVENT, MODEL, SILENCE, Decisions, Points, decide
from stream_app.segments.snapshot import Assigner
from stream_app.settings import Settings

MAX_POINTS = 16_384
"""Points decided at once, to bound memory; the outcome does not depend on it."""

OTHER_TOPIC = "(other)"

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(slots=True)
class Effects:
    """What a step leads to. Values for others to carry out."""

    touched: Rows
    """Rows whose records changed, each once."""
    applied: int = 0
    """Events that were no duplicates."""
    duplicates: int = 0
    controls: Counter[str] = field(default_factory=Counter)
    """Control events that were carried out, by type."""
    changes: list[SegmentChange] = field(default_factory=list)
    spikes: list[IntentSpike] = field(default_factory=list)
    accounts: dict[str, AccountSegment] = field(default_factory=dict)
    """Where accounts stand whose segment or band changed, or that had a spike; the latest."""
    samples: list[FeatureSample] = field(default_factory=list)
    new_topics: dict[int, str] = field(default_factory=dict)
    """Topic names seen for the first time in this partition, by hash."""
    gone: list[str] = field(default_factory=list)
    """Accounts that are not there (any more): what is stored and published of them goes."""
    erased: dict[str, Erased] = field(default_factory=dict)
    """What remains of accounts that were erased now, by `digest_of` their id."""


@dataclass(slots=True)
class _Pending:
    """Points of a batch, collected round by round."""

    rows: list[Rows] = field(default_factory=list)
    at_us: list[npt.NDArray[np.int64]] = field(default_factory=list)
    cause: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    occurred_us: list[npt.NDArray[np.int64]] = field(default_factory=list)
    records: list[Records] = field(default_factory=list)
    """Gathered copies that the points refer to."""
    record: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """Position of each point's record in the concatenation of `records`."""
    held: int = 0
    spikes: list[tuple[int, Spike]] = field(default_factory=list)
    """(index of the point, spike)."""
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
    ) -> None:
        """Append points."""
        causes = np.empty(len(rows), np.uint8)
        causes.fill(cause)
        self.rows.append(rows)
        self.at_us.append(at_us)
        self.cause.append(causes)
        self.occurred_us.append(occurred_us)
        self.record.append(record)
        self.count += len(rows)


class Engine:
    """The settings of a step, prepared."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._weights = update.Weights(settings.scores)
        self._sample_us = round(settings.segments.sample_hours * HOUR)

    def step(
        self, table: FeatureTable, batch: EventBatch, assigner: Assigner | None, now_us: int | None
    ) -> Effects:
        """Apply a batch of events, all of accounts that belong to `table`.

        Before an event, the account's silence checks that lie before it are carried out, if no
        sweep has done so; and a check under a new model, if it has not been looked at under it.
        `now_us` is what `decided_at` says; None (replay): the instant of what caused it.
        """
        rows = table.rows_of(batch.accounts)
        new_topics = self._name_topics(table, batch)
        pending = _Pending()
        applied = 0
        for index in _rounds(rows):
            applied += self._round(table, batch, rows, index, assigner, pending)
        effects = self._decide(table, pending, assigner, now_us)
        table.due_us[effects.touched] = silence.next_due(table.take(effects.touched))
        effects.applied = applied
        effects.duplicates = len(batch) - applied
        effects.new_topics = new_topics
        return effects

    def sweep(
        self,
        table: FeatureTable,
        until_us: int,
        assigner: Assigner | None,
        now_us: int | None,
        limit: int,
        of_model: int | None = None,
    ) -> Effects:
        """Carry out silence checks due before `until_us`, and checks under a new model.

        At most `limit` accounts of each sort, those longest due first; `of_model` under a new
        model, if it is given. Call again until nothing was touched to carry out everything.
        """
        self._notice_model(table, assigner)
        unchecked = table.take_unchecked(limit if of_model is None else of_model)
        due = table.due_before(until_us, limit)
        rows = _each_once(np.concatenate([unchecked, due]))
        pending = _Pending()
        if len(rows):
            records = table.take(rows)
            self._check_model(rows, records, assigner, pending)
            self._check_silence(rows, records, np.full(len(rows), until_us), pending)
            table.store(rows, records)
            table.due_us[rows] = silence.next_due(records)
        return self._decide(table, pending, assigner, now_us)

    def _round(
        self,
        table: FeatureTable,
        batch: EventBatch,
        rows: Rows,
        index: npt.NDArray[np.int64],
        assigner: Assigner | None,
        pending: _Pending,
    ) -> int:
        """Apply events `index`, each of another account; returns how many were no duplicates."""
        records = table.take(rows[index])
        duplicate = update.is_duplicate(records, batch.id_hash[index])
        if duplicate.any():
            index, records = index[~duplicate], gathered(records, ~duplicate)
            if not len(index):
                return 0
        mine, at_us = rows[index], batch.at_us[index]
        self._check_model(mine, records, assigner, pending)
        known = records["first_us"] > 0
        self._check_silence(mine, records, np.where(known, at_us, records["latest_us"]), pending)
        update.advance(records, at_us)
        update.add(records, batch, index, self._weights)
        spikes = list(add_interest(records, batch, index, self._settings.spikes))
        table.store(mine, records)
        pending.spikes += [(pending.count + spike.position, spike) for spike in spikes]
        first = pending.hold(records)
        pending.add(mine, silence.as_of(records), EVENT, at_us, first + np.arange(len(records)))
        return len(index)

    def _check_model(
        self, rows: Rows, records: Records, assigner: Assigner | None, pending: _Pending
    ) -> None:
        """Add a point for each known account that was last decided under another model."""
        version = assigner.snapshot.version if assigner else 0
        outdated = records["model"] != version
        if not outdated.any():
            return
        stale = (outdated & (records["first_us"] > 0)).nonzero()[0]
        records["model"] = version
        if len(stale):
            held = gathered(records, stale)
            at_us, first = silence.as_of(held), pending.hold(held)
            pending.add(rows[stale], at_us, MODEL, at_us, first + np.arange(len(stale)))

    def _check_silence(
        self,
        rows: Rows,
        records: Records,
        before_us: npt.NDArray[np.int64],
        pending: _Pending,
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
        first = pending.hold(held)
        pending.add(rows[waiting][position], due_us, SILENCE, due_us, first + position)
        records["checks"] += counts.astype(np.uint16)

    def _decide(
        self, table: FeatureTable, pending: _Pending, assigner: Assigner | None, now_us: int | None
    ) -> Effects:
        if not pending.count:
            return Effects(np.empty(0, np.int64))
        rows, at_us = _concatenated(pending.rows), _concatenated(pending.at_us)
        cause, occurred_us = _concatenated(pending.cause), _concatenated(pending.occurred_us)
        records, record = joined(pending.records), _concatenated(pending.record)
        effects = Effects(_each_once(rows))
        spikes = pending.spikes
        for start in range(0, len(rows), MAX_POINTS):
            part = slice(start, start + MAX_POINTS)
            held = gathered(records, record[part])
            points = Points(rows[part], at_us[part], cause[part], values_at(held, at_us[part]))
            decisions = decide(table, points, assigner, self._settings.scores)
            mine = [(p - start, s) for p, s in spikes if start <= p < start + MAX_POINTS]
            self._describe(
                table, points, held, occurred_us[part], decisions, mine, assigner, now_us, effects
            )
            self._sample(table, points, effects)
        return effects

    def _describe(
        self,
        table: FeatureTable,
        points: Points,
        held: Records,
        occurred_us: npt.NDArray[np.int64],
        decisions: Decisions,
        spikes: list[tuple[int, Spike]],
        assigner: Assigner | None,
        now_us: int | None,
        effects: Effects,
    ) -> None:
        """Payloads of what was decided."""
        last: dict[int, int] = dict(decisions.rebanded)
        segments: dict[int, list[tuple[int, int]]] = {}
        for t in decisions.transitions:
            effects.changes.append(
                describe.segment_change(
                    table.ids[t.row],
                    t,
                    points.values.vector[t.point],
                    describe.standing(decisions.scores[t.point], decisions.bands[t.point]),
                    assigner,
                    int(occurred_us[t.point]),
                    now_us,
                )
            )
            last[t.row] = max(last.get(t.row, 0), t.point)
            segments.setdefault(t.row, []).append((t.point, t.previous))
        for p, spike in spikes:
            row = int(points.rows[p])
            # The segment at this point: what the next later transition left, or today's.
            left = [previous for point, previous in segments.get(row, []) if point > p]
            segment = left[0] if left else int(table.data["segment"][row])
            effects.spikes.append(
                describe.intent_spike(
                    table.ids[row],
                    spike,
                    table.topic_names.get(spike.topic, OTHER_TOPIC),
                    describe.standing(decisions.scores[p], decisions.bands[p]),
                    describe.segment_ref(segment, assigner),
                    int(occurred_us[p]),
                    now_us,
                )
            )
            last[row] = max(last.get(row, 0), p)
        for row, p in last.items():
            record = held[p].copy()
            for name in ("sequence", "segment", "since_us", "model"):
                record[name] = table.data[name][row]
            effects.accounts[table.ids[row]] = describe.account_segment(
                table.ids[row],
                record,
                points.values,
                p,
                describe.standing(decisions.scores[p], decisions.bands[p]),
                assigner,
                table.topic_names,
                int(points.at_us[p]),
            )

    def _sample(self, table: FeatureTable, points: Points, effects: Effects) -> None:
        """Training vectors: at most one per account and interval of the account's own time."""
        sampled = table.data["sampled_us"]
        last_us = sampled[points.rows]
        due = (last_us == 0) | (points.at_us - last_us >= self._sample_us)
        candidates = (due & (points.cause != MODEL)).nonzero()[0]
        if not len(candidates):
            return
        turns: Counter[int] = Counter()
        chosen: list[tuple[int, int]] = []
        for p in candidates.tolist():
            row, at_us = int(points.rows[p]), int(points.at_us[p])
            last = int(sampled[row])
            if last and at_us - last < self._sample_us:
                continue
            sampled[row] = at_us
            # An account's first interval only starts the clock: a first event says little yet.
            if last:
                chosen.append((turns[row], p))
            turns[row] += 1
        # First one of each account, then the second ones: so that no account comes in a row.
        effects.samples += [
            describe.feature_sample(
                table.ids[points.rows[p]], points.values.vector[p], int(points.at_us[p])
            )
            for _, p in sorted(chosen)
        ]

    def _name_topics(self, table: FeatureTable, batch: EventBatch) -> dict[int, str]:
        """Learn the names of topics; past the limit they stay nameless."""
        room = self._settings.worker.max_topics - len(table.topic_names)
        new = {h: n for h, n in batch.topic_names.items() if h not in table.topic_names}
        new = dict(list(new.items())[: max(room, 0)])
        table.topic_names |= new
        return new

    def _notice_model(self, table: FeatureTable, assigner: Assigner | None) -> None:
        version = assigner.snapshot.version if assigner else 0
        if version != table.model_version:
            table.model_version = version
            table.unchecked_from = 0


def _concatenated(parts: Sequence[npt.NDArray[_Scalar]]) -> npt.NDArray[_Scalar]:
    """All parts in one; most batches have only one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _each_once(rows: Rows) -> Rows:
    """`np.unique`, which takes three times as long for a few rows."""
    ordered = np.sort(rows)
    return np.concatenate([ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]])


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
