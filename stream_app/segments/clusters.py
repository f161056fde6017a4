"""Centres in a scale of their own: what a model is apart from names, versions and time.

Knows nothing of accounts: vectors have any number of dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from stream_app.features.values import Floats

CLIP = 6.0
"""Scaled coordinates are cut off at so many standard deviations, so that nothing pulls harder."""

_TAIL = 0.05
"""Share of the vectors on either side of each dimension whose range is not taken for granted."""
_FAR_TAIL = 0.005
"""The same in a dimension in which nearly all vectors are equal."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What makes dimensions comparable."""

    mean: Floats
    deviation: Floats
    """Standard deviations; 0 where constant."""

    def of(self, vectors: Floats) -> Floats:
        """Scaled and cut off at `CLIP`; a dimension without variance becomes 0."""
        varies = self.deviation > 0
        scaled = (vectors - self.mean) / np.where(varies, self.deviation, 1.0)
        return np.clip(np.where(varies, scaled, 0.0), -CLIP, CLIP)

    def held(self, vectors: Floats) -> Floats:
        """The vectors themselves, cut off in the same way."""
        return self.of(vectors) * self.deviation + self.mean


def scale_of(vectors: Floats) -> Scale:
    """Mean and standard deviation of (n, dimensions) vectors, with values cut off that lie further
    out than the usual range is wide: one that is a million times too large would flatten its
    dimension."""
    low, high = _range(vectors, _TAIL)
    least, most = _range(vectors, _FAR_TAIL)
    wide = high - low
    held = np.clip(
        vectors, np.where(wide > 0, low - wide, least), np.where(wide > 0, high + wide, most)
    )
    flat = (held == held[0]).all(axis=0)
    return Scale(np.where(flat, held[0], held.mean(axis=0)), np.where(flat, 0.0, held.std(axis=0)))


def _range(vectors: Floats, tail: float) -> tuple[Floats, Floats]:
    low: Floats = np.quantile(vectors, tail, axis=0, method="higher")
    high: Floats = np.quantile(vectors, 1.0 - tail, axis=0, method="lower")
    return low, high


@dataclass(frozen=True, slots=True)
class Clusters:
    """k centres under ids that never change their meaning."""

    ids: tuple[int, ...]
    scale: Scale
    centres: Floats
    """(k, dimensions), scaled."""

    def positions(self, vectors: Floats) -> npt.NDArray[np.int64]:
        """Position among `ids` of the centre nearest to each of (n, dimensions) vectors."""
        return nearest(self.scale.of(vectors), self.centres)

    def unscaled(self) -> Floats:
        """The centres as vectors."""
        return self.centres * self.scale.deviation + self.scale.mean


class SavedClusters(msgspec.Struct, frozen=True):
    """`Clusters` as JSON has them."""

    ids: list[int]
    mean: list[float]
    deviation: list[float]
    centres: list[list[float]]

    @classmethod
    def of(cls, clusters: Clusters) -> Self:
        """Arrays as lists."""
        scale = clusters.scale
        return cls(
            list(clusters.ids),
            scale.mean.tolist(),
            scale.deviation.tolist(),
            clusters.centres.tolist(),
        )

    def clusters(self) -> Clusters:
        """The same as arrays."""
        scale = Scale(np.array(self.mean), np.array(self.deviation))
        return Clusters(tuple(self.ids), scale, np.array(self.centres))


def nearest(scaled: Floats, centres: Floats) -> npt.NDArray[np.int64]:
    """Position of the centre nearest to each scaled vector; the first of equals."""
    squares = np.square(scaled[:, None] - centres).sum(axis=2)
    found: npt.NDArray[np.int64] = squares.argmin(axis=1)
    return found


def within(scaled: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Squared distances of vectors from the mean of their group, summed: the cost of a grouping,
    wherever it comes from."""
    members = np.eye(int(labels.max()) + 1)[labels]
    counts = members.sum(axis=0)
    means = (members.T @ scaled) / np.maximum(counts, 1.0)[:, None]
    return float(np.square(scaled - means[labels]).sum())


def crossed(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64], m: int, n: int) -> Floats:
    """(m, n) counts of vectors in each group of one grouping and of another."""
    counts = np.zeros((m, n))
    np.add.at(counts, (old, new), 1.0)
    return counts


def jaccard(counts: Floats) -> Floats:
    """What two groups have in common, as a share of what is in either; of an empty group, 1: there
    is nothing in it to be found again."""
    of_old, of_new = counts.sum(axis=1)[:, None], counts.sum(axis=0)
    shares: Floats = np.where(of_old > 0, counts / np.maximum(of_old + of_new - counts, 1.0), 1.0)
    return shares
