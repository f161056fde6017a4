"""Planted bursts: surges, which should be noticed, and crawlers, which should not."""

from dataclasses import dataclass

import numpy as np

from stream_app.traffic.behaviours import CRAWLER_ROW, SURGE_ROW, Floats, HabitTable, Ints
from stream_app.traffic.columns import SESSION, Sessions
from stream_app.traffic.config import DAY_US, HOUR_US, TrafficConfig
from stream_app.traffic.content import TOPICS
from stream_app.traffic.population import Population
from stream_app.traffic.rhythm import BIN_US, WEEK, ZONES_MINUTES, week_bin
from stream_app.traffic.timeline import Timeline
from stream_app.traffic.truth import Crawler, Surge

_MIN_CONTACTS = 3
_MAX_CONTACTS = 6
_LIFT = 6.0
"""A surge has at least this many times the account's usual sessions."""
_MAX_SESSIONS = 240
_APART_US = 7 * DAY_US
_KICKOFF_US = 10 * 60_000_000
"""Mean time until a participant first joins: the link goes round the team."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """All planted sessions of the stream, by start, with their truth."""

    sessions: Sessions
    surges: tuple[Surge, ...]
    crawlers: tuple[Crawler, ...]

    def between(self, start_us: int, end_us: int) -> Sessions:
        """Planted sessions that start in [start_us, end_us)."""
        low, high = np.searchsorted(self.sessions["at"], [start_us, end_us])
        return self.sessions[low:high]


def plan_bursts(
    config: TrafficConfig, people: Population, timeline: Timeline, habits: HabitTable
) -> Bursts:
    """Plan every burst within the horizon."""
    surge_sessions, surges = _surges(config, people, timeline, habits)
    crawler_sessions, crawlers = _crawlers(config, people, timeline)
    sessions = np.concatenate([surge_sessions, crawler_sessions])
    return Bursts(sessions[np.argsort(sessions["at"], kind="stable")], surges, crawlers)


def _surges(
    config: TrafficConfig, people: Population, timeline: Timeline, habits: HabitTable
) -> tuple[Sessions, tuple[Surge, ...]]:
    rng = np.random.default_rng([config.seed, 3])
    account, begin, length = _surge_slots(rng, config, people, timeline)
    n = len(account)
    team = np.minimum(rng.integers(_MIN_CONTACTS, _MAX_CONTACTS + 1, n), people.contacts[account])
    usual = habits.sessions[timeline.row_at(account, begin)] * people.pace[account]
    wanted = np.maximum(team * rng.uniform(2.5, 5.0, n), _LIFT * usual * length / DAY_US)
    total = np.clip(wanted, 2 * team, _MAX_SESSIONS).astype(np.int64)
    # Half of the surges are on a topic the account already cares about.
    known = people.topics[account, rng.integers(3, size=n)]
    topic = np.where(rng.random(n) < 0.5, known, rng.integers(len(TOPICS), size=n))

    which = np.repeat(np.arange(n), total)
    rank = np.arange(len(which)) - np.repeat(np.cumsum(total) - total, total)
    joins = (rng.exponential(_KICKOFF_US, len(which))).astype(np.int64)
    later = _working_times(rng, people, account, begin, length, which)
    sessions = np.zeros(len(which), dtype=SESSION)
    sessions["at"] = np.where(
        rank == 0, begin[which], np.where(rank < team[which], begin[which] + joins, later)
    )
    sessions["at"] -= sessions["at"] % 1_000
    sessions["account"] = account[which]
    # A different set of people each time: a run of neighbours from a random first one.
    first = rng.integers(people.contacts[account])
    member = (first[which] + rank % team[which]) % people.contacts[account[which]]
    sessions["contact"] = people.first_contact[account[which]] + member
    sessions["habit"], sessions["topic"], sessions["campaign"] = SURGE_ROW, topic[which], -1
    last = np.zeros(n, dtype=np.int64)
    np.maximum.at(last, which, sessions["at"])
    surges = []
    for i in range(n):
        base, size = int(people.first_contact[account[i]]), int(people.contacts[account[i]])
        who = [base + (int(first[i]) + k) % size for k in range(int(team[i]))]
        surges.append(
            Surge(
                people.account_ids[account[i]],
                TOPICS[topic[i]],
                int(begin[i]),
                int(last[i]),
                tuple(people.contact_ids[c] for c in who),
                int(total[i]),
            )
        )
    surges.sort(key=lambda s: (s.start_us, s.account_id))
    return sessions, tuple(surges)


def _surge_slots(
    rng: np.random.Generator, config: TrafficConfig, people: Population, timeline: Timeline
) -> tuple[Ints, Ints, Ints]:
    """Account, start and length of each surge: a weekday between 8 and 15 h local time, in an
    account of several people that has not gone quiet, a week away from its last surge."""
    count = rng.poisson(config.surges_per_account_day * config.accounts * config.horizon_days)
    able = np.flatnonzero(people.contacts >= _MIN_CONTACTS)
    if not len(able):
        count = 0
    account = rng.choice(able, count) if count else np.zeros(0, dtype=np.int64)
    start = config.start_us + (config.horizon_us * rng.uniform(0.1, 0.95, count)).astype(np.int64)
    offset = ZONES_MINUTES[people.zone[account]] * 60_000_000
    # 1970 began on a Thursday: day 4 was a Monday.
    day = (start + offset) // DAY_US
    weekday = (day + 3) % 7
    day += np.where(weekday >= 5, 7 - weekday, 0)
    local = day * DAY_US + (rng.uniform(8.0, 15.0, count) * HOUR_US).astype(np.int64)
    begin = local - offset
    begin -= begin % 1_000
    length = (np.exp(rng.uniform(np.log(3.0), np.log(48.0), count)) * HOUR_US).astype(np.int64)
    order = np.lexsort([begin, account])
    account, begin, length = account[order], begin[order], length[order]
    apart = np.ones(count, dtype=np.bool_)
    near = (account[1:] == account[:-1]) & (np.diff(begin) < _APART_US)
    apart[1:] = ~near
    inside = (begin >= config.start_us) & (begin + length < config.start_us + config.horizon_us)
    awake = ~timeline.quiet_at(account, begin + length + DAY_US)
    keep = apart & inside & awake
    return account[keep], begin[keep], length[keep]


def _working_times(
    rng: np.random.Generator,
    people: Population,
    account: Ints,
    begin: Ints,
    length: Ints,
    which: Ints,
) -> Ints:
    """A moment within each session's surge, weighted by the office hours of its account."""
    bins = int(length.max(initial=0) // BIN_US) + 1
    starts = begin[:, None] + np.arange(bins) * BIN_US
    weight: Floats = WEEK[week_bin(starts, ZONES_MINUTES[people.zone[account]][:, None])]
    weight = weight * (starts < (begin + length)[:, None])
    cdf = weight.cumsum(axis=1)
    cdf /= cdf[:, -1:]
    chosen = (cdf[which, :-1] <= rng.random(len(which))[:, None]).sum(axis=1)
    at = begin[which] + chosen * BIN_US + rng.integers(BIN_US, size=len(which))
    times: Ints = np.minimum(at, (begin + length)[which])
    return times


def _crawlers(
    config: TrafficConfig, people: Population, timeline: Timeline
) -> tuple[Sessions, tuple[Crawler, ...]]:
    """Hundreds of pages at under a second each, by one contact, at any hour."""
    rng = np.random.default_rng([config.seed, 4])
    count = rng.poisson(config.crawlers_per_account_day * config.accounts * config.horizon_days)
    sessions = np.zeros(count, dtype=SESSION)
    account = rng.integers(config.accounts, size=count)
    at = config.start_us + (config.horizon_us * rng.random(count)).astype(np.int64)
    sessions["at"] = at - at % 1_000
    sessions["account"] = account
    sessions["contact"] = people.first_contact[account] + rng.integers(people.contacts[account])
    sessions["habit"], sessions["campaign"] = CRAWLER_ROW, -1
    sessions["topic"] = rng.integers(len(TOPICS), size=count)
    sessions["pages"] = rng.integers(200, 801, count)
    sessions = sessions[~timeline.quiet_at(account, at + HOUR_US)]
    sessions = sessions[np.argsort(sessions["at"], kind="stable")]
    return sessions, tuple(
        Crawler(people.account_ids[s["account"]], people.contact_ids[s["contact"]],
                int(s["at"]), int(s["pages"]))
        for s in sessions
    )  # fmt: skip
