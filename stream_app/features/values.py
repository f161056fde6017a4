"""Features of accounts as of an instant: decayed values, derived numbers, the model vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_app.events.instants import DAY
from stream_app.features import decay
from stream_app.features.catalogue import (
    DERIVED,
    HALF_LIVES_DAYS,
    MODEL_VECTOR,
    ROLLING,
    ROLLING_INDEX,
)
from stream_app.features.table import CONTACT_BUCKETS, Records

Floats = npt.NDArray[np.float64]

MAX_SILENCE_DAYS = 182.0
"""Longer silences count as this one, and so does an account of which nobody ever did anything."""

_HALF_LIFE_OF = np.array([HALF_LIVES_DAYS.index(f.half_life_days) for f in ROLLING])
_LINEAR_COUNT = np.array(
    [
        -CONTACT_BUCKETS * np.log(max(free, 0.5) / CONTACT_BUCKETS)
        for free in range(CONTACT_BUCKETS + 1)
    ]
)
"""Distinct contacts by number of free buckets: linear counting (Whang, Vander-Zanden, Taylor,
"A Linear-Time Probabilistic Counting Algorithm", ACM TODS 15(2), 1990)."""

_NAMES = [feature.name for feature in ROLLING] + [feature.name for feature in DERIVED]
_INDEX = {name: i for i, name in enumerate(_NAMES)}
"""Columns of all features side by side."""
_FIRST = np.array([_INDEX[dimension.features[0]] for dimension in MODEL_VECTOR])
"""The first addend of each dimension of the model vector."""


def _further(nth: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = [(j, d.features[nth]) for j, d in enumerate(MODEL_VECTOR) if nth < len(d.features)]
    return np.array([j for j, _ in found]), np.array([_INDEX[name] for _, name in found])


_FURTHER = [_further(nth) for nth in range(1, max(len(d.features) for d in MODEL_VECTOR))]
"""(dimensions, their second addends), then the third ones, and so on."""

_CONTACT_DAYS = np.array([7, 28])
_CONTACTS = np.array([_INDEX[f"contacts_{days}d"] for days in _CONTACT_DAYS])


@dataclass(frozen=True, slots=True)
class Values:
    """Features of n (account, instant) pairs."""

    rolling: Floats
    """(n, rolling features) in catalogue order."""
    derived: Floats
    """(n, derived features) in catalogue order."""
    vector: Floats
    """(n, dimensions) model vector, unscaled."""

    def column(self, name: str) -> Floats:
        """One rolling feature of all pairs."""
        column: Floats = self.rolling[:, ROLLING_INDEX[name]]
        return column

    def named(self, i: int) -> dict[str, float]:
        """Every feature of pair `i`, by name."""
        return dict(
            zip(_NAMES, [*self.rolling[i].tolist(), *self.derived[i].tolist()], strict=True)
        )


def values_at(records: Records, at_us: decay.Times) -> Values:
    """Features of each record as of its instant (not before the record's latest event)."""
    features = np.empty((len(at_us), len(_INDEX)))
    rolling, derived = features[:, : len(ROLLING)], features[:, len(ROLLING) :]
    fading = decay.fading(at_us, records["period"])
    np.multiply(records["values"], fading.take(_HALF_LIFE_OF, axis=1), out=rolling)
    _derive(records, at_us, features)
    sums = features.take(_FIRST, axis=1)
    for dimensions, addends in _FURTHER:
        sums[:, dimensions] += features.take(addends, axis=1)
    return Values(rolling, derived, np.log1p(sums))


def _derive(records: Records, at_us: decay.Times, features: Floats) -> None:
    """Fill in the derived features, from the records and the rolling features."""

    def column(name: str) -> Floats:
        found: Floats = features[:, _INDEX[name]]
        return found

    limits = (at_us // DAY)[:, None] - _CONTACT_DAYS
    free = (records["contacts"][:, None] <= limits[:, :, None]).sum(axis=2)
    features[:, _CONTACTS] = _LINEAR_COUNT[free]

    engaged = records["engaged_us"]
    silence = np.where(engaged > 0, np.maximum(at_us - engaged, 0) / DAY, MAX_SILENCE_DAYS)
    np.minimum(silence, MAX_SILENCE_DAYS, out=column("silence_days"))

    week, month = column("engagement_points_7d"), column("engagement_points_28d")
    # A sum settles at rate * half-life / ln 2, so the ratio of rates is the ratio of sums times 4.
    momentum = 4.0 * week / np.maximum(month, 1e-9)
    column("momentum")[:] = np.where(month > 1e-9, momentum, 0.0)

    email = column("email_opens_28d") + column("email_clicks_28d") + column("email_replies_28d")
    activity = email + column("web_visits_28d")
    for stage in ("awareness", "consideration", "decision"):
        activity += column(f"downloads_{stage}_28d")
    share = email / np.maximum(activity, 1e-9)
    column("email_share")[:] = np.where(activity > 1e-9, share, 0.0)
