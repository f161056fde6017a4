"""Settings of the synthetic traffic. All of them are values; nothing is read from outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from stream_app.traffic.behaviours import Behaviour

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

DEFAULT_SHARES: Mapping[Behaviour, float] = {
    Behaviour.PRICING_RESEARCHER: 0.12,
    Behaviour.CONTENT_READER: 0.18,
    Behaviour.NEWSLETTER_READER: 0.20,
    Behaviour.EXISTING_USER: 0.18,
    Behaviour.CASUAL_VISITOR: 0.22,
    Behaviour.GONE_QUIET: 0.10,
}


@dataclass(frozen=True, slots=True)
class Drift:
    """A planted change of the whole population, for evaluation."""

    kind: Literal["appears", "dies", "moves"]
    """appears: a share of the accounts turns to `behaviour`, which few or none had before.
    dies: all accounts of `behaviour` turn to `into`. moves: all accounts of `behaviour`
    change their habits but keep their label."""
    behaviour: Behaviour
    day: float
    """Days after the start at which the first account changes."""
    ramp_days: float = 2.0
    """Days within which all of them have changed."""
    share: float = 0.15
    """Share of all accounts that turn to the new behaviour (appears only)."""
    into: Behaviour = Behaviour.CASUAL_VISITOR
    """What accounts turn to (dies only)."""


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """What to generate. The same values give the same bytes."""

    seed: int = 7
    """Seed of every random choice, 0 or more."""
    accounts: int = 2_000
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    """First moment of simulated time, with a time zone."""
    horizon_days: int = 40
    """Days over which switches, surges and crawlers are planted. The traffic can run longer;
    after the horizon habits go on and nothing new is planted."""
    shares: Mapping[Behaviour, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    """Share of each behaviour among the accounts (scaled to a sum of 1). GONE_QUIET accounts
    have another behaviour first."""
    starting_share: float = 0.05
    """Share of all accounts that start researching at a planted moment."""
    planted_window: tuple[float, float] = (0.3, 0.7)
    """Part of the horizon in which accounts start researching or go quiet."""
    activity: float = 1.0
    """Factor on the website sessions of every account."""
    campaigns_per_week: int = 3
    """Mailings per week, 0 to 5: a newsletter to everyone, the others by topic."""
    email_contact_share: float = 0.05
    """Share of contacts whose id is an e-mail address."""
    surges_per_account_day: float = 0.002
    """Planted bursts of several people on one topic."""
    crawlers_per_account_day: float = 0.0003
    """Single-contact bursts of hundreds of visits within minutes."""
    duplicate_rate: float = 0.005
    """Share of records delivered twice with the same bytes."""
    late_rate: float = 0.01
    """Share of records delivered 5 minutes to 12 hours late."""
    malformed_rate: float = 0.001
    """Unreadable or invalid records, as a share of the good ones; they come on top."""
    drifts: tuple[Drift, ...] = ()
    with_type: bool = False
    """Put `type` into every record, as a file for replay needs it; Kafka topics do not."""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise ValueError("start has no time zone; give an aware datetime")
        if self.seed < 0 or self.accounts < 1 or self.horizon_days < 1:
            raise ValueError("seed must be 0 or more, accounts and horizon_days 1 or more")
        if not 0 <= self.campaigns_per_week <= 5:
            raise ValueError("campaigns_per_week must be 0 to 5")
        low, high = self.planted_window
        if not 0 <= low <= high <= 1:
            raise ValueError("planted_window must be two shares of the horizon, low to high")
        if min(self.shares.values(), default=-1) < 0 or sum(self.shares.values()) <= 0:
            raise ValueError("shares must be 0 or more, and one of them above 0")
        for name in (
            "starting_share", "email_contact_share", "duplicate_rate", "late_rate",
            "malformed_rate", "surges_per_account_day", "crawlers_per_account_day",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1")

    @property
    def start_us(self) -> int:
        """Start in microseconds since 1970, UTC, cut to the millisecond."""
        since = self.start - datetime(1970, 1, 1, tzinfo=UTC)
        milliseconds = since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
        return milliseconds * 1_000

    @property
    def horizon_us(self) -> int:
        """Length of the horizon in microseconds."""
        return self.horizon_days * DAY_US
