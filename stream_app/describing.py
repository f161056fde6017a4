"""What is told of decisions: payloads of changes, spikes and accounts, and training vectors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from stream_app.changes import describe
from stream_app.changes.accounts import OTHER_TOPIC, Accounts, standings
from stream_app.effects import Effects
from stream_app.features.table import FeatureTable, Records, gathered
from stream_app.intent.spikes import Spike
from stream_app.segments.decide import MODEL, Decisions, Points, Transition
from stream_app.segments.snapshot import Assigner


def describe_decisions(
    table: FeatureTable,
    points: Points,
    held: Records,
    occurred_us: npt.NDArray[np.int64],
    decisions: Decisions,
    spikes: Sequence[tuple[int, Spike]],
    assigner: Assigner | None,
    now_us: int | None,
    effects: Effects,
) -> None:
    """Add the payloads of what was decided to `effects`.

    Parameters
    ----------
    held
        The record of each point as it was then, but for what decisions write.
    occurred_us
        When what caused each point happened.
    spikes
        (point, spike), by point.
    """
    transitions = decisions.transitions
    if not (transitions or decisions.rebanded or spikes):
        return
    happened = [(t.row, t.point) for t in transitions]
    happened += [(int(points.rows[p]), p) for p, _ in spikes]
    last = _latest(decisions.rebanded, happened)
    rows, where = np.array(list(last)), np.array(list(last.values()))
    names = table.ids_of(rows)
    moment = describe.Moment.of(assigner, now_us)
    effects.decided.append(
        Accounts(
            names,
            gathered(held, where),
            table.take(rows),
            points.values.of(where),
            decisions.scores[where],
            decisions.bands[where],
            points.at_us[where],
            moment.refs,
            table.topic_names,
        )
    )
    if not happened:
        return
    told = [p for _, p in happened]
    scores = standings(decisions.scores[told], decisions.bands[told])
    ids = dict(zip(last, names, strict=True))
    effects.changes += [
        describe.segment_change(
            ids[t.row],
            t,
            points.values.vector[t.point],
            standing,
            int(occurred_us[t.point]),
            moment,
        )
        for t, standing in zip(transitions, scores, strict=False)
    ]
    if not spikes:
        return
    segment_at = _segments_at(table, transitions)
    begin = len(transitions)
    effects.spikes += [
        describe.intent_spike(
            ids[row],
            spike,
            table.topic_names.get(spike.topic, OTHER_TOPIC),
            standing,
            segment_at(row, p),
            int(occurred_us[p]),
            moment,
        )
        for (row, p), standing, (_, spike) in zip(
            happened[begin:], scores[begin:], spikes, strict=True
        )
    ]


def _latest(rebanded: dict[int, int], happened: list[tuple[int, int]]) -> dict[int, int]:
    """Row -> the latest point that something is to be told of."""
    last = dict(rebanded)
    for row, p in happened:
        last[row] = max(last.get(row, 0), p)
    return last


def _segments_at(
    table: FeatureTable, transitions: Sequence[Transition]
) -> Callable[[int, int], int]:
    """The segment of a row at a point: what its next later transition left, or today's."""
    left: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for t in transitions:
        left[t.row].append((t.point, t.previous))

    def segment_at(row: int, p: int) -> int:
        later = (previous for point, previous in left.get(row, ()) if point > p)
        return next(later, int(table.data["segment"][row]))

    return segment_at


def take_samples(
    table: FeatureTable, points: Points, sample_us: int, effects: Effects, most: int | None
) -> None:
    """Training vectors: at most one per account and interval of the account's own time.

    If `most` is given and there would be more, only every second one, or third, and so on is given
    away. What becomes of an account does not depend on that, so each counts as sampled.
    """
    sampled = table.data["sampled_us"]
    last_us = sampled[points.rows]
    due = (last_us == 0) | (points.at_us - last_us >= sample_us)
    due &= points.cause != MODEL
    candidates = due.nonzero()[0]
    if not len(candidates):
        return
    turns: Counter[int] = Counter()
    chosen: list[tuple[int, int, int, int]] = []
    rows, times_us = points.rows[candidates].tolist(), points.at_us[candidates].tolist()
    for p, row, at_us in zip(candidates.tolist(), rows, times_us, strict=True):
        last = int(sampled[row])
        if last and at_us - last < sample_us:
            continue
        sampled[row] = at_us
        # An account's first interval only starts the clock: a first event says little yet.
        if last:
            chosen.append((turns[row], p, row, at_us))
        turns[row] += 1
    if not chosen:
        return
    # First one of each account, then the second ones: so that no account comes in a row.
    chosen.sort()
    if most is not None and len(chosen) > most:
        chosen = chosen[:: -(-len(chosen) // most)]
    vectors = points.values.vector[[p for _, p, _, _ in chosen]].tolist()
    ids = table.ids_of(np.array([row for _, _, row, _ in chosen]))
    effects.samples += [
        describe.feature_sample(account, vector, at_us)
        for account, (_, _, _, at_us), vector in zip(ids, chosen, vectors, strict=True)
    ]
