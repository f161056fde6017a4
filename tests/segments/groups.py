"""Groups of accounts and a snapshot that has found them, for tests of what is said about it."""

from __future__ import annotations

import numpy as np

from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.features.values import MAX_SILENCE_DAYS, Floats
from stream_app.segments.snapshot import SegmentModel, Snapshot

WIDTH = len(MODEL_VECTOR)
DIMENSIONS = [dimension.name for dimension in MODEL_VECTOR]

USUAL = {"web_visits_7d": 2.5, "web_visits_28d": 10.0, "contacts_28d": 2.0, "silence_days": 2.0}
"""An unremarkable account."""
UNTOUCHED = {"web_visits_7d": 0.0, "web_visits_28d": 0.0, "contacts_28d": 0.0,
             "silence_days": MAX_SILENCE_DAYS}  # fmt: skip
"""Nobody ever did anything."""


def accounts(count: int = 60, seed: int = 0, **values: float) -> Floats:
    """(count, dimensions) model vectors of accounts much like `USUAL` but for these values, each in
    its dimension's unit. What is 0 is exactly 0, as it is for accounts that never did it."""
    typical = np.log1p([(USUAL | values).get(name, 0.0) for name in DIMENSIONS])
    noise = np.random.default_rng(seed).normal(0.0, 0.1, (count, WIDTH))
    vectors: Floats = np.where(typical > 0, np.maximum(typical + noise, 0.0), 0.0)
    return vectors


def found(*groups: Floats, version: int = 1) -> tuple[Snapshot, Floats]:
    """A bare snapshot with a segment for each group, ids from 1, and all vectors."""
    recent = np.concatenate(groups)
    mean, scale = recent.mean(axis=0), recent.std(axis=0)
    segments = [
        SegmentModel(
            id=i,
            name="",
            description="",
            centre=((g.mean(axis=0) - mean) / np.where(scale > 0, scale, 1)).tolist(),
            share=len(g) / len(recent),
        )
        for i, g in enumerate(groups, 1)
    ]
    snapshot = Snapshot(
        version=version,
        created_at="2026-01-05T00:00:00Z",
        catalogue=catalogue_hash(),
        dimensions=DIMENSIONS,
        mean=mean.tolist(),
        scale=scale.tolist(),
        segments=segments,
        vectors=len(recent),
        trained_from="2026-01-01T00:00:00Z",
        trained_until="2026-01-05T00:00:00Z",
    )
    return snapshot, recent
