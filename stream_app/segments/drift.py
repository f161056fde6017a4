"""The alarm: have vectors come to lie elsewhere than the centres were fitted for?

ADWIN (Bifet and Gavaldà 2007, as River has it) watches the distance of vectors to their centre, one
mean a day: vectors of one day are anything but independent. People work in a weekly rhythm, which
is no drift, so the mean of each weekday is taken off. Days are compared in units of their own
noise, which differences between successive days tell, with a drift and without.
"""

from __future__ import annotations

from math import log

import msgspec
import numpy as np
from river import drift

from stream_app.events.instants import DAY

_DAYS = 84
"""Days that are remembered: whole weeks."""
_LEAST_DAYS = 14
"""With fewer nothing is said: each weekday must have occurred twice."""
_LEAST_VECTORS = 30
"""A day with fewer goes on into the next one."""
_CONFIDENCE = 0.002
"""ADWIN's delta."""
_NOISE_FLOOR = 0.02
"""In log distance: changes of a few hundredths are not worth a review, however certain."""
_NEAR = 1e-3
"""Added to distances, in standard deviations, before the logarithm."""


class DriftAlarm(msgspec.Struct):
    """Distances by day. Part of the checkpoint."""

    day: int = 0
    """Since 1970, of the vectors that are being added up."""
    vectors: int = 0
    total: float = 0.0
    days: list[int] = []
    means: list[float] = []
    """Mean log distance of each of `days`."""

    def changed(self, distance: float, at_us: int) -> int | None:
        """Add the distance of a vector, in standard deviations. Returns the first day (since 1970)
        of the vectors that differ from those before, when this is found out; then days before it
        are forgotten."""
        day = max(at_us // DAY, self.day)
        full = day > self.day and self.vectors >= _LEAST_VECTORS
        if full:
            self.days.append(self.day)
            self.means.append(self.total / self.vectors)
            self.days, self.means = self.days[-_DAYS:], self.means[-_DAYS:]
            self.vectors, self.total = 0, 0.0
        self.day = day
        self.vectors += 1
        self.total += log(distance + _NEAR)
        return self._look() if full else None

    def _look(self) -> int | None:
        if len(self.days) < _LEAST_DAYS:
            return None
        kept = _kept_by_adwin(_standardised(self.days, self.means))
        if kept == len(self.days):
            return None
        self.days, self.means = self.days[-kept:], self.means[-kept:]
        return self.days[0]

    def forget(self) -> None:
        """Begin anew: the centres are others now."""
        self.days, self.means, self.vectors, self.total = [], [], 0, 0.0


def _standardised(days: list[int], means: list[float]) -> list[float]:
    weekday, mean = np.array(days) % 7, np.array(means)
    for day in range(7):
        if (weekday == day).any():
            mean[weekday == day] -= mean[weekday == day].mean()
    noise = float(np.diff(mean).std()) / 2**0.5
    standardised: list[float] = (mean / max(noise, _NOISE_FLOOR)).tolist()
    return standardised


def _kept_by_adwin(values: list[float]) -> int:
    """How many of the last values ADWIN takes to be alike."""
    window = drift.ADWIN(delta=_CONFIDENCE, clock=1, min_window_length=3, grace_period=_LEAST_DAYS)
    for value in values:
        window.update(value)
        if window.drift_detected:
            return max(int(window.width), 1)
    return len(values)
