"""A review: would centres fitted anew to the recent vectors be clearly better?

A false alarm costs nothing, because present centres that are good are not beaten clearly. What is
compared is how vectors are grouped, in the new scale; the rivals may have other scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream_app.features.values import Floats
from stream_app.segments.batch import best_of, centres_of, scores_of
from stream_app.segments.clusters import Clusters, Scale, nearest, scale_of, within

_SAVES = 0.05
"""Share of the cost (squared distances within groups) that as many new centres must save."""
_BETTER_NUMBER = 0.05
"""By so much must another number of groups score better (`batch.scores_of`)."""


class Limits(msgspec.Struct, frozen=True):
    """What a caller decides."""

    least: int
    most: int
    """Limits for the number of groups."""
    warm_start: int
    """Vectors to collect before the first centres."""
    seed: int


def better_centres(
    vectors: Floats, present: Sequence[Clusters], limits: Limits, *, at_any_rate: bool
) -> tuple[Scale, Floats] | None:
    """Scale and centres of a batch fit, if it is clearly better than each of the present ones.

    Parameters
    ----------
    at_any_rate
        Also where it is not.
    """
    scale = scale_of(vectors)
    scaled = scale.of(vectors)
    scores = scores_of(scaled, limits.least, limits.most, limits.seed)
    best = best_of(scores)
    numbers = [min(max(len(c.ids), limits.least), limits.most) for c in present]
    if numbers and scores[numbers[0]] >= scores[best] - _BETTER_NUMBER:
        best = numbers[0]
    centres = centres_of(scaled, best, limits.seed)
    cost = within(scaled, nearest(scaled, centres))
    for clusters, number in zip(present, numbers, strict=True):
        as_many_cost = within(scaled, clusters.positions(vectors))
        if not at_any_rate and best == number and cost >= (1.0 - _SAVES) * as_many_cost:
            return None
    return scale, centres
