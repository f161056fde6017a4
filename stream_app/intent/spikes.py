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

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from stream_app.events.batch import NO_CONTACT, EventBatch, Kind
from stream_app.events.instants import DAY, HOUR, MINUTE
from stream_app.features import decay
from stream_app.features.table import TOPIC_HALF_LIVES_HOURS, Records
from stream_app.settings import SpikeSettings

Floats = npt.NDArray[np.float64]

HALF_DAY_HOURS = 12

_SUMS = ("arrivals", "visits", "usual")
_HALF_LIVES_US = np.array([TOPIC_HALF_LIVES_HOURS[name] for name in _SUMS], np.float64) * HOUR
_LIFETIMES_DAYS = _HALF_LIVES_US / DAY / log(2)
"""Mean lifetimes: under a rate of r a day, a sum settles at r times this."""
_TELLING = np.array([Kind.VISIT <= kind <= Kind.DOWNLOAD_DECISION for kind in Kind])
"""Kinds that somebody does of their own accord. What people do with a mail that we sent says little
about what they would have looked for."""


@dataclass(frozen=True, slots=True)
class Spike:
    """Unusual interest of one account in one topic."""

    position: int
    """Position of the account in the records that were given."""
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
    telling: npt.NDArray[np.bool_] = _TELLING[batch.kind[index]]
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
    growth = decay.growth(at_us, records["period"][chosen], _HALF_LIVES_US)
    slots["arrivals"] += np.where(arrival, growth[:, 0], 0.0)
    slots["visits"] += np.where(visit, growth[:, 1], 0.0)
    slots["usual"] += np.where(visit, growth[:, 2], 0.0)
    records["topics"][chosen, slot] = slots
    return slots


def find_spikes(
    records: Records,
    chosen: npt.NDArray[np.int64],
    slots: npt.NDArray[np.void],
    at_us: decay.Times,
    settings: SpikeSettings,
) -> Iterator[Spike]:
    """Spikes on the topics of `slots`, which `note_visits` has returned; each is noted."""
    people = _people(slots["people"] | slots["people_before"])
    latest = records["latest_us"][chosen]
    minute = at_us // MINUTE
    spiked = records["spiked_minute"][chosen].astype(np.int64)
    rested = minute - spiked >= settings.cooldown_hours * (HOUR // MINUTE)
    possible = (
        (people >= settings.min_contacts)
        & ((spiked == 0) | rested)
        & (at_us == latest)  # a late event is no news
    )
    if not possible.any():
        return
    fading = decay.fading(latest, records["period"][chosen], _HALF_LIVES_US)
    arrivals, visits, usual = (slots[name] * fading[:, i] for i, name in enumerate(_SUMS))
    others = records["topics"]["usual"][chosen].sum(axis=1) * fading[:, 2] - usual
    known_days = (latest - records["first_us"][chosen]) / DAY
    # Each visit weighs at least as much in `usual`: what is left is from before.
    rate = _rate(usual - visits, others, known_days, settings)
    expected = rate * _LIFETIMES_DAYS[1]
    surprise = np.maximum(
        _deviance(arrivals, rate * _LIFETIMES_DAYS[0]),
        _deviance(visits, expected) / settings.visit_dispersion,
    )
    for i in (possible & (surprise >= settings.min_surprise)).nonzero()[0].tolist():
        position = int(chosen[i])
        records["spikes"][position] += 1
        records["spiked_minute"][position] = minute[i]
        yield Spike(
            position=position,
            number=int(records["spikes"][position]),
            topic=int(slots["topic"][i]),
            visits=float(visits[i]),
            expected=float(expected[i]),
            surprise=float(surprise[i]),
            people=int(people[i]),
        )


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


def _people(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Distinct contacts by set bits of 64: linear counting, rounded."""
    free = np.maximum(64.0 - np.bitwise_count(bits), 0.5)
    return np.rint(-64.0 * np.log(free / 64.0)).astype(np.int64)
