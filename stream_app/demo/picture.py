"""What the demo shows, as values: the view draws it, the summary prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["starting", "running", "ending"]


@dataclass(frozen=True, slots=True)
class Lag:
    """Quantiles in real milliseconds; None: nothing was measured."""

    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """A segment as of now."""

    id: int
    name: str
    accounts: int
    history: tuple[int, ...] = ()
    """Accounts at equal distances in simulated time, oldest first, today's last."""

    @property
    def trend(self) -> int:
        """Accounts gained since the oldest entry of the history."""
        return self.accounts - self.history[0] if self.history else 0


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A change in words."""

    account: str
    previous: str
    """Empty: the account is new."""
    current: str
    reason: str
    """Code of a `SegmentChange`."""
    why: tuple[tuple[str, str], ...] = ()
    """What moved it and how, strongest first: ("pricing pages", "0.4 → 6.1")."""


@dataclass(frozen=True, slots=True)
class SpikeLine:
    """A spike in words."""

    account: str
    topic: str
    times: float
    """How many times the usual level."""
    people: int
    segment: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start."""

    records: int = 0
    """Handed over: events, duplicates, dead letters, and what waits."""
    events: int = 0
    """Applied to accounts."""
    duplicates: int = 0
    dead_letters: dict[str, int] = field(default_factory=dict)
    """By reason."""
    changes: dict[str, int] = field(default_factory=dict)
    """By reason."""
    spikes: int = 0

    @property
    def refused(self) -> int:
        return sum(self.dead_letters.values())

    @property
    def moved(self) -> int:
        return sum(self.changes.values())


@dataclass(frozen=True, slots=True)
class Model:
    """Where the model stands."""

    version: int = 0
    vectors: int = 0
    """Training vectors seen so far."""
    needed: int = 500
    """Vectors that the first version takes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment of the demo."""

    phase: Phase = "starting"
    seconds: float = 0.0
    """Real seconds since the first record."""
    now_us: int = 0
    """Simulated time."""
    days: float = 0.0
    """Simulated days since the start."""
    days_per_second: float = 0.0
    """How fast simulated time passed lately."""
    wanted_days_per_second: float = 1.0
    events_per_second: float = 0.0
    """Lately."""
    lag: Lag = field(default_factory=Lag)
    """Lately."""
    accounts: int = 0
    totals: Totals = field(default_factory=Totals)
    model: Model = field(default_factory=Model)
    segments: tuple[SegmentLine, ...] = ()
    """Largest first."""
    trend_days: float = 0.0
    """Simulated days that the segments' histories cover."""
    changes: tuple[ChangeLine, ...] = ()
    """A readable choice of the latest, newest first."""
    spikes: tuple[SpikeLine, ...] = ()
    """Newest first."""
    warning: str = ""
    """Latest log line that deserves attention."""
