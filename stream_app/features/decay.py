"""Forward decay: sums that fade with time, and take events in any order.

Each event adds w * 2^((t_event - reference) / half_life); read at time t the sum is multiplied by
2^-((t - reference) / half_life). Adding commutes, so late events need no special case.

The reference is the start of the 28-day period of the account's latest event. All half-lives divide
the period, so moving the reference multiplies by an exact power of two: it loses nothing, and when
it happens does not matter. (Sums with half-lives of hours refer to the start of a day instead.)

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


def days_counted(at_us: Times, latest_us: Times) -> npt.NDArray[np.int64]:
    """UTC days as records count them: 1 is the first one of the period before the latest event's.

    Whatever lies within 28 days before an instant of that period or later is above 0.

    >>> days_counted(np.array([27 * DAY, 28 * DAY, 84 * DAY]), np.array([28 * DAY])).tolist()
    [28, 29, 85]
    """
    return at_us // DAY - (period_of(latest_us) - 1) * PERIOD_DAYS + 1


def growth(
    at_us: Times,
    period: npt.NDArray[np.integer],
    half_lives_us: Floats = _HALF_LIVES_US,
    period_us: int = PERIOD_US,
) -> Floats:
    """(n, half-lives) weights 2^((t - reference) / half_life), by numbers of periods of a length.

    Computed in the period of the instant itself and moved to the reference, which loses nothing. So
    the weight of an event is one number (`own_growth`) times a power of two, whatever it is added
    to, and can be computed before that is known.
    """
    own = at_us // period_us
    weights = own_growth(at_us, half_lives_us, period_us)
    moved = (own != period).nonzero()[0]
    if len(moved):
        apart = (own[moved] - period[moved])[:, None]
        halvings = apart * (period_us // half_lives_us).astype(np.int64)
        weights[moved] = np.ldexp(weights[moved], halvings.astype(np.int32))
    return weights


def own_growth(
    at_us: Times, half_lives_us: Floats = _HALF_LIVES_US, period_us: int = PERIOD_US
) -> Floats:
    """(n, half-lives) weights of instants with the start of their own period as the reference."""
    age = (at_us % period_us).astype(np.float64)
    weights: Floats = np.exp2(age[:, None] / half_lives_us)
    return weights


def fading(
    at_us: Times,
    period: npt.NDArray[np.integer],
    half_lives_us: Floats = _HALF_LIVES_US,
    period_us: int = PERIOD_US,
) -> Floats:
    """(n, half-lives) factors 2^-((t - reference) / half_life) that turn stored sums into values
    at t."""
    return faded((at_us - period * period_us).astype(np.float64), half_lives_us)


def faded(age_us: Floats, half_lives_us: Floats = _HALF_LIVES_US) -> Floats:
    """(n, half-lives) factors for sums whose references lie so far back."""
    factors: Floats = np.exp2(-(age_us[:, None] / half_lives_us))
    return factors


def halvings(periods: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """(n, 3) exponents e such that moving the reference by `periods` multiplies by 2^-e."""
    exponents: npt.NDArray[np.int32] = periods[:, None].astype(np.int32) * _HALVINGS_PER_PERIOD
    return exponents
