"""Forward decay: sums that fade with time, and take events in any order.

Each event adds w * 2^((t_event - reference) / half_life); read at time t the sum is multiplied by
2^-((t - reference) / half_life). Adding commutes, so late events need no special case.

The reference is the start of the 28-day period of the account's latest event. All half-lives divide
the period, so moving the reference multiplies by an exact power of two: it loses nothing, and when
it happens does not matter.

Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A Practical Time Decay Model for
Streaming Systems", ICDE 2009.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_app.events.instants import DAY
from stream_app.features.catalogue import HALF_LIVES_DAYS

PERIOD_DAYS = 28
PERIOD_US = PERIOD_DAYS * DAY

_HALF_LIVES_US = np.array(HALF_LIVES_DAYS, np.float64) * DAY
_HALVINGS_PER_PERIOD = np.array([PERIOD_DAYS // days for days in HALF_LIVES_DAYS], np.int32)

Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def period_of(at_us: Times) -> npt.NDArray[np.int64]:
    """Number of the 28-day period since 1970 in which each instant lies."""
    return at_us // PERIOD_US


def growth(
    at_us: Times, period: npt.NDArray[np.integer], half_lives_us: Floats = _HALF_LIVES_US
) -> Floats:
    """(n, 3) weights 2^((t - reference) / half_life), one column per half-life."""
    age = (at_us - period * PERIOD_US).astype(np.float64)
    weights: Floats = np.exp2(age[:, None] / half_lives_us)
    return weights


def fading(
    at_us: Times, period: npt.NDArray[np.integer], half_lives_us: Floats = _HALF_LIVES_US
) -> Floats:
    """(n, 3) factors 2^-((t - reference) / half_life) that turn stored sums into values at t."""
    age = (at_us - period * PERIOD_US).astype(np.float64)
    factors: Floats = np.exp2(-(age[:, None] / half_lives_us))
    return factors


def halvings(periods: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """(n, 3) exponents e such that moving the reference by `periods` multiplies by 2^-e."""
    exponents: npt.NDArray[np.int32] = periods[:, None].astype(np.int32) * _HALVINGS_PER_PERIOD
    return exponents
