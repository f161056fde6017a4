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
from stream_app.features.table import CONTACT_BUCKETS
from stream_app.features.update import Records

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
        names = [f.name for f in ROLLING] + [f.name for f in DERIVED]
        return dict(zip(names, [*self.rolling[i].tolist(), *self.derived[i].tolist()], strict=True))


def values_at(records: Records, at_us: decay.Times) -> Values:
    """Features of each record as of its instant (not before the record's latest event)."""
    fading = decay.fading(at_us, records["period"])
    rolling = records["values"] * fading[:, _HALF_LIFE_OF]
    derived = _derived(records, at_us, rolling)
    sums = np.empty((len(at_us), len(MODEL_VECTOR)))
    for j, dimension in enumerate(MODEL_VECTOR):
        sums[:, j] = _column(dimension.features[0], rolling, derived)
        for name in dimension.features[1:]:
            sums[:, j] += _column(name, rolling, derived)
    return Values(rolling, derived, np.log1p(sums))


_DERIVED_INDEX = {feature.name: i for i, feature in enumerate(DERIVED)}


def _column(name: str, rolling: Floats, derived: Floats) -> Floats:
    column: Floats = (
        rolling[:, ROLLING_INDEX[name]]
        if name in ROLLING_INDEX
        else derived[:, _DERIVED_INDEX[name]]
    )
    return column


def _derived(records: Records, at_us: decay.Times, rolling: Floats) -> Floats:
    today = (at_us // DAY)[:, None]
    contacts = records["contacts"].astype(np.int64)
    engaged = records["engaged_us"]
    silence = np.where(engaged > 0, np.maximum(at_us - engaged, 0) / DAY, MAX_SILENCE_DAYS)
    week, month = (rolling[:, ROLLING_INDEX[f"engagement_points_{d}d"]] for d in (7, 28))
    # A sum settles at rate * half-life / ln 2, so the ratio of rates is the ratio of sums times 4.
    momentum = np.where(month > 1e-9, 4.0 * week / np.maximum(month, 1e-9), 0.0)
    email = sum(
        rolling[:, ROLLING_INDEX[name]]
        for name in ("email_opens_28d", "email_clicks_28d", "email_replies_28d")
    )
    activity = email + rolling[:, ROLLING_INDEX["web_visits_28d"]]
    for stage in ("awareness", "consideration", "decision"):
        activity = activity + rolling[:, ROLLING_INDEX[f"downloads_{stage}_28d"]]
    share = np.where(activity > 1e-9, email / np.maximum(activity, 1e-9), 0.0)
    columns = {
        "contacts_7d": _distinct(contacts, today, 7),
        "contacts_28d": _distinct(contacts, today, 28),
        "silence_days": np.minimum(silence, MAX_SILENCE_DAYS),
        "momentum": momentum,
        "email_share": share,
    }
    return np.column_stack([columns[feature.name] for feature in DERIVED])


def _distinct(contacts: npt.NDArray[np.int64], today: npt.NDArray[np.int64], days: int) -> Floats:
    free = (contacts <= today - days).sum(axis=1)
    estimate: Floats = _LINEAR_COUNT[free]
    return estimate
