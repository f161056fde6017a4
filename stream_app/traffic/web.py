"""Website sessions of a day, and the visits and downloads that they consist of."""

import numpy as np

from stream_app.traffic.behaviours import Floats, HabitTable, Ints, pick
from stream_app.traffic.columns import DOWNLOAD, SESSION, VISIT, Events, Sessions, blank
from stream_app.traffic.content import (
    REFERRER_CDF,
    REFERRERS,
    TOPICS,
    asset_index,
    page_index,
)
from stream_app.traffic.population import Population
from stream_app.traffic.rhythm import BIN_US, DayRhythm
from stream_app.traffic.timeline import Timeline

_DWELL_MEDIAN = np.array([14.0, 40.0, 48.0, 75.0, 65.0, 60.0, 30.0, 22.0])
"""Seconds on a page, per category."""
_DWELL_SIGMA = 0.8
_DWELL_MAX = 1_800.0
_MAX_PAGES = 60


def choose_contact(
    rng: np.random.Generator, people: Population, account: Ints, few: Floats
) -> Ints:
    """One contact per account; `few` above 1 prefers the first contacts."""
    share = rng.random(len(account)) ** few
    chosen: Ints = people.first_contact[account] + (share * people.contacts[account]).astype(int)
    return chosen


def choose_topic(
    rng: np.random.Generator, people: Population, account: Ints, focus: Floats
) -> Ints:
    """The account's first topic with probability `focus`, else mostly its other two."""
    u = rng.random(len(account))
    rest = 1 - focus
    rank = (u >= focus).astype(int) + (u >= focus + 0.5 * rest)
    anything = u >= focus + 0.8 * rest
    topic: Ints = np.where(
        anything, rng.integers(len(TOPICS), size=len(u)), people.topics[account, rank]
    )
    return topic


def habitual_sessions(
    rng: np.random.Generator,
    people: Population,
    timeline: Timeline,
    habits: HabitTable,
    day: DayRhythm,
    activity: float,
) -> Sessions:
    """Sessions that accounts have by habit on one day.

    Numbers are Poisson around the account's rate for that day, which itself varies from day
    to day (gamma, shape 4: people have busy days), so counts are overdispersed as in life.
    """
    end_us = day.start_us + len(day.cdf[0]) * BIN_US
    period = timeline.overlapping(day.start_us, end_us)
    account, row = timeline.account[period], timeline.row[period]
    rate = activity * habits.sessions[row] * people.pace[account] * day.total[people.zone[account]]
    count = rng.poisson(rate * rng.gamma(4.0, 0.25, len(rate)))
    period, account, row = (np.repeat(c, count) for c in (period, account, row))
    half_hour = pick(day.cdf[people.zone[account]], rng.random(len(account)))
    at = day.start_us + half_hour * BIN_US + rng.integers(BIN_US, size=len(account))
    sessions = np.zeros(len(account), dtype=SESSION)
    sessions["at"], sessions["account"], sessions["habit"] = at, account, row
    sessions["contact"] = choose_contact(rng, people, account, habits.few[row])
    sessions["topic"] = choose_topic(rng, people, account, habits.focus[row])
    sessions["referrer"] = np.searchsorted(
        REFERRER_CDF[:-1], rng.random(len(account)), side="right"
    )
    sessions["campaign"] = -1
    return sessions[(at >= timeline.start_us[period]) & (at < timeline.end_us[period])]


def expand(
    rng: np.random.Generator, habits: HabitTable, sessions: Sessions, first_session: int
) -> Events:
    """The visits and downloads of each session; sessions are numbered from `first_session`."""
    habit = sessions["habit"]
    drawn = 1 + rng.poisson(habits.pages[habit] - 1)
    pages = np.where(sessions["pages"] > 0, sessions["pages"], np.minimum(drawn, _MAX_PAGES))
    which = np.repeat(np.arange(len(sessions)), pages)
    row, n = habit[which], int(pages.sum())
    first = np.cumsum(pages) - pages

    category = pick(habits.page_cdf[row], rng.random(n))
    strays = rng.random(n) >= habits.stick[row]
    topic = np.where(strays, rng.integers(len(TOPICS), size=n), sessions["topic"][which])
    page = page_index(category, topic, rng.random(n))
    dwell = np.exp(rng.normal(0.0, _DWELL_SIGMA, n)) * _DWELL_MEDIAN[category] * habits.dwell[row]
    dwell = np.minimum(dwell, _DWELL_MAX).round(1)
    before = np.cumsum(dwell) - dwell
    before -= before[first][which] if n else 0.0

    visits = blank(n)
    visits["stream"] = VISIT
    visits["at"] = sessions["at"][which] + (before * 1e6).astype(np.int64)
    visits["account"], visits["contact"] = sessions["account"][which], sessions["contact"][which]
    visits["session"] = first_session + which
    visits["content"], visits["dwell"] = page, dwell
    visits["campaign"] = sessions["campaign"][which]
    visits["referrer"][1:] = len(REFERRERS) + page[:-1]
    visits["referrer"][first] = sessions["referrer"]

    last = first + pages - 1
    ended = visits["at"][last] + (dwell[last] * 1e6).astype(np.int64)
    return np.concatenate([visits, _downloads(rng, habits, sessions, ended)])


def _downloads(
    rng: np.random.Generator, habits: HabitTable, sessions: Sessions, ended_us: Ints
) -> Events:
    """A download at the end of some sessions, on the session's topic."""
    takes = np.flatnonzero(rng.random(len(sessions)) < habits.downloads[sessions["habit"]])
    chosen = sessions[takes]
    stage = pick(habits.stage_cdf[chosen["habit"]], rng.random(len(chosen)))
    events = blank(len(chosen))
    events["stream"] = DOWNLOAD
    events["at"] = ended_us[takes]
    events["account"], events["contact"] = chosen["account"], chosen["contact"]
    events["content"] = asset_index(stage, chosen["topic"], rng.random(len(chosen)))
    return events
