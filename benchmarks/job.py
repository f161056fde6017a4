"""The job that every contender does (peers/JOB.md), as one JSON document made from the product.

So peers keep the features that the product declares and assign to the same centres, and a change
of the catalogue reaches them without anybody's help.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_app.events.batch import Kind
from stream_app.features.catalogue import MODEL_VECTOR, ROLLING, catalogue_hash
from stream_app.features.update import Weights
from stream_app.segments.snapshot import SegmentModel, Snapshot
from stream_app.settings import ScoreSettings, SegmentSettings

KEPT = tuple(feature for feature in ROLLING if feature.source != "session")
"""The decayed sums that a peer keeps: all but those that need a memory of sessions."""

_CENTRES: dict[str, dict[str, float]] = {
    "Gone quiet": {"silence_days": 30.0},
    "Mail readers": {"email_opens_28d": 8.0, "email_clicks_28d": 2.0, "contacts_28d": 2.0},
    "Visitors": {"web_visits_7d": 12.0, "web_visits_28d": 12.0, "contacts_28d": 3.0},
    "Researchers": {
        "web_visits_7d": 25.0,
        "web_visits_28d": 25.0,
        "product_pages_28d": 9.0,
        "pricing_pages_28d": 7.0,
        "contacts_28d": 4.0,
    },
    "Buyers": {
        "web_visits_7d": 15.0,
        "web_visits_28d": 15.0,
        "downloads_early_28d": 5.0,
        "downloads_decision_28d": 4.0,
        "contacts_28d": 3.0,
    },
}
"""Centres in the units of the features; what is not named is 0."""


def snapshot() -> Snapshot:
    """The fixed model of all contenders."""
    names = [dimension.name for dimension in MODEL_VECTOR]
    return Snapshot(
        version=1,
        created_at="2025-01-01T00:00:00Z",
        catalogue=catalogue_hash(),
        dimensions=names,
        mean=[0.5] * len(names),
        scale=[0.8] * len(names),
        segments=[
            SegmentModel(
                id=number,
                name=name,
                description="",
                centre=[(float(np.log1p(centre.get(n, 0.0))) - 0.5) / 0.8 for n in names],
                share=0.2,
            )
            for number, (name, centre) in enumerate(_CENTRES.items(), 1)
        ],
        vectors=1_000,
        trained_from="2025-01-01T00:00:00Z",
        trained_until="2025-01-01T00:00:00Z",
    )


def document() -> dict[str, Any]:
    """What a peer reads at its start."""
    model = snapshot()
    matrix = Weights(ScoreSettings()).matrix
    index = {feature.name: i for i, feature in enumerate(KEPT)}
    columns = [ROLLING.index(feature) for feature in KEPT]
    return {
        "features": [
            {"name": f.name, "half_life_days": f.half_life_days, "dwell": f.source == "dwell"}
            for f in KEPT
        ],
        "weights": {kind.name.lower(): matrix[kind, columns].tolist() for kind in Kind},
        "dimensions": [
            {"name": d.name, "sums": [index[name] for name in d.features if name in index]}
            for d in MODEL_VECTOR
        ],
        "mean": model.mean,
        "scale": model.scale,
        "segments": [{"id": s.id, "centre": s.centre} for s in model.segments],
        "margin": SegmentSettings().margin,
    }
