"""Simulated time: a clock that the producer moves, and how fast it may move."""

from __future__ import annotations

import time
from dataclasses import dataclass

from stream_app.events.instants import DAY

_LONGEST_STEP_SECONDS = 0.1
"""Real time that one step makes up for at most. After a pause (a suspended machine, a busy
worker) simulated time goes on from where it was, and does not hurry."""


class SimulatedClock:
    """A `Clock` whose wall time is what it was last set to; real seconds for measuring."""

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Simulated time, microseconds since 1970-01-01 UTC."""
        return self._now_us

    def monotonic(self) -> float:
        """Real seconds from an arbitrary start."""
        return time.monotonic()

    def set(self, now_us: int) -> None:
        """Let it be this time. It never goes back."""
        self._now_us = max(self._now_us, now_us)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast simulated time passes when the worker keeps up."""

    days_per_second: float

    def target_us(self, reached_us: int, elapsed_seconds: float) -> int:
        """Where simulated time may go from `reached_us` after so many real seconds.

        >>> Pace(2.0).target_us(0, 0.05) == DAY // 10
        True
        >>> Pace(2.0).target_us(0, 60.0) == DAY // 5
        True
        """
        seconds = min(max(elapsed_seconds, 0.0), _LONGEST_STEP_SECONDS)
        return reached_us + round(seconds * self.days_per_second * DAY)
