"""Accounts on a plane: the two directions in which the model's vectors differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from stream_app.changes.types import AccountSegment
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats
from stream_app.report.vectors import vectors_of
from stream_app.segments.snapshot import Assigner, Snapshot

DRAWN = 1_500
"""Points that are drawn: more hide one another, and a browser slows down."""
_ACTIVE = np.array([-1.0 if d.name == "silence_days" else 1.0 for d in MODEL_VECTOR])
_TOLD = 0.35
"""Least loading of a dimension that an axis is explained by (of at most 1)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One account."""

    account: str
    segment: int
    x: float
    y: float
    engagement: float
    intent: float
    since: str
    """When it entered the segment, RFC 3339."""


@dataclass(frozen=True, slots=True)
class AccountsMap:
    """Accounts and centres on the same plane."""

    points: tuple[Point, ...]
    centres: tuple[tuple[int, float, float], ...]
    """Segment id, x and y."""
    kept: float
    """Share of the differences between accounts that the plane shows."""
    right: str
    """What grows to the right, in words."""
    up: str
    """What grows upwards."""


def map_of(accounts: Sequence[AccountSegment], model: Snapshot | None) -> AccountsMap | None:
    """The map of a sample of accounts, of which at most `DRAWN` are drawn, evenly chosen. None:
    there is no model, or accounts do not differ."""
    if model is None or len(accounts) < 3:
        return None
    assigner = Assigner(model)
    scaled = assigner.scaled(vectors_of(accounts))
    if not scaled.var(axis=0).any():
        return None
    plane = PCA(n_components=2, svd_solver="full").fit(scaled)
    # Axes have no direction of their own: here activity grows along them, and silence falls.
    axes = plane.components_ * np.where(plane.components_ @ _ACTIVE < 0, -1.0, 1.0)[:, None]
    chosen = np.unique(np.linspace(0, len(accounts) - 1, DRAWN).round().astype(int)).tolist()
    places = (scaled[chosen] - plane.mean_) @ axes.T
    centres = (assigner.centres - plane.mean_) @ axes.T
    return AccountsMap(
        points=tuple(
            _point(accounts[i], *place)
            for i, place in zip(chosen, places.round(3).tolist(), strict=True)
        ),
        centres=tuple(
            (segment.id, *place)
            for segment, place in zip(model.segments, centres.round(3).tolist(), strict=True)
        ),
        kept=float(plane.explained_variance_ratio_.sum()),
        right=_words(axes[0]),
        up=_words(axes[1]),
    )


def _point(account: AccountSegment, x: float, y: float) -> Point:
    scores = account.scores
    return Point(
        account.account_id, account.segment.id, x, y, scores.engagement, scores.intent,
        account.since,
    )  # fmt: skip


def _words(axis: Floats) -> str:
    """What an axis stands for: its two strongest dimensions, or one."""
    order = np.argsort(-np.abs(axis), kind="stable")[:2].tolist()
    told = [j for j in order if abs(axis[j]) >= _TOLD] or order[:1]
    parts = [f"{'more' if axis[j] > 0 else 'fewer'} {MODEL_VECTOR[j].label}" for j in told]
    return " and ".join(parts)
