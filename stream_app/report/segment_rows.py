"""The segments of the last model: sizes, and the profile of their centres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME, Snapshot, TopFeature


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
    top: tuple[TopFeature, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A segment's centre in one dimension."""

    segment: int
    value: float
    """In the dimension's unit."""
    deviation: float
    """From the average account, in standard deviations."""


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
    known = {s.id: (s.name, s.description, tuple(s.top)) for s in model.segments} if model else {}
    for id_ in sizes:
        if id_ == UNSEGMENTED:
            known[id_] = (UNSEGMENTED_NAME, "Not yet assigned by a model.", ())
        elif id_ not in known:
            known[id_] = (f"Segment {id_} (retired)", "Not in the current model.", ())
    rows = (
        SegmentRow(
            id_,
            name,
            description,
            sizes.get(id_, 0),
            sizes.get(id_, 0) / total if total else 0.0,
            before.get(id_, 0) if before else None,
            top,
        )
        for id_, (name, description, top) in known.items()
    )
    return tuple(sorted(rows, key=lambda row: (row.id == UNSEGMENTED, -row.accounts, row.id)))


def profile_of(model: Snapshot | None, order: tuple[int, ...]) -> tuple[ProfileRow, ...]:
    """The centres in the dimensions' units, for segments in an order."""
    if model is None:
        return ()
    mean = np.array(model.mean)
    centres = {s.id: np.array(s.centre) for s in model.segments}
    values = {i: np.expm1(centre * model.scale + mean) for i, centre in centres.items()}
    average = np.expm1(mean)
    return tuple(
        ProfileRow(
            dimension.label,
            dimension.unit,
            float(average[j]),
            tuple(
                Cell(i, max(float(values[i][j]), 0.0), float(centres[i][j]))
                for i in order
                if i in centres
            ),
        )
        for j, dimension in enumerate(MODEL_VECTOR)
    )
