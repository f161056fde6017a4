"""What was planted: the answers that an evaluation compares with.

All times are microseconds since 1970, UTC. Ids are as they appear in the records.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal

from stream_app.traffic.behaviours import Behaviour


@dataclass(frozen=True, slots=True)
class BehaviourPeriod:
    """An account behaves in one way from `start_us` until its next period starts."""

    account_id: str
    behaviour: Behaviour
    start_us: int


@dataclass(frozen=True, slots=True)
class BehaviourSwitch:
    """An account changes its behaviour at a moment: starts researching, goes quiet, drifts."""

    account_id: str
    at_us: int
    before: Behaviour
    after: Behaviour


@dataclass(frozen=True, slots=True)
class Surge:
    """Several people of one account turn to one topic for hours or days.

    Starts with the first planted session and ends with the start of the last one.
    """

    account_id: str
    topic: str
    start_us: int
    end_us: int
    contacts: tuple[str, ...]
    sessions: int


@dataclass(frozen=True, slots=True)
class Crawler:
    """One contact that reads hundreds of pages within minutes: noise, not interest."""

    account_id: str
    contact_id: str
    start_us: int
    visits: int


@dataclass(frozen=True, slots=True)
class DriftTruth:
    """A planted change of the population and the accounts it touched."""

    kind: Literal["appears", "dies", "moves"]
    behaviour: Behaviour
    start_us: int
    end_us: int
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Everything planted in one stream, complete from the start."""

    accounts: tuple[str, ...]
    periods: tuple[BehaviourPeriod, ...]
    """By account, then by time; each account has at least one."""
    switches: tuple[BehaviourSwitch, ...]
    """By time. Where the label changes; a drift of kind `moves` changes none."""
    surges: tuple[Surge, ...]
    crawlers: tuple[Crawler, ...]
    drifts: tuple[DriftTruth, ...]
    _by_account: dict[str, list[BehaviourPeriod]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for period in self.periods:
            self._by_account.setdefault(period.account_id, []).append(period)

    def behaviour_at(self, account_id: str, at_us: int) -> Behaviour:
        """Label of an account at a moment. KeyError for an unknown account."""
        periods = self._by_account[account_id]
        index = bisect_right([p.start_us for p in periods], at_us) - 1
        return periods[max(index, 0)].behaviour

    def labels_at(self, at_us: int) -> dict[str, Behaviour]:
        """Label of every account at a moment."""
        return {account: self.behaviour_at(account, at_us) for account in self.accounts}

    @property
    def quiet_times(self) -> dict[str, int]:
        """The moment from which an account does nothing more."""
        return {s.account_id: s.at_us for s in self.switches if s.after == Behaviour.GONE_QUIET}

    @property
    def research_starts(self) -> dict[str, int]:
        """The moment at which an account starts researching."""
        after = Behaviour.PRICING_RESEARCHER
        return {s.account_id: s.at_us for s in self.switches if s.after == after}
