"""When an account leaves its segment: at once on strong evidence, on weak evidence when it lasts.

People work in daily and weekly rhythms, so an account near a border crosses it every weekend and
comes back on Monday. Evidence is how much nearer another centre is, as a share of the distance to
the own one. Below `margin` it counts for nothing, from `strong_margin` on it decides at once, and
in between the account leaves when no look at it for `confirm_us` has found it back.
docs/segment-quality.md shows what each of the three costs and gains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from stream_app.events.instants import DAY
from stream_app.settings import SegmentSettings


class Pending(NamedTuple):
    """Weak evidence that an account is to leave its segment."""

    since_us: int
    """When it was first seen; 0: there is none."""
    cause: int
    """Why the account was looked at then (`decide.Cause`)."""


NO_EVIDENCE = Pending(0, 0)


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """The rule as a value. With the margin alone, whatever exceeds it decides at once."""

    margin: float
    strong_margin: float = 0.0
    confirm_us: int = 0

    @classmethod
    def of(cls, settings: SegmentSettings) -> Self:
        """As the settings say."""
        return cls(settings.margin, settings.strong_margin, round(settings.confirm_days * DAY))

    def tempts(self, nearest: float, own: float) -> bool:
        """Whether a centre at distance `nearest` is evidence against the own one."""
        return nearest < (1.0 - self.margin) * own

    def strong(self, nearest: float, own: float) -> bool:
        """Whether that evidence decides at once."""
        return nearest < (1.0 - self.strong_margin) * own

    def confirms(self, evidence: Pending, at_us: int) -> bool:
        """Whether weak evidence has lasted long enough at an instant."""
        return at_us - evidence.since_us >= self.confirm_us


PLAIN = Hysteresis(0.0)
"""The nearest centre, always."""
