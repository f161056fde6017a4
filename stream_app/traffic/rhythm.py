"""When people work: office hours in the account's time zone, few evenings and weekends."""

from dataclasses import dataclass

import numpy as np

from stream_app.traffic.behaviours import Floats, Ints

BIN_US = 1_800_000_000
"""Half an hour, the resolution of the week."""
BINS_PER_DAY = 48
BINS_PER_WEEK = 7 * BINS_PER_DAY

ZONES_MINUTES = np.array([-480, -360, -300, 0, 60, 120, 330, 480, 540])
"""Offsets from UTC that accounts have, in minutes. Fixed: no daylight saving time."""
ZONE_CDF = np.cumsum([0.12, 0.10, 0.20, 0.12, 0.24, 0.06, 0.06, 0.06, 0.04])

_WEEKDAY_HOURS = (
    [0.03] * 6 + [0.1, 0.4, 1.0, 1.6, 1.7, 1.6, 1.0, 1.4, 1.6, 1.5, 1.2, 0.7]
    + [0.35, 0.25, 0.2, 0.2, 0.12, 0.06]
)  # fmt: skip
_WEEKEND_HOURS = [0.02] * 8 + [0.08] * 3 + [0.12] * 8 + [0.1] * 4 + [0.03]


def _week() -> Floats:
    """Weight per half hour from Monday 00:00 local time; an average day sums to 1."""
    hours = np.array(_WEEKDAY_HOURS * 5 + _WEEKEND_HOURS * 2)
    halves = np.repeat(hours, 2)
    scaled: Floats = halves * (7.0 / halves.sum())
    return scaled


WEEK: Floats = _week()


def week_bin(at_us: Ints, offset_minutes: Ints) -> Ints:
    """Half hour of the local week, 0 = Monday 00:00 to 00:30. (1970 began on a Thursday.)"""
    local: Ints = at_us + offset_minutes * 60_000_000 + 3 * BINS_PER_DAY * BIN_US
    binned: Ints = (local // BIN_US) % BINS_PER_WEEK
    return binned


@dataclass(frozen=True, slots=True)
class DayRhythm:
    """One simulated day, seen from every time zone."""

    start_us: int
    total: Floats
    """Weight of the whole day per zone; 1 is an average day. Shape (zones,)."""
    cdf: Floats
    """Cumulative share of the half hours. Shape (zones, 48)."""

    @classmethod
    def of(cls, start_us: int) -> "DayRhythm":
        """The 24 hours from `start_us`."""
        starts = start_us + np.arange(BINS_PER_DAY, dtype=np.int64) * BIN_US
        weights = WEEK[week_bin(starts[None, :], ZONES_MINUTES[:, None])]
        total = weights.sum(axis=1)
        return cls(start_us, total, weights.cumsum(axis=1) / total[:, None])


def after_night(at_us: Ints, offset_minutes: Ints) -> Ints:
    """Put off what would happen between 23 and 7 h local time by 8.5 hours: people sleep."""
    hour = week_bin(at_us, offset_minutes) % BINS_PER_DAY
    asleep = (hour < 14) | (hour >= 46)
    moved: Ints = at_us + asleep * np.int64(17 * BIN_US)
    return moved
