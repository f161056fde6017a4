"""The alarm: do vectors lie elsewhere than when the centres were fitted, or in other shares?

ADWIN (Bifet and Gavaldà 2007, as River has it) watches the mean log distance of vectors to their
centre, and each centre's share of the vectors, one value a day: vectors of one day are anything but
independent. People work in a weekly rhythm, which is no drift, so the mean of each weekday is taken
off. Days are compared in units of their own noise, which differences between successive days tell,
with a drift and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import msgspec
import numpy as np
from river import drift

from stream_app.events.instants import DAY
from stream_app.features.values import Floats

_DAYS = 84
"""Days that are remembered: whole weeks."""
_LEAST_DAYS = 14
"""With fewer nothing is said: each weekday must have occurred twice."""
_LEAST_VECTORS = 30
"""A day with fewer goes on into the next one."""
_CONFIDENCE = 0.01
"""ADWIN's delta, divided among what is watched."""
_NOISE_FLOOR = 0.02
"""Changes of a few hundredths, of a share or in log distance, are not worth a review, however
certain."""
_NEAR = 1e-3
"""Added to distances, in standard deviations, before the logarithm."""


class DriftAlarm(msgspec.Struct):
    """What is watched, by day. Part of the checkpoint."""

    day: int = 0
    """Since 1970, of the vectors that are being added up."""
    total: float = 0.0
    """Of log distances."""
    counts: dict[int, int] = {}
    """Vectors by centre."""
    days: list[int] = []
    means: list[list[float]] = []
    """Of each of `days`: mean log distance, then the share of each centre in order of id."""

    def rings(self, ids: Sequence[int], nearest: int, distance: float, at_us: int) -> bool:
        """Add a vector: the centre it is nearest to among `ids`, and how far away, in standard
        deviations. Whether the latest days are found to differ from those before, which then are
        forgotten."""
        day = max(at_us // DAY, self.day)
        vectors = sum(self.counts.values())
        full = day > self.day and vectors >= _LEAST_VECTORS
        if full:
            shares = [self.counts.get(id_, 0) / vectors for id_ in ids]
            self.days = [*self.days, self.day][-_DAYS:]
            self.means = [*self.means, [self.total / vectors, *shares]][-_DAYS:]
            self.total, self.counts = 0.0, {}
        self.day = day
        self.counts[nearest] = self.counts.get(nearest, 0) + 1
        self.total += log(distance + _NEAR)
        return full and self._look()

    def _look(self) -> bool:
        if len(self.days) < _LEAST_DAYS:
            return False
        watched = _standardised(np.array(self.days), np.array(self.means)).T
        kept = min(_kept_by_adwin(values, _CONFIDENCE / len(watched)) for values in watched)
        rings = kept < len(self.days)
        self.days, self.means = self.days[-kept:], self.means[-kept:]
        return rings

    def forget(self) -> None:
        """Begin anew: the centres are others now."""
        self.total, self.counts, self.days, self.means = 0.0, {}, [], []


def _standardised(days: np.ndarray[tuple[int], np.dtype[np.int64]], means: Floats) -> Floats:
    """(days, watched) without the weekly rhythm, in units of the noise."""
    rest = means.copy()
    for weekday in range(7):
        mine = days % 7 == weekday
        if mine.any():
            rest[mine] -= rest[mine].mean(axis=0)
    noise = np.diff(rest, axis=0).std(axis=0) / np.sqrt(2.0)
    standardised: Floats = rest / np.maximum(noise, _NOISE_FLOOR)
    return standardised


def _kept_by_adwin(values: Floats, delta: float) -> int:
    """How many of the last values ADWIN takes to be alike."""
    window = drift.ADWIN(delta=delta, clock=1, min_window_length=3, grace_period=_LEAST_DAYS)
    for value in values.tolist():
        window.update(value)
        if window.drift_detected:
            return max(int(window.width), 1)
    return len(values)
