"""Features of accounts as of an instant: decayed values, derived numbers, the model vector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.events.instants import DAY
from stream_app.features import decay
from stream_app.features.catalogue import (
    DERIVED,
    HALF_LIVES_DAYS,
    MODEL_VECTOR,
    ROLLING,
    ROLLING_INDEX,
)
from stream_app.features.table import ACCOUNT, CONTACT_BUCKETS, Records, offsets_of

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

FEATURE_NAMES = tuple(feature.name for feature in (*ROLLING, *DERIVED))
"""Of all features, in the order in which they lie side by side."""
_INDEX = {name: i for i, name in enumerate(FEATURE_NAMES)}
_FIRST = np.array([_INDEX[dimension.features[0]] for dimension in MODEL_VECTOR])
"""The first addend of each dimension of the model vector."""


def _further(nth: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = [(j, d.features[nth]) for j, d in enumerate(MODEL_VECTOR) if nth < len(d.features)]
    return np.array([j for j, _ in found]), np.array([_INDEX[name] for _, name in found])


_FURTHER = [_further(nth) for nth in range(1, max(len(d.features) for d in MODEL_VECTOR))]
"""(dimensions, their second addends), then the third ones, and so on."""

_EMAIL = ("email_opens_28d", "email_clicks_28d", "email_replies_28d")
_OTHER_ACTIVITY = (
    "web_visits_28d",
    *(f"downloads_{stage}_28d" for stage in ("awareness", "consideration", "decision")),
)

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
        return dict(zip(FEATURE_NAMES, self.of(slice(i, i + 1))[0].tolist(), strict=True))

    def of(self, pairs: npt.NDArray[np.int64] | slice) -> Floats:
        """(n, features) of some pairs, in the order of `FEATURE_NAMES`."""
        return np.hstack([self.rolling[pairs], self.derived[pairs]])


def values_at(records: Records, at_us: decay.Times) -> Values:
    """Features of each record as of its instant (not before the record's latest event)."""
    if native.in_use:
        return _compiled_values(records, at_us)
    features = np.empty((len(at_us), len(_INDEX)))
    rolling, derived = features[:, : len(ROLLING)], features[:, len(ROLLING) :]
    fading = decay.fading(at_us, decay.period_of(records["latest_us"]))
    np.multiply(records["values"], fading.take(_HALF_LIFE_OF, axis=1), out=rolling)
    _derive(records, at_us, features)
    sums = features.take(_FIRST, axis=1)
    for dimensions, addends in _FURTHER:
        sums[:, dimensions] += features.take(addends, axis=1)
    return Values(rolling, derived, np.log1p(sums))


def _compiled_values(records: Records, at_us: decay.Times) -> Values:
    n = len(at_us)
    ages, features, sums = np.empty(n), np.empty((n, len(_INDEX))), np.empty((n, len(_FIRST)))
    compiled, at_us = _features(), np.ascontiguousarray(at_us)
    compiled.ages(records, at_us, ages)
    compiled.at(records, at_us, decay.faded(ages), features, sums)
    return Values(features[:, : len(ROLLING)], features[:, len(ROLLING) :], np.log1p(sums))


@lru_cache(maxsize=1)
def _features() -> native.compiled.Features:
    """The catalogue, prepared."""
    places = {
        "silence": "silence_days",
        "week": "engagement_points_7d",
        "month": "engagement_points_28d",
        "momentum": "momentum",
        "email_share": "email_share",
    }
    return native.compiled.Features(
        offsets_of(ACCOUNT),
        ACCOUNT.itemsize,
        _HALF_LIFE_OF.tolist(),
        len(_INDEX),
        {name: _INDEX[column] for name, column in places.items()},
        list(zip(_CONTACTS.tolist(), _CONTACT_DAYS.tolist(), strict=True)),
        [_INDEX[name] for name in _EMAIL],
        [_INDEX[name] for name in _OTHER_ACTIVITY],
        [[_INDEX[name] for name in dimension.features] for dimension in MODEL_VECTOR],
        _LINEAR_COUNT.tolist(),
        MAX_SILENCE_DAYS,
    )


def _derive(records: Records, at_us: decay.Times, features: Floats) -> None:
    """Fill in the derived features, from the records and the rolling features."""

    def column(name: str) -> Floats:
        found: Floats = features[:, _INDEX[name]]
        return found

    limits = decay.days_counted(at_us, records["latest_us"])[:, None] - _CONTACT_DAYS
    limits = np.minimum(limits, np.iinfo(np.uint8).max).astype(np.uint8)
    free = (records["contacts"][:, None] <= limits[:, :, None]).sum(axis=2)
    features[:, _CONTACTS] = _LINEAR_COUNT[free]

    engaged = records["engaged_us"]
    silence = np.where(engaged > 0, np.maximum(at_us - engaged, 0) / DAY, MAX_SILENCE_DAYS)
    np.minimum(silence, MAX_SILENCE_DAYS, out=column("silence_days"))

    week, month = column("engagement_points_7d"), column("engagement_points_28d")
    # A sum settles at rate * half-life / ln 2, so the ratio of rates is the ratio of sums times 4.
    momentum = 4.0 * week / np.maximum(month, 1e-9)
    column("momentum")[:] = np.where(month > 1e-9, momentum, 0.0)

    email = column(_EMAIL[0]).copy()
    for name in _EMAIL[1:]:
        email += column(name)
    activity = email.copy()
    for name in _OTHER_ACTIVITY:
        activity += column(name)
    share = email / np.maximum(activity, 1e-9)
    column("email_share")[:] = np.where(activity > 1e-9, share, 0.0)
