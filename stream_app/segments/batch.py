"""Batch k-means over collected vectors: how many groups there are, and where.

On one thread: so little data gains nothing from more, which on a busy machine cost seconds of
spinning, and the result must not depend on how many cores there are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from stream_app.features.values import Floats
from stream_app.segments.clusters import nearest

_STARTS = 10
"""Starts of k-means++ of which the best is kept."""
_SAMPLE = 1_000
"""Vectors on which a number of groups is judged; silhouette is quadratic."""
_PARTS = 4
"""Random parts of the vectors that are grouped each on its own, to see whether they agree."""
_NEAR = 0.02
"""Scores that differ by less count as equal; then fewer groups are better."""
_STRAY = 0.005
"""A group with a smaller share of the vectors is no group: its vectors are left out."""

Labels = npt.NDArray[np.int64]


def centres_of(scaled: Floats, k: int, seed: int, starts: int = _STARTS) -> Floats:
    """Centres of k groups, by k-means++ with several starts.

    Fewer come out where fewer vectors differ. A group that would hold a few strays only is none:
    these are left out, and the rest is grouped again.
    """
    # Imported late: it takes a second, and only the trainer needs it.
    from sklearn.cluster import KMeans  # noqa: PLC0415

    while True:
        wanted = _different(scaled, k)
        with _one_thread():
            fitted = KMeans(wanted, n_init=starts, random_state=seed).fit(scaled)
        counts = np.bincount(fitted.labels_, minlength=wanted)
        strays = counts < _STRAY * len(scaled)
        if not strays.any():
            centres: Floats = fitted.cluster_centers_
            return centres
        scaled = scaled[~strays[fitted.labels_]]


def scores_of(scaled: Floats, least: int, most: int, seed: int) -> dict[int, float]:
    """How good each number of groups within limits is: silhouette times stability, up to 1.

    A single number is not judged, and scores 0.
    """
    if least == most:
        return {least: 0.0}
    random = np.random.default_rng(seed)
    judged = scaled[random.permutation(len(scaled))[:_SAMPLE]]
    size = min(max(len(scaled) // 2, most), _SAMPLE)
    parts = [scaled[random.permutation(len(scaled))[:size]] for _ in range(_PARTS)]
    return {k: _score(judged, parts, k, seed) for k in range(least, most + 1)}


def best_of(scores: dict[int, float]) -> int:
    """The smallest number of groups whose score is nearly the best."""
    best = max(scores.values())
    return min(k for k, score in scores.items() if score >= best - _NEAR)


def _score(judged: Floats, parts: list[Floats], k: int, seed: int) -> float:
    groupings = [nearest(judged, centres_of(part, k, seed, starts=3)) for part in parts]
    separation = float(np.mean([_silhouette(judged, labels) for labels in groupings[:2]]))
    return separation * _agreement(groupings)


def _silhouette(scaled: Floats, labels: Labels) -> float:
    """0 where it is not defined: a sample may miss all small groups."""
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    if not 1 < len(np.unique(labels)) < len(scaled):
        return 0.0
    return max(float(silhouette_score(scaled, labels)), 0.0)


def _agreement(groupings: list[Labels]) -> float:
    """Mean adjusted Rand index (Hubert and Arabie 1985) of pairs of groupings. That groupings of
    random parts agree where the number is right is of Ben-Hur, Elisseeff and Guyon (2002)."""
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415

    pairs = combinations(groupings, 2)
    return max(float(np.mean([adjusted_rand_score(a, b) for a, b in pairs])), 0.0)


def _different(scaled: Floats, enough: int) -> int:
    """How many vectors differ, counted up to `enough`."""
    found: set[bytes] = set()
    for row in scaled:
        found.add(row.tobytes())
        if len(found) == enough:
            break
    return len(found)


@cache
def _threads() -> ThreadpoolController:
    """To look for the libraries that have threads takes as long as a fit."""
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    limited: AbstractContextManager[object] = _threads().limit(limits=1)
    return limited
