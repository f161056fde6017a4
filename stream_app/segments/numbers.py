"""How many groups there are: as many as lie apart and are found again in parts of the vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_app.features.values import Floats
from stream_app.segments.batch import centres_of
from stream_app.segments.clusters import crossed, jaccard, nearest

_JUDGED = 1_000
"""Vectors on which groupings are judged: a random sample, because silhouette is quadratic."""
_PARTS = 5
"""Random halves of the sample that are grouped each on its own."""
_STARTS = 3
"""Starts of k-means++ for each grouping that is judged."""
_STABLE = 0.85
"""Agreement from which a number of groups is stable: Hennig calls groups with more highly so."""
_NEAR = 0.95
"""Part of the best score from which another counts as equal."""

Labels = npt.NDArray[np.int64]


class Judge:
    """Scores groupings of the same scaled vectors: silhouette (Rousseeuw 1987), less where that
    number of groups is not stable."""

    def __init__(self, scaled: Floats, seed: int) -> None:
        self._seed = seed
        random = np.random.default_rng(seed)
        self._sample = random.permutation(len(scaled))[:_JUDGED]
        self._judged = scaled[self._sample]
        self._parts = [
            random.permutation(self._judged)[: _half(self._judged)] for _ in range(_PARTS)
        ]
        self._stability: dict[int, float] = {}

    def scores(self, least: int, most: int) -> dict[int, float]:
        """The score of each number of groups within limits. A single number is not judged."""
        if least == most:
            return {least: 0.0}
        found = {}
        for k in range(least, most + 1):
            labels = nearest(self._judged, centres_of(self._judged, k, self._seed, _STARTS))
            self._stability[k] = self._stability_of(k, labels)
            found[k] = self._stability[k] * self._separation(labels)
        return found

    def score(self, k: int, labels: Labels) -> float:
        """The score of a grouping of all vectors into k groups, wherever it comes from."""
        return (
            self._stability[k] * self._separation(labels[self._sample]) if self._stability else 0.0
        )

    def _stability_of(self, k: int, labels: Labels) -> float:
        """How well the group that is found again the worst is found again in parts, up to 1, which
        is enough: median of the Jaccard coefficient with its best match, after Hennig (2007,
        "Cluster-wise assessment of cluster stability"). A group too many splits another one
        anyhow, each time in another way."""
        again = []
        for part in self._parts:
            found = nearest(self._judged, centres_of(part, k, self._seed, _STARTS))
            again.append(jaccard(crossed(labels, found, k, k)).max(axis=1).min())
        return min(float(np.median(again)) / _STABLE, 1.0)

    def _separation(self, labels: Labels) -> float:
        """The silhouette; 0 where it is not defined: a sample may miss all small groups."""
        from sklearn.metrics import silhouette_score  # noqa: PLC0415

        if not 1 < len(np.unique(labels)) < len(labels):
            return 0.0
        return max(float(silhouette_score(self._judged, labels)), 0.0)


def _half(vectors: Floats) -> int:
    return max(len(vectors) // 2, 1)


def best_of(scores: dict[int, float]) -> int:
    """The number of groups with the best score; of those that are nearly the best, the largest: the
    silhouette is in favour of few, and all of them are stable."""
    best = max(scores.values())
    return max(k for k, score in scores.items() if score >= _NEAR * best)
