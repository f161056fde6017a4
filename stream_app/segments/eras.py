"""When the centres are reviewed.

An era begins with the first vector, and again when the vectors are found to have changed. Within
an era the centres are reviewed when there are enough vectors, and then each time the vectors or
the age of the era have doubled, until it is mature: accounts that were all new have become
accounts with different pasts, and the slowest features have a half-life of 28 days. After that
nothing is reviewed before the next alarm. People come to rely on segments, so the older an era is,
the more a refit must be worth.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stream_app.events.instants import DAY

_MATURE_US = 56 * DAY
"""Two half-lives of the slowest features."""
_MATURE_WARM_STARTS = 16
"""Vectors of a mature era, in multiples of those that a warm start takes."""
_LENIENT_US = 28 * DAY
"""Until then a refit costs little: accounts still fill up their pasts, and move anyhow."""


def is_young(vectors: int, age_us: int, warm_start: int) -> bool:
    """Whether so many vectors within such a time are too little for lasting habits to show."""
    return age_us < _MATURE_US or vectors < _MATURE_WARM_STARTS * warm_start


class Era(msgspec.Struct):
    """A stretch of vectors that are taken to be alike. Part of the checkpoint."""

    first: int = 1
    """Ordinal of its first vector, from 1."""
    first_us: int = 0
    cause: Literal["growth", "drift"] = "growth"
    """What a refit within it is called."""
    next_vectors: int = 0
    """Vectors of the era at which the next review is due at the latest; 0: when there are enough
    for a first one."""
    next_age_us: int = 0
    """Age of the era at which it is due at the latest."""
    mature: bool = False

    def due(self, vectors: int, at_us: int, warm_start: int) -> bool:
        """Whether a review is due after so many vectors since the beginning."""
        if self.mature:
            return False
        mine = vectors - self.first + 1
        if not self.next_vectors:
            return mine >= warm_start
        return mine >= self.next_vectors or at_us - self.first_us >= self.next_age_us

    def demand(self, at_us: int) -> float:
        """How much a refit must be worth, in multiples of what a first one must, at least 1."""
        return max((at_us - self.first_us) / _LENIENT_US, 1.0)

    def reviewed(self, vectors: int, at_us: int, warm_start: int) -> None:
        """Decide on the next review, after one."""
        mine, age_us = vectors - self.first + 1, at_us - self.first_us
        if mine >= self.next_vectors:
            self.next_vectors = 2 * mine
        if age_us >= self.next_age_us:
            self.next_age_us = max(2 * age_us, DAY)
        self.mature = not is_young(mine, age_us, warm_start)
