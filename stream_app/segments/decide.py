"""Decisions: which segment and bands an account is in, point by point, with hysteresis.

A point is an account as of an instant: after an event, at a silence check, or under a new model.
What is expensive (features, scores, distances) is computed for all points at once. Only accounts
that something may change for are walked through point by point, because hysteresis depends on the
path.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.table import ACCOUNT, FeatureTable, Rows, offsets_of
from stream_app.features.values import Floats, Values
from stream_app.intent.scores import band_of, bands_of, scores_of
from stream_app.segments.hysteresis import NO_EVIDENCE, PLAIN, Pending
from stream_app.segments.snapshot import NO_SEGMENT, UNSEGMENTED, Assigner
from stream_app.settings import ScoreSettings


class Cause(IntEnum):
    """Why an account was looked at."""

    EVENT = 0
    SILENCE = 1
    MODEL = 2


EVENT, SILENCE, MODEL = (int(cause) for cause in Cause)
"""The same as plain numbers: to look up a member costs as much as an operation on a small array."""


@dataclass(frozen=True, slots=True)
class Points:
    """n points in the order in which they are decided."""

    rows: Rows
    at_us: npt.NDArray[np.int64]
    cause: npt.NDArray[np.uint8]
    values: Values

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Transition:
    """An account entered another segment, or its first one."""

    point: int
    row: int
    sequence: int
    previous: int
    """Segment id, `NO_SEGMENT` for the first."""
    current: int
    cause: Cause
    """Of the look that brought the evidence."""
    evidence_us: int
    """Since when weak evidence lasted; 0: decided at once."""
    before: npt.NDArray[np.float32]
    """Model vector when the previous segment was entered, or a new model redrew it."""
    margin: float | None
    """How far inside: 1 - distance to the own centre / distance to the next. None: no model."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What became of the points."""

    transitions: list[Transition]
    """By point."""
    rebanded: dict[int, int]
    """Row -> point of its latest change of a band, by point."""
    scores: Floats
    """(n, 2) engagement and intent."""
    bands: npt.NDArray[np.uint8]
    """(n, 2) after each point."""


def decide(
    table: FeatureTable, points: Points, assigner: Assigner | None, settings: ScoreSettings
) -> Decisions:
    """Decide every point, and write segment, bands and anchor of the accounts that change."""
    rows, data = points.rows, table.data
    if assigner:
        _renew_anchors(table, points, assigner)
    scores = scores_of(points.values, settings)
    if native.in_use:
        return _decide_compiled(table, points, assigner, settings, scores)
    before = data["bands"][rows]
    bands = bands_of(scores, before, settings)
    distances = assigner.distances(points.values.vector) if assigner else None
    segment = data["segment"][rows]
    restless = (bands != before).any(axis=1)
    restless |= _restless(segment, data["pending_us"][rows], points.at_us, distances, assigner)

    out = Decisions([], {}, scores, bands)
    for row, mine in _groups(rows, restless).items():
        _walk(row, mine, table, points, distances, assigner, settings, out)
    rebanded = sorted(out.rebanded.items(), key=lambda item: item[1])
    return Decisions(sorted(out.transitions, key=lambda t: t.point), dict(rebanded), scores, bands)


def _decide_compiled(
    table: FeatureTable,
    points: Points,
    assigner: Assigner | None,
    settings: ScoreSettings,
    scores: Floats,
) -> Decisions:
    bands = np.empty((len(points), 2), np.uint8)
    found, anchors, rebanded = _rule(assigner, settings).decide(
        *(table.data, bands, points.rows, points.at_us, points.cause, scores, points.values.vector)
    )
    if not found:
        return Decisions([], dict(rebanded), scores, bands)
    before = np.frombuffer(anchors, np.float32).reshape(len(found), -1)
    transitions = [
        Transition(
            point, row, sequence, previous, current, Cause(cause), evidence_us, before[i], margin
        )
        for i, (point, row, sequence, previous, current, cause, evidence_us, margin) in enumerate(
            found
        )
    ]
    return Decisions(transitions, dict(rebanded), scores, bands)


def _rule(assigner: Assigner | None, settings: ScoreSettings) -> native.compiled.Rule:
    rules = assigner.rules if assigner else _RULES_WITHOUT_MODEL
    limits = settings.enter, settings.leave
    if limits not in rules:
        rule = assigner.hysteresis if assigner else PLAIN
        mean, factor = assigner.scaling if assigner else ([0.0] * len(MODEL_VECTOR),) * 2
        rules[limits] = native.compiled.Rule(
            offsets_of(ACCOUNT),
            ACCOUNT.itemsize,
            assigner.ids.tolist() if assigner else [],
            assigner.centres.T.ravel().tolist() if assigner else [],
            mean,
            factor,
            rule.margin,
            rule.strong_margin,
            rule.confirm_us,
            list(settings.enter),
            list(settings.leave),
        )
    return rules[limits]


_RULES_WITHOUT_MODEL: dict[object, native.compiled.Rule] = {}


def _restless(
    segment: npt.NDArray[np.int32],
    pending_us: npt.NDArray[np.int64],
    at_us: npt.NDArray[np.int64],
    distances: Floats | None,
    assigner: Assigner | None,
) -> npt.NDArray[np.bool_]:
    """Which points may change the segment or the evidence of their account. Weak evidence that is
    known and only goes on changes neither."""
    tempted = _may_leave(segment, distances, assigner)
    waiting = pending_us > 0
    if assigner is None or distances is None or not waiting.any():
        return tempted | waiting
    rule = assigner.hysteresis
    lasts = waiting & (at_us - pending_us < rule.confirm_us)
    lasts &= ~_nearer_by(rule.strong_margin, segment, distances, assigner)
    return np.where(lasts, ~tempted, tempted | waiting)


def _renew_anchors(table: FeatureTable, points: Points, assigner: Assigner) -> None:
    """Reasons lead from the anchor to a decision. Where a new model has drawn an account's segment
    so that the old anchor lies outside of it, they start from where the account is now: if that
    lies inside, or the anchor outside by the margin."""
    checked = (points.cause == MODEL).nonzero()[0]
    if not len(checked):
        return
    rows = points.rows[checked]
    segment = table.data["segment"][rows]
    own = assigner.positions.take(segment, mode="clip")
    anchor = assigner.distances(table.data["anchor"][rows].astype(np.float64))
    now = assigner.distances(points.values.vector[checked])
    back_inside = (anchor.argmin(axis=1) != own) & (now.argmin(axis=1) == own)
    outside = checked[back_inside | _may_leave(segment, anchor, assigner)]
    table.data["anchor"][points.rows[outside]] = points.values.vector[outside]


def _may_leave(
    segment: npt.NDArray[np.int32], distances: Floats | None, assigner: Assigner | None
) -> npt.NDArray[np.bool_]:
    """Which points would leave the segment their account was in before the first of them."""
    if assigner is None or distances is None:
        homeless: npt.NDArray[np.bool_] = segment == NO_SEGMENT
        return homeless
    return _nearer_by(assigner.hysteresis.margin, segment, distances, assigner)


def _nearer_by(
    margin: float, segment: npt.NDArray[np.int32], distances: Floats, assigner: Assigner
) -> npt.NDArray[np.bool_]:
    """For which points another centre is nearer by a margin, or the own one is not there."""
    own = assigner.positions.take(segment, mode="clip")
    to_own = distances[np.arange(len(own)), np.maximum(own, 0)]
    away: npt.NDArray[np.bool_] = distances.min(axis=1) < (1.0 - margin) * to_own
    return away | (own < 0)


def _groups(rows: Rows, restless: npt.NDArray[np.bool_]) -> dict[int, list[int]]:
    """Row -> its points in order, of each row with a restless point, by its first point."""
    wanted = set(rows[restless].tolist())
    groups: dict[int, list[int]] = {}
    for point, row in enumerate(rows.tolist() if wanted else ()):
        if row in wanted:
            groups.setdefault(row, []).append(point)
    return groups


def _walk(
    row: int,
    mine: list[int],
    table: FeatureTable,
    points: Points,
    distances: Floats | None,
    assigner: Assigner | None,
    settings: ScoreSettings,
    out: Decisions,
) -> None:
    """Decide the points of one account in order. Plain Python: a few points, many small steps."""
    record = table.data[row]
    bands: list[int] = record["bands"].tolist()
    current = int(record["segment"])
    pending = Pending(int(record["pending_us"]), int(record["pending_cause"]))
    all_scores = out.scores[mine].tolist()
    all_distances = distances[mine].tolist() if distances is not None else None
    looks = list(zip(points.at_us[mine].tolist(), points.cause[mine].tolist(), strict=True))
    for i, p in enumerate(mine):
        banded = [band_of(s, b, settings) for s, b in zip(all_scores[i], bands, strict=True)]
        out.bands[p] = banded
        if banded != bands:
            out.rebanded[row] = p
        bands = banded
        own = all_distances[i] if all_distances is not None else None
        look = Pending(*looks[i])
        previous = current
        current, pending, decisive = _next_segment(current, pending, own, look, assigner)
        if current == previous:
            continue
        record["sequence"] += 1
        record["segment"] = current
        record["since_us"] = points.at_us[p]
        out.transitions.append(
            Transition(
                point=p,
                row=row,
                sequence=int(record["sequence"]),
                previous=previous,
                current=current,
                cause=Cause(decisive.cause),
                evidence_us=0 if decisive is look else decisive.since_us,
                before=record["anchor"].copy(),
                margin=None if own is None else _margin(own),
            )
        )
        record["anchor"] = points.values.vector[p]
    record["bands"] = bands
    record["pending_us"], record["pending_cause"] = pending


def _next_segment(
    current: int,
    pending: Pending,
    distances: list[float] | None,
    look: Pending,
    assigner: Assigner | None,
) -> tuple[int, Pending, Pending]:
    """Segment after a look, evidence that waits to be confirmed, and evidence that decided."""
    if assigner is None or distances is None:
        return (UNSEGMENTED if current == NO_SEGMENT else current), NO_EVIDENCE, look
    least = min(distances)
    own, decisive = assigner.index.get(current), look
    if own is not None:
        rule, to_own = assigner.hysteresis, distances[own]
        if not rule.tempts(least, to_own):
            return current, NO_EVIDENCE, look
        waiting = pending if pending.since_us else look
        strong = rule.strong(least, to_own)
        if not strong and not rule.confirms(waiting, look.since_us):
            return current, waiting, look
        # What put the account outside is the reason, unless an event or a model decides at once.
        decisive = look if strong and waiting.cause != MODEL and look.cause != SILENCE else waiting
    return assigner.snapshot.segments[distances.index(least)].id, NO_EVIDENCE, decisive


def _margin(distances: list[float]) -> float:
    """1 - nearest / next nearest; 1 with a single centre."""
    if len(distances) < 2:
        return 1.0
    nearest, following = sorted(distances)[:2]
    return 1.0 - nearest / following if following > 0 else 0.0
