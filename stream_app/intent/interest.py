"""Interest per topic, fast and slow, and the detection of unusual interest.

A spike is fast interest that the account's own slow baseline does not explain: the Poisson deviance
n ln(n / expected) - (n - expected), in nats, of the decayed number of events n. It says "unusual
interest", not "will buy".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from stream_app.events.batch import TOPICS_PER_EVENT, EventBatch
from stream_app.events.instants import DAY, HOUR, MINUTE
from stream_app.features import decay
from stream_app.features.table import TOPIC_SLOT, Records
from stream_app.settings import SpikeSettings

_FAST, _SLOW = 0, 2  # columns of `decay.growth`: half-lives of 1 and 28 days
_FAST_DAYS, _SLOW_DAYS = 1 / log(2), 28 / log(2)  # mean lifetimes


@dataclass(frozen=True, slots=True)
class Spike:
    """Unusual interest of one account in one topic."""

    position: int
    """Position of the account in the records that were given."""
    number: int
    """Counts the account's spikes from 1."""
    topic: int
    """Hash of the topic."""
    events: float
    """Decayed number of events, 1-day half-life."""
    expected: float
    """What the account's baseline explains."""
    surprise: float
    """Deviance in nats."""
    people: int
    """Distinct contacts on the topic, today and yesterday (estimate)."""


def add_interest(
    records: Records, batch: EventBatch, index: npt.NDArray[np.int64], settings: SpikeSettings
) -> Iterator[Spike]:
    """Add the topics of events `index` to their records; yields the spikes they complete.

    Records and columns as in `features.update`, whose functions must have been called before.
    """
    topics = batch.topics[index]
    for j in range(TOPICS_PER_EVENT):
        chosen = topics[:, j].nonzero()[0]
        if not len(chosen):
            return
        at_us = batch.at_us[index[chosen]]
        slot = _slot_of(records, chosen, topics[chosen, j])
        slots = _count(records, chosen, slot, at_us, batch.contact_bit[index[chosen]])
        yield from _spikes(records, chosen, slot, slots, at_us, settings)


def _slot_of(
    records: Records, chosen: npt.NDArray[np.int64], topic: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """Slot of each topic; where it has none, the slot with the least slow interest is emptied."""
    slots = records["topics"]
    match = slots["topic"][chosen] == topic[:, None]
    slot: npt.NDArray[np.int64] = match.argmax(axis=1)
    fresh = (~match.any(axis=1)).nonzero()[0]
    if len(fresh):
        slot[fresh] = slots["slow"][chosen[fresh]].argmin(axis=1)
        empty = np.zeros(len(fresh), TOPIC_SLOT)
        empty["topic"] = topic[fresh]
        slots[chosen[fresh], slot[fresh]] = empty
    return slot


def _count(
    records: Records,
    chosen: npt.NDArray[np.int64],
    slot: npt.NDArray[np.int64],
    at_us: decay.Times,
    bit: npt.NDArray[np.uint32],
) -> npt.NDArray[np.void]:
    """Add an event to each slot; returns copies of the slots."""
    slots: npt.NDArray[np.void] = records["topics"][chosen, slot]
    growth = decay.growth(at_us, records["period"][chosen])
    slots["fast"] += growth[:, _FAST]
    slots["slow"] += growth[:, _SLOW]
    day, last = at_us // DAY, slots["day"].astype(np.int64)
    newer = day > last
    slots["yesterday"] = np.where(
        newer,
        np.where(day == last + 1, slots["today"], 0),
        np.where(day == last - 1, slots["yesterday"] | bit, slots["yesterday"]),
    )
    slots["today"] = np.where(
        newer, bit, np.where(day == last, slots["today"] | bit, slots["today"])
    )
    slots["day"] = np.maximum(day, last)
    records["topics"][chosen, slot] = slots
    return slots


def _spikes(
    records: Records,
    chosen: npt.NDArray[np.int64],
    slot: npt.NDArray[np.int64],
    slots: npt.NDArray[np.void],
    at_us: decay.Times,
    settings: SpikeSettings,
) -> Iterator[Spike]:
    latest = records["latest_us"][chosen]
    fading = decay.fading(latest, records["period"][chosen])
    events = slots["fast"] * fading[:, _FAST]
    known_days = (latest - records["first_us"][chosen]) / DAY
    enough = (events >= settings.min_events) & (known_days >= settings.min_history_days)
    if not enough.any():
        return
    # The slow sum of an account known for T days has reached 1 - 2^(-T/28) of its level.
    reached = np.maximum(1.0 - np.exp2(-known_days / 28.0), 1e-3)
    rate = np.maximum(
        slots["slow"] * fading[:, _SLOW] / _SLOW_DAYS / reached, settings.baseline_floor
    )
    expected = rate * _FAST_DAYS
    excess = np.maximum(events / expected, 1.0)  # a late event may have faded to exactly 0
    surprise = np.where(excess > 1.0, events * np.log(excess) - (events - expected), 0.0)
    people = _people(slots["today"] | slots["yesterday"])
    minute = at_us // MINUTE
    rested = (slots["spiked_minute"] == 0) | (
        minute - slots["spiked_minute"] >= settings.cooldown_hours * (HOUR // MINUTE)
    )
    spiking = (
        enough
        & (surprise >= settings.min_surprise)
        & (people >= settings.min_contacts)
        & rested
        & (at_us == latest)  # a late event is no news
    )
    for i in spiking.nonzero()[0].tolist():
        position = int(chosen[i])
        records["spikes"][position] += 1
        records["topics"]["spiked_minute"][position, slot[i]] = minute[i]
        yield Spike(
            position=position,
            number=int(records["spikes"][position]),
            topic=int(slots["topic"][i]),
            events=float(events[i]),
            expected=float(expected[i]),
            surprise=float(surprise[i]),
            people=int(people[i]),
        )


def _people(bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Distinct contacts by set bits of 32: linear counting, rounded."""
    used = np.bitwise_count(bits)
    free = np.maximum(32.0 - used, 0.5)
    return np.rint(-32.0 * np.log(free / 32.0)).astype(np.int64)
