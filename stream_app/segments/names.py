"""Names and descriptions of segments, from what sets their centres apart. Deterministic."""

from __future__ import annotations

import numpy as np

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats

_NOTABLE = 0.35
"""Scaled coordinate (standard deviations from the average account) from which a dimension may
name a segment."""

_NAMES: dict[str, list[tuple[float, str]]] = {
    "pricing_pages_28d": [(1.0, "Pricing researchers")],
    "downloads_decision_28d": [(0.2, "Late-stage evaluators")],
    "downloads_early_28d": [(0.4, "Content readers")],
    "product_pages_28d": [(30.0, "Heavy product explorers"), (2.0, "Product explorers")],
    "email_clicks_28d": [(0.4, "Newsletter clickers")],
    "email_opens_28d": [(1.0, "Newsletter readers")],
    "web_visits_7d": [(3.0, "Active this week")],
    "web_visits_28d": [(40.0, "Heavy visitors"), (8.0, "Frequent visitors")],
    "contacts_28d": [(3.0, "Buying groups")],
    "silence_days": [(45.0, "Lapsed"), (10.0, "Gone quiet"), (3.0, "Cooling down")],
}
"""What a segment is called whose centre is high in a dimension, by the value (in the dimension's
unit) from which the word is true at all: one person is no group, however rare people are."""

_PREFERENCE = tuple(_NAMES)
"""Among dimensions that are about equally strong, the more telling one names the segment."""

_AVERAGE = [(8.0, "Regular visitors"), (2.0, "Occasional visitors"), (0.0, "Rare visitors")]
"""Names of segments that are high in nothing, by page views a month."""

_LABELS = {dimension.name: dimension.label for dimension in MODEL_VECTOR}
_ORDER = [dimension.name for dimension in MODEL_VECTOR]


def name_segments(centres: Floats, values: Floats) -> list[tuple[str, str]]:
    """(name, description) of each centre; names differ.

    Parameters
    ----------
    centres
        (k, dimensions), in standard deviations from the average account.
    values
        The same centres in the dimensions' units.
    """
    taken: set[str] = set()
    named: dict[int, str] = {}
    strength = centres.max(axis=1)
    for i in np.argsort(-strength, kind="stable").tolist():  # the most distinct chooses first
        named[i] = name = next(n for n in _candidates(centres[i], values[i]) if n not in taken)
        taken.add(name)
    return [(named[i], _describe(centre)) for i, centre in enumerate(centres)]


def _candidates(centre: Floats, values: Floats) -> list[str]:
    """Names that fit, best first; the list is long enough to be unique among any segments."""
    at = _ORDER.index
    strong = [n for n in _ranked(centre) if centre[at(n)] >= _NOTABLE]
    bases = [name for n in strong if (name := _graded(_NAMES[n], values[at(n)]))]
    bases.append(_graded(_AVERAGE, max(values[at("web_visits_28d")], 0.0)))
    weak = sorted(_ORDER, key=lambda name: centre[_ORDER.index(name)])
    qualified = [f"{bases[0]}, few {_LABELS[name]}" for name in weak]
    return [*bases[:2], *qualified, *(f"{bases[0]} {i}" for i in range(2, 1_000))]


def _graded(grades: list[tuple[float, str]], value: float) -> str:
    """The first name whose least value is reached, else an empty text."""
    return next((name for least, name in grades if value >= least), "")


def _ranked(centre: Floats) -> list[str]:
    """Dimensions by strength in steps of a quarter, the more telling first within a step."""
    return sorted(
        _NAMES, key=lambda n: (-np.floor(centre[_ORDER.index(n)] * 4), _PREFERENCE.index(n))
    )


def _describe(centre: Floats) -> str:
    order = np.argsort(-np.abs(centre), kind="stable").tolist()
    high = [_LABELS[_ORDER[j]] for j in order if centre[j] >= _NOTABLE][:3]
    low = [_LABELS[_ORDER[j]] for j in order if centre[j] <= -_NOTABLE][:2]
    parts = [f"more {_listed(high)}"] if high else []
    parts += [f"fewer {_listed(low)}"] if low else []
    if not parts:
        return "Close to the average account in every respect."
    return f"{' and '.join(parts)} than the average account.".capitalize()


def _listed(labels: list[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
