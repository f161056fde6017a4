"""Applying events to account records, for any number of different accounts at once.

Every function takes a gathered copy of n records of n different accounts and changes it in place;
the columns that belong to the events have n entries too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_app.events.batch import NO_CONTACT, EventBatch, Kind
from stream_app.events.instants import DAY
from stream_app.features import decay
from stream_app.features.catalogue import HALF_LIVES_DAYS, ROLLING
from stream_app.features.table import RING, SESSIONS, TOPIC_HALF_LIVES_HOURS, Records
from stream_app.settings import ScoreSettings

Bools = npt.NDArray[np.bool_]

HALF_LIFE_OF = np.array([HALF_LIVES_DAYS.index(f.half_life_days) for f in ROLLING])
DWELL = np.array([i for i, f in enumerate(ROLLING) if f.source == "dwell"])
SESSION = np.array([i for i, f in enumerate(ROLLING) if f.source == "session"])
FIRST_OF_DAY = np.array([i for i, f in enumerate(ROLLING) if f.source == "day"])
_PASSIVE = int(Kind.PASSIVE)  # to look up a member of an enumeration costs as much as an operation


class Weights:
    """(kinds, features) amounts that one event of a kind adds to each rolling feature."""

    def __init__(self, settings: ScoreSettings) -> None:
        points = {"engagement": settings.engagement_points, "intent": settings.intent_points}
        self.matrix = np.zeros((len(Kind), len(ROLLING)))
        for j, feature in enumerate(ROLLING):
            weights: Any = points.get(feature.source, feature.weights)
            for kind in Kind:
                self.matrix[kind, j] = weights.get(
                    kind.name.lower() if feature.source in points else kind, 0.0
                )


def is_duplicate(records: Records, id_hash: npt.NDArray[np.uint32]) -> Bools:
    """Which events are among the last 64 of their account."""
    hit: Bools = (records["ring"] == id_hash[:, None]).any(axis=1)
    return hit


def advance(records: Records, at_us: decay.Times) -> None:
    """Move each record's latest event time, and the reference of its decayed sums with it."""
    new = records["first_us"] == 0
    records["first_us"] = np.where(new, at_us, np.minimum(records["first_us"], at_us))
    silent = at_us > records["latest_us"]
    records["checks"][silent | new] = 0
    latest = np.where(new, at_us, np.maximum(records["latest_us"], at_us))
    periods = decay.period_of(latest) - decay.period_of(records["latest_us"])
    records["latest_us"] = latest
    moved = (~new & (periods > 0)).nonzero()[0]
    if len(moved):
        _rebase(records, moved, periods[moved])


def _rebase(records: Records, moved: npt.NDArray[np.int64], periods: npt.NDArray[np.int64]) -> None:
    """Let the sums and days of some records refer to what lies so many periods later."""
    exponents = -decay.halvings(periods)
    records["values"][moved] = np.ldexp(records["values"][moved], exponents[:, HALF_LIFE_OF])
    slots = records["topics"]
    for name in ("fast", "slow", "usual"):
        halvings = periods * (decay.PERIOD_DAYS * 24 // TOPIC_HALF_LIVES_HOURS[name])
        exponent = -halvings.astype(np.int32)[:, None]
        slots[name][moved] = np.ldexp(slots[name][moved], exponent)
    day = records["contacts"][moved]
    days = np.minimum(periods * decay.PERIOD_DAYS, np.iinfo(day.dtype).max).astype(day.dtype)
    records["contacts"][moved] = day - np.minimum(day, days[:, None])


def add(
    records: Records, batch: EventBatch, index: npt.NDArray[np.int64], weights: Weights
) -> None:
    """Apply events `index` of `batch` to their records: ids, sums, sessions and contacts.

    `advance` must have been called for the same events.
    """
    n = np.arange(len(index))
    at_us, kind = batch.at_us[index], batch.kind[index]
    engaged = kind != _PASSIVE

    position = records["ring_next"]
    records["ring"][n, position] = batch.id_hash[index]
    records["ring_next"] = (position + 1) % RING

    added = weights.matrix[kind]
    added[:, DWELL] = batch.dwell_minutes[index, None]
    added[:, SESSION] = _new_session(records, batch.session_hash[index])[:, None]
    # A late event of an earlier day adds none: whether that day was active is not known any more.
    added[:, FIRST_OF_DAY] = (engaged & (at_us // DAY > records["engaged_us"] // DAY))[:, None]
    growth = decay.growth(at_us, decay.period_of(records["latest_us"]))
    records["values"] += added * growth.take(HALF_LIFE_OF, axis=1)

    records["engaged_us"] = np.where(
        engaged, np.maximum(records["engaged_us"], at_us), records["engaged_us"]
    )
    contact = batch.contact[index]
    seen = (contact != NO_CONTACT).nonzero()[0]
    if len(seen):
        bucket = contact[seen]
        counted = decay.days_counted(at_us[seen], records["latest_us"][seen])
        day = np.maximum(counted, 0).astype(np.uint8)
        records["contacts"][seen, bucket] = np.maximum(records["contacts"][seen, bucket], day)


def forget_contact(record: np.void, bucket: int) -> None:
    """Remove the traces of a contact (`Columns.person`) from one account. Another contact that
    shares them is no longer counted either, until it is active again."""
    record["contacts"][bucket] = 0
    for seen in ("people_in_hour", "people", "people_before"):
        record["topics"][seen] &= ~(np.uint64(1) << np.uint64(bucket))


def _new_session(records: Records, session: npt.NDArray[np.uint32]) -> Bools:
    """Which events open a session that is not among the last four, and remember it."""
    new: Bools = (session != 0) & ~(records["sessions"] == session[:, None]).any(axis=1)
    opened = new.nonzero()[0]
    if len(opened):
        position = records["session_next"][opened]
        records["sessions"][opened, position] = session[opened]
        records["session_next"][opened] = (position + 1) % SESSIONS
    return new
