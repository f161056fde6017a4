"""A review: would centres fitted anew to the recent vectors be clearly better?

A false alarm costs nothing, because present centres that are good are not beaten clearly. What is
compared is how vectors are grouped, in the new scale; the rivals may have other scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream_app.features.values import Floats
from stream_app.segments.batch import centres_of
from stream_app.segments.clusters import Clusters, Scale, nearest, scale_of, within
from stream_app.segments.numbers import Judge, best_of

_SAVES = 0.05
"""Share of the cost (squared distances within groups) that as many new centres must save, or"""
_BETTER = 0.015
"""by how much more the best number of groups must score, to be clearly better."""


class Limits(msgspec.Struct, frozen=True):
    """What a caller decides."""

    least: int
    most: int
    """Limits for the number of groups."""
    warm_start: int
    """Vectors to collect before the first centres."""
    seed: int


def better_centres(
    vectors: Floats,
    present: Sequence[Clusters],
    limits: Limits,
    *,
    demand: float = 1.0,
    at_any_rate: bool = False,
) -> tuple[Scale, Floats] | None:
    """Scale and centres of a batch fit, if it is clearly better than each of the present ones.

    Parameters
    ----------
    demand
        What counts as clearly better, in multiples of the usual; at least 1.
    at_any_rate
        Also where it is not better at all.
    """
    scale = scale_of(vectors)
    scaled = scale.of(vectors)
    judge = Judge(scaled, limits.seed)
    scores = judge.scores(limits.least, limits.most)
    best = best_of(scores)
    centres = centres_of(scaled, best, limits.seed)
    for clusters in present:
        k = min(max(len(clusters.ids), limits.least), limits.most)
        grouped = clusters.positions(vectors)
        as_many = centres if k == best else centres_of(scaled, k, limits.seed)
        cost = within(scaled, nearest(scaled, as_many))
        saves = cost < (1.0 - demand * _SAVES) * within(scaled, grouped)
        better = scores[best] > judge.score(k, grouped) + demand * _BETTER
        if not (saves or better or at_any_rate):
            return None
    return scale, centres
