"""The segments of the last model: sizes, and what their accounts do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stream_app.changes.types import AccountSegment
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.report.vectors import vectors_of
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME, Snapshot, retired_name


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment and how many accounts are in it."""

    id: int
    name: str
    description: str
    accounts: int
    share: float
    """Of all accounts."""
    before: int | None
    """Accounts at an earlier instant; None: not known."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A segment's typical account in one dimension."""

    segment: int
    value: float
    """In the dimension's unit."""
    deviation: float
    """From the average account, in the model's standard deviations."""
    top: bool
    """Whether it is among what sets the segment apart most, as the model says."""


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One dimension of the model over all segments."""

    label: str
    unit: str
    average: float
    """Of the average account."""
    cells: tuple[Cell, ...]


def rows_of(
    model: Snapshot | None, sizes: Mapping[int, int], before: Mapping[int, int]
) -> tuple[SegmentRow, ...]:
    """Largest first; `before` has earlier sizes, or nothing."""
    total = sum(sizes.values())
    known = {s.id: (s.name, s.description) for s in model.segments} if model else {}
    for id_ in sizes:
        if id_ == UNSEGMENTED:
            known[id_] = (UNSEGMENTED_NAME, "Not yet assigned by a model.")
        elif id_ not in known:
            known[id_] = (retired_name(id_, model), "Not in the current model.")
    rows = (
        SegmentRow(
            id_,
            name,
            description,
            sizes.get(id_, 0),
            sizes.get(id_, 0) / total if total else 0.0,
            before.get(id_, 0) if before else None,
        )
        for id_, (name, description) in known.items()
    )
    return tuple(sorted(rows, key=lambda row: (row.id == UNSEGMENTED, -row.accounts, row.id)))


def profile_of(
    model: Snapshot | None, accounts: Sequence[AccountSegment], order: Sequence[int]
) -> tuple[ProfileRow, ...]:
    """Typical accounts of the segments, in an order; segments without accounts have none.

    Typical and average are means of logarithms, as the model takes them, so that a few very busy
    accounts do not count for all the others.
    """
    if model is None or not accounts:
        return ()
    vectors = vectors_of(accounts)
    segments = np.array([account.segment.id for account in accounts])
    average, scale = vectors.mean(axis=0), np.array(model.scale)
    typical = {i: vectors[segments == i].mean(axis=0) for i in order if i in segments}
    factor = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)
    tops = {(s.id, top.feature) for s in model.segments for top in s.top}
    return tuple(
        ProfileRow(
            dimension.label,
            dimension.unit,
            float(np.expm1(average[j])),
            tuple(
                Cell(
                    i,
                    float(np.expm1(vector[j])),
                    float((vector[j] - average[j]) * factor[j]),
                    (i, dimension.name) in tops,
                )
                for i, vector in typical.items()
            ),
        )
        for j, dimension in enumerate(MODEL_VECTOR)
    )
