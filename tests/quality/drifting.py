"""Streams with a planted drift, and what the online clustering made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from stream_app.events.instants import DAY
from stream_app.traffic import Behaviour, Drift, TrafficConfig
from tests.quality.vectors import (
    SETTINGS,
    STATIONARY,
    Learnt,
    Vectors,
    learnt,
    stationary_traffic,
    traffic,
)

Kind = Literal["appears", "dies", "moves"]
KINDS: tuple[Kind, ...] = ("appears", "dies", "moves")
DRIFT_DAY, DAYS = 70, 112
_GROUPS, _DIMENSIONS, _APART = 5, 6, 4.0

DRIFTS = {
    "appears": Drift("appears", Behaviour.TRIAL_EVALUATOR, DRIFT_DAY),
    "dies": Drift("dies", Behaviour.EXISTING_USER, DRIFT_DAY),
    "moves": Drift("moves", Behaviour.CONTENT_READER, DRIFT_DAY),
}
"""In the synthetic traffic, within two days."""


@dataclass(frozen=True, slots=True)
class Drifted:
    """A stream with a drift."""

    vectors: Vectors
    at: int
    """Index of the first vector that may be another."""
    learnt: Learnt


@cache
def groups(kind: Kind, seed: int) -> Drifted:
    """Independent vectors around five centres that lie apart; on day `DRIFT_DAY`, at once, one
    group appears (a fifth of all), dies (its vectors come from the others) or moves."""
    vectors, at = _groups(kind, seed, per_day=150, days=98)
    return Drifted(vectors, at, _learnt(vectors))


@cache
def drifting_traffic(kind: Kind, seed: int) -> Drifted:
    """Synthetic traffic in which nothing else changes."""
    config = TrafficConfig(
        seed=seed, accounts=150, activity=0.5, drifts=(DRIFTS[kind],), **STATIONARY
    )
    vectors = traffic(config, DAYS)
    return Drifted(vectors, int((vectors.days < DRIFT_DAY).sum()), _learnt(vectors))


@cache
def still_groups(seed: int) -> tuple[Vectors, Learnt]:
    """The groups without a drift, and what is learnt from them."""
    vectors, _ = _groups("none", seed, per_day=100, days=DAYS)
    return vectors, _learnt(vectors, predict=False)


@cache
def still_traffic(seed: int) -> tuple[Vectors, Learnt]:
    """`stationary_traffic`, and what is learnt from it."""
    vectors = stationary_traffic(seed)
    return vectors, _learnt(vectors, predict=False)


def _learnt(vectors: Vectors, *, predict: bool = True) -> Learnt:
    return learnt(vectors, SETTINGS.min_segments, SETTINGS.max_segments, predict=predict)


def _groups(
    kind: Kind | Literal["none"], seed: int, per_day: int, days: int
) -> tuple[Vectors, int]:
    """The vectors of `groups`, or such without a drift, and the index of the first after it."""
    random = np.random.default_rng(seed)
    centres = np.zeros((_GROUPS + 1, _DIMENSIONS))
    while _least_distance(centres) < _APART:
        centres = random.normal(0.0, 1.6, centres.shape)
    n, at = per_day * days, per_day * DRIFT_DAY
    later = np.arange(n) >= at
    truth = random.integers(0, _GROUPS, n)
    if kind == "appears":
        truth[later & (random.random(n) < 0.2)] = _GROUPS
    if kind == "dies":
        gone = later & (truth == 0)
        truth[gone] = random.integers(1, _GROUPS, int(gone.sum()))
    place = np.where(later & (truth == 0) & (kind == "moves"), _GROUPS, truth)
    radii = random.uniform(0.7, 1.2, _GROUPS + 1)
    x = centres[place] + random.normal(size=(n, _DIMENSIONS)) * radii[truth][:, None]
    vectors = Vectors(x, truth, DAY * 20_000 + np.arange(n) * DAY // per_day)
    return vectors, at


def _least_distance(centres: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    return float(apart[~np.eye(len(centres), dtype=bool)].min())
