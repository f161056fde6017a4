"""What is known of each segment in plain units: the ground that names and descriptions stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats
from stream_app.segments.snapshot import Assigner, Snapshot, TopFeature

NOTABLE = 0.35
"""Standard deviations from the average account from which a difference is worth a word."""
TOP = 4
"""Features that a segment is described by, at most."""

_SILENCE = "silence_days"
_ACTIVITY = [j for j, dimension in enumerate(MODEL_VECTOR) if dimension.name != _SILENCE]
"""Dimensions that are exactly 0 for an account of which nobody ever did anything."""
_NOTHING = 1e-9
"""A sum below this is 0, but for the rounding of those who scale vectors and back."""
_MOSTLY = 0.5
"""Share of untouched accounts from which days of silence are no figure: `never` counts 182."""
_LITTLE = 0.1
"""A sum below this is nothing: shares of it mean nothing either."""


@dataclass(frozen=True, slots=True)
class Traits:
    """One segment beside the average account."""

    id: int
    share: float
    """Of the accounts."""
    scaled: Mapping[str, float]
    """Its typical account in standard deviations from the average account, by dimension."""
    measures: Mapping[str, float]
    """Its typical account in each dimension's unit, and what follows from several of them:

    pace: activity on the site in the last week over that of the last month; 1: steady. In a
    history so young that the average account is above that, beside the average account.
    pricing_share, product_share: of the pages seen. downloads_per_page: of any kind but buying.
    untouched: share of its accounts of which nobody ever did anything (0 to 1).
    """
    averages: Mapping[str, float]
    """The average account, in each dimension's unit."""

    def top(self) -> list[TopFeature]:
        """What sets it apart most, strongest first."""
        by_strength = sorted(MODEL_VECTOR, key=lambda d: -abs(self.scaled[d.name]))
        return [
            TopFeature(
                feature=d.name,
                label=d.label,
                unit=d.unit,
                value=round(self.measures[d.name], 2),
                average=round(self.averages[d.name], 2),
            )
            for d in by_strength[:TOP]
            if abs(self.scaled[d.name]) >= NOTABLE and not self._unheard_of(d.name)
        ]

    def _unheard_of(self, dimension: str) -> bool:
        """Whether it is the silence of accounts that have not begun to speak."""
        return dimension == _SILENCE and self.measures["untouched"] >= _MOSTLY


def traits_of(snapshot: Snapshot, recent: Floats) -> list[Traits]:
    """Traits of each segment, in the snapshot's order.

    Where recent vectors tell, from them: a centre that few vectors reach lags behind its accounts.

    Parameters
    ----------
    recent
        (n, dimensions) unscaled model vectors, n >= 0.
    """
    mean, scale = np.array(snapshot.mean), np.array(snapshot.scale)
    average = recent.mean(axis=0) if len(recent) else mean
    averages = _in_units(average)
    nearest = Assigner(snapshot).distances(recent).argmin(axis=1)
    found = []
    for i, segment in enumerate(snapshot.segments):
        mine = recent[nearest == i]
        typical = mine.mean(axis=0) if len(mine) else np.array(segment.centre) * scale + mean
        apart = np.where(scale > 0, (typical - average) / np.where(scale > 0, scale, 1.0), 0.0)
        idle = (np.abs(mine[:, _ACTIVITY]) < _NOTHING).all(axis=1)
        untouched = float(idle.mean()) if len(mine) else 0.0
        found.append(
            Traits(
                id=segment.id,
                share=segment.share,
                scaled=dict(zip(snapshot.dimensions, apart.tolist(), strict=True)),
                measures=_measures(_in_units(typical), averages, untouched),
                averages=averages,
            )
        )
    return found


def _in_units(vector: Floats) -> dict[str, float]:
    """By dimension; not below 0, where a centre may lie that the online model has moved."""
    values = np.maximum(np.expm1(vector), 0.0).tolist()
    return dict(zip((d.name for d in MODEL_VECTOR), values, strict=True))


def _measures(
    values: dict[str, float], averages: dict[str, float], untouched: float
) -> dict[str, float]:
    pages = values["web_visits_28d"]
    return values | {
        "pace": _pace(values) / max(_pace(averages), 1.0),
        "pricing_share": _share(values["pricing_pages_28d"], pages),
        "product_share": _share(values["product_pages_28d"], pages),
        "downloads_per_page": _share(values["downloads_early_28d"], pages),
        "untouched": untouched,
    }


def _pace(values: dict[str, float]) -> float:
    """A sum settles at rate * half-life / ln 2, so the ratio of rates is that of sums times 4. As
    long as the month's sum has not settled, it is above 1 for everybody who does anything."""
    return 4.0 * _share(values["web_visits_7d"], values["web_visits_28d"])


def _share(part: float, whole: float) -> float:
    return part / whole if whole >= _LITTLE else 0.0
