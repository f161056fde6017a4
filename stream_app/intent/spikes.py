"""Spikes: more people, or more of their visits, on a topic than the account's own habit explains.

Pages come in sessions, so pages are not counted. A **visit** is one person on the topic within one
clock hour, however many pages. An **arrival** is the visit of a person who was not on the topic
before, in this half of the day or the one before. Two sums say what goes on: arrivals with a
half-life of one hour (several people start together) and visits with one of three hours (they
stay with it). Each is compared with the account's usual rate of visits to the topic, by the Poisson
deviance n ln(n / m) - (n - m), in nats, of n where m are expected. A visit often brings the
next one of the same person, so the deviance of visits is divided by their dispersion, as in
quasi-Poisson models (McCullagh, Nelder, "Generalized Linear Models", 2nd ed. 1989, chapter 6.2).
The greater of the two is the surprise.

The usual rate is the visits of about a month, without those that are being judged, over the time
that the account has been known, and a week of a small rate that is taken for granted (the mean of a
gamma prior): so an account that is new needs more evidence than one whose silence is well known.
What is granted grows with the account's visits to its other topics, because people who come every
day also turn, now and then, to what they never looked at.

All of it says "unusual interest", never "will buy".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_app.events.batch import NO_CONTACT, EventBatch, Kind
from stream_app.events.instants import DAY, HOUR, MINUTE
from stream_app.features import decay
from stream_app.features.table import (
    TOPIC_HALF_LIVES_HOURS,
    TOPIC_SLOTS,
    FeatureTable,
    Records,
)
from stream_app.settings import SpikeSettings

Floats = npt.NDArray[np.float64]

_Int64 = npt.NDArray[np.int64] | np.int64

HALF_DAY_HOURS = 12

PEOPLE = np.rint(-64.0 * np.log(np.maximum(64.0 - np.arange(65), 0.5) / 64.0)).astype(np.int64)
"""Distinct contacts by set bits of 64: linear counting, rounded."""

_BRIEF = ("arrivals", "visits")
"""Sums that refer to the start of the UTC day of the topic's latest visit."""
_HALF_LIVES_US = (
    np.array([TOPIC_HALF_LIVES_HOURS[name] for name in (*_BRIEF, "usual")], np.float64) * HOUR
)
BRIEF_US, MONTH_US = _HALF_LIVES_US[:2], _HALF_LIVES_US[2:]
"""Half-lives of the brief sums, and of what is usual."""
_LIFETIMES_DAYS = _HALF_LIVES_US / DAY / log(2)
"""Mean lifetimes: under a rate of r a day, a sum settles at r times this."""
TELLING = np.array([Kind.VISIT <= kind <= Kind.DOWNLOAD_DECISION for kind in Kind])
"""Kinds that somebody does of their own accord. What people do with a mail that we sent says little
about what they would have looked for."""


CANDIDATE = np.dtype(
    [
        ("point", "<i8"),  # which point of the batch
        ("row", "<i8"),  # of its account
        ("at_us", "<i8"),  # instant, the account's latest
        ("first_us", "<i8"),  # the account's first event
        ("topic", "<u4"),
        ("slot", "<u4"),  # of the topic
        ("people", "<u8"),  # one bit per bucket of contacts
        ("arrivals", "<f8"),  # decayed sums, as in the table
        ("visits", "<f8"),
        ("usual", "<f8", (TOPIC_SLOTS,)),  # of all topics of the account
    ]
)
"""What may be a spike: enough people, at the account's latest event, and no spike just before the
batch. Whether it is surprising takes logarithms, which are computed for all of them at once."""

Candidates = npt.NDArray[np.void]
NO_CANDIDATES: Candidates = np.empty(0, CANDIDATE)


@dataclass(frozen=True, slots=True)
class Spike:
    """Unusual interest of one account in one topic."""

    point: int
    """At which point of the batch."""
    row: int
    number: int
    """Counts the account's spikes from 1."""
    topic: int
    """Hash of the topic."""
    visits: float
    """Decayed number of visits, 3-hour half-life."""
    expected: float
    """Of these, what the account's habit explains in working hours."""
    surprise: float
    """Nats."""
    people: int
    """Distinct contacts on the topic within the last 12 to 24 hours (estimate)."""


def counts_for_spikes(
    batch: EventBatch, index: npt.NDArray[np.int64], settings: SpikeSettings
) -> npt.NDArray[np.bool_]:
    """Which events are evidence: visits and downloads of a known contact, without those that a
    campaign led to."""
    telling: npt.NDArray[np.bool_] = TELLING[batch.kind[index]]
    telling &= batch.contact[index] != NO_CONTACT
    if not settings.campaign_visits:
        telling &= ~batch.prompted[index]
    return telling


def note_visits(
    records: Records,
    chosen: npt.NDArray[np.int64],
    slot: npt.NDArray[np.int64],
    at_us: decay.Times,
    contact: npt.NDArray[np.uint8],
) -> npt.NDArray[np.void]:
    """Count what is a visit or an arrival; returns copies of the slots.

    An event that comes late, in an hour before the topic's latest, counts as an arrival if its
    person was not seen in either half of the day, and not otherwise. One that is older than both is
    not counted: nothing is known any more of who was there.
    """
    slots: npt.NDArray[np.void] = records["topics"][chosen, slot]
    bit = np.uint64(1) << contact.astype(np.uint64)
    hour, last = at_us // HOUR, slots["hour"].astype(np.int64)
    half, last_half = hour // HALF_DAY_HOURS, last // HALF_DAY_HOURS
    newer = half > last_half
    none = np.uint64(0)
    before = np.where(
        newer, np.where(half == last_half + 1, slots["people"], none), slots["people_before"]
    )
    people = np.where(newer, none, slots["people"])
    in_hour = np.where(hour > last, none, slots["people_in_hour"])

    arrival = ((people | before) & bit == 0) & (half >= last_half - 1)
    visit = arrival | (hour > last) | ((hour == last) & (in_hour & bit == 0))

    current = half >= last_half
    slots["people"] = np.where(current, people | bit, people)
    slots["people_before"] = np.where(half == last_half - 1, before | bit, before)
    slots["people_in_hour"] = np.where(hour >= last, in_hour | bit, in_hour)
    slots["hour"] = np.maximum(hour, last)
    day, last_day = np.maximum(hour, last) // 24, last // 24
    for name in _BRIEF:
        halvings = (day - last_day) * (24 // TOPIC_HALF_LIVES_HOURS[name])
        slots[name] = np.ldexp(slots[name], -halvings.astype(np.int32))
    brief = decay.growth(at_us, day, BRIEF_US, DAY)
    month = decay.growth(at_us, decay.period_of(records["latest_us"][chosen]), MONTH_US)
    slots["arrivals"] += np.where(arrival, brief[:, 0], 0.0)
    slots["visits"] += np.where(visit, brief[:, 1], 0.0)
    slots["usual"] += np.where(visit, month[:, 0], 0.0)
    records["topics"][chosen, slot] = slots
    return slots


def candidates(
    records: Records,
    chosen: npt.NDArray[np.int64],
    slots: npt.NDArray[np.void],
    at_us: decay.Times,
    settings: SpikeSettings,
) -> Candidates:
    """What may be a spike on the topics of `slots`, which `note_visits` has returned. The point is
    the position in the records."""
    everybody = slots["people"] | slots["people_before"]
    possible = (
        (PEOPLE[np.bitwise_count(everybody)] >= settings.min_contacts)
        & _rested(at_us, records["spiked_minute"][chosen].astype(np.int64), settings)
        & (at_us == records["latest_us"][chosen])  # a late event is no news
    ).nonzero()[0]
    found = np.empty(len(possible), CANDIDATE)
    if not len(possible):
        return found
    mine, slots = chosen[possible], slots[possible]
    topics = records["topics"][mine]
    found["point"], found["row"] = mine, -1
    found["at_us"], found["people"] = at_us[possible], everybody[possible]
    found["first_us"] = records["first_us"][mine]
    found["slot"] = (topics["topic"] == slots["topic"][:, None]).argmax(axis=1)
    for name in ("topic", "arrivals", "visits"):
        found[name] = slots[name]
    found["usual"] = topics["usual"]
    return found


def find_spikes(found: Candidates, table: FeatureTable, settings: SpikeSettings) -> list[Spike]:
    """Which candidates are spikes, in their order; each is noted in its account's record."""
    if not len(found):
        return []
    at_us = found["at_us"]
    # An account's latest event is the latest visit to its topic: the sums refer to its day.
    brief = decay.fading(at_us, at_us // DAY, BRIEF_US, DAY)
    month = decay.fading(at_us, decay.period_of(at_us), MONTH_US)[:, 0]
    own = found["usual"][np.arange(len(found)), found["slot"]]
    arrivals, visits = found["arrivals"] * brief[:, 0], found["visits"] * brief[:, 1]
    usual = own * month
    total = found["usual"][:, 0].astype(np.float64)
    for i in range(1, TOPIC_SLOTS):
        total += found["usual"][:, i]
    others = total * month - usual
    known_days = (at_us - found["first_us"]) / DAY
    # Each visit weighs at least as much in `usual`: what is left is from before.
    rate = _rate(usual - visits, others, known_days, settings)
    expected = rate * _LIFETIMES_DAYS[1]
    surprise = np.maximum(
        _deviance(arrivals, rate * _LIFETIMES_DAYS[0]),
        _deviance(visits, expected) / settings.visit_dispersion,
    )
    spikes = []
    for i in (surprise >= settings.min_surprise).nonzero()[0].tolist():
        row, record = int(found["row"][i]), table.data[found["row"][i]]
        if not _rested(at_us[i], np.int64(record["spiked_minute"]), settings):
            continue  # there was one in the same batch
        record["spikes"] += 1
        record["spiked_minute"] = at_us[i] // MINUTE
        spikes.append(
            Spike(
                point=int(found["point"][i]),
                row=row,
                number=int(record["spikes"]),
                topic=int(found["topic"][i]),
                visits=float(visits[i]),
                expected=float(expected[i]),
                surprise=float(surprise[i]),
                people=int(PEOPLE[found["people"][i].bit_count()]),
            )
        )
    return spikes


def _rested(at_us: _Int64, spiked_minute: _Int64, settings: SpikeSettings) -> Any:
    """Whether the last spike, if there was one, is long enough ago."""
    rested = at_us // MINUTE - spiked_minute >= settings.cooldown_hours * (HOUR // MINUTE)
    return (spiked_minute == 0) | rested


def _rate(before: Floats, others: Floats, known_days: Floats, settings: SpikeSettings) -> Floats:
    """Visits a day that are usual in working hours, by the month's sums of a topic and of all
    others."""
    # After T days a sum has reached 1 - 2^(-T / half-life) of its level.
    weight = _LIFETIMES_DAYS[2] * (1.0 - np.exp2(-known_days * DAY / _HALF_LIVES_US[2]))
    days = weight + settings.prior_days
    granted = settings.prior_visits + settings.prior_share * np.maximum(others, 0.0) / days
    visits = np.maximum(before, 0.0) + granted * settings.prior_days
    rate: Floats = settings.working_hours * visits / days
    return rate


def _deviance(n: Floats, expected: Floats) -> Floats:
    """Of n above what is expected; 0 below it.

    >>> _deviance(np.array([6.0, 1.0]), np.array([2.0, 2.0])).round(2).tolist()
    [2.59, 0.0]
    """
    excess = np.maximum(n / expected, 1.0)
    deviance: Floats = np.where(excess > 1.0, n * np.log(excess) - (n - expected), 0.0)
    return deviance
