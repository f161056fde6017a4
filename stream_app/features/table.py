"""The accounts of one partition in memory: one fixed-size record each, in one numpy array.

A record holds everything that is known of an account, so a step gathers the records it touches
once, and storing an account is storing its record (`packing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from stream_app.errors import Incompatible
from stream_app.events.batch import Texts
from stream_app.features.catalogue import MODEL_VECTOR, ROLLING
from stream_app.features.index import new_index
from stream_app.features.packing import FORMAT, Packed, Unreadable, pack, readable, unpack
from stream_app.features.pages import Pages

RING = 64
"""Event ids remembered per account, for de-duplication."""
CONTACT_BUCKETS = 64
SESSIONS = 4
"""Sessions remembered per account."""
TOPIC_SLOTS = 6
"""Topics followed per account; a seventh replaces the one with the least slow interest."""
NEVER = np.iinfo(np.int64).max

TOPIC_SLOT = np.dtype(
    [
        ("people_in_hour", "<u8"),  # one bit per bucket of contacts seen in the hour of `hour`
        ("people", "<u8"),  # and in that half of a day
        ("people_before", "<u8"),  # and in the half before
        ("topic", "<u4"),  # CRC-32 of the name, 0: free
        ("hour", "<u4"),  # hours since 1970 of the latest visit
        ("fast", "<f4"),  # decayed events, 1-day half-life
        ("slow", "<f4"),  # decayed events, 28-day half-life
        ("arrivals", "<f4"),  # decayed people who turned to it, 1-hour half-life
        ("visits", "<f4"),  # decayed visits, 3-hour half-life
        ("usual", "<f4"),  # decayed visits, 28-day half-life
    ]
)
"""Sums of 24 bits are wrong by one in ten million, more than interest and surprise can tell.
`arrivals` and `visits` refer to the start of the UTC day of `hour`, because they would double too
often in a period for an exponent of 8 bits; the others, like all sums, to the start of a period."""

TOPIC_HALF_LIVES_HOURS = {
    "fast": 24,
    "slow": 28 * 24,
    "arrivals": 1,
    "visits": 3,
    "usual": 28 * 24,
}
"""Of the decayed sums of a slot. Each divides what its reference moves by, so that re-basing is
exact."""

ACCOUNT = np.dtype(
    [
        # Written by `features.update` and `intent.interest`, from events.
        ("first_us", "<i8"),  # earliest event; 0: the record is new
        ("latest_us", "<i8"),  # latest event; its 28-day period is what the sums refer to
        ("engaged_us", "<i8"),  # latest event that a person caused; 0: none
        # Written by `segments.decide`, from everything else.
        ("since_us", "<i8"),  # when the current segment was entered
        ("pending_us", "<i8"),  # since when another segment is somewhat nearer; 0: it is not
        ("sampled_us", "<i8"),  # when last given to the trainer; 0: never
        # From events.
        ("values", "<f8", (len(ROLLING),)),  # decayed sums, in catalogue order
        ("topics", TOPIC_SLOT, (TOPIC_SLOTS,)),
        ("ring", "<u4", (RING,)),  # hashes of the last event ids, 0: free
        ("sessions", "<u4", (SESSIONS,)),  # hashes of the last sessions, 0: free
        ("spikes", "<u4"),  # spikes reported so far
        ("spiked_minute", "<u4"),  # when the last one was, minutes since 1970; 0: never
        # Decided.
        ("sequence", "<u4"),  # changes published so far
        ("segment", "<i4"),  # current segment, -1: none yet
        ("model", "<u4"),  # version of the snapshot of the last decision
        ("anchor", "<f4", (len(MODEL_VECTOR),)),  # model vector when the segment was entered
        ("bands", "<u1", (2,)),  # engagement, intent
        ("pending_cause", "<u1"),  # why the account was looked at then, `segments.decide.Cause`
        # From events.
        ("contacts", "<u1", (CONTACT_BUCKETS,)),  # day when last seen, `decay.days_counted`
        ("ring_next", "<u1"),  # where the next id goes
        ("session_next", "<u1"),
        ("checks", "<u1"),  # silence checks done since the latest event
        ("spare", "<u1", (6,)),  # 0
    ]
)
"""Large fields first, and a whole number of words: numpy is slow with what is not aligned."""


def layout_of(record: np.dtype[np.void], columns: Sequence[str]) -> str:
    """Fingerprint of a record: its fields, and what the columns of its arrays mean."""
    return sha256(repr((record.descr, list(columns))).encode()).hexdigest()[:16]


LAYOUT = layout_of(
    ACCOUNT,
    [FORMAT]
    + [f"{f.name}:{f.half_life_days}" for f in ROLLING]
    + [f"{name}:{hours}" for name, hours in TOPIC_HALF_LIVES_HOURS.items()]
    + [f"anchor:{d.name}" for d in MODEL_VECTOR],
)
"""Fingerprint of `ACCOUNT` and of how it is stored. State of another layout is refused, never
misread."""

_BYTES = np.dtype((np.void, ACCOUNT.itemsize))
"""A record as plain bytes. numpy copies these in one go, but records field by field."""

Rows = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


def gathered(records: Records, index: npt.NDArray[np.generic]) -> Records:
    """`records[index]`, a copy, in a sixth of the time."""
    return as_records(records.view(_BYTES)[index])


def joined(parts: Sequence[Records]) -> Records:
    """One or more arrays of records, one after the other; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    return as_records(np.concatenate([part.view(_BYTES) for part in parts]))


def as_records(raw: npt.NDArray[np.generic]) -> Records:
    """Memory as records, without a copy."""
    count = raw.nbytes // ACCOUNT.itemsize
    return np.ndarray(count, ACCOUNT, raw)  # unlike a view, without a look at all fields


def offsets_of(record: np.dtype[np.void]) -> dict[str, int]:
    """Where the fields of a record begin, in bytes."""
    fields: Any = record.fields
    return {name: field[1] for name, field in fields.items()}


class Erased(Struct, frozen=True, gc=False):
    """What remains of an account that was erased."""

    sequence: int
    """Changes published so far. With `spikes`: should the account come again, it goes on counting
    there, because ids that were published must not come a second time."""
    spikes: int
    at_us: int
    """When it was erased."""
    by: tuple[str, ...]
    """Ids of the last control events that erased it, so that one that comes twice is known."""


def digest_of(account: str) -> str:
    """What stands for the id of an account that was erased: 128 bits of its SHA-256, in hex."""
    return sha256(account.encode()).hexdigest()[:32]


def is_state(state: bytes) -> bool:
    """Whether these bytes are an account as it is stored."""
    return readable(state, ACCOUNT)


def states_of(records: Records) -> list[bytes]:
    """Records as they are stored."""
    count = len(records)
    return [state for _, state in pack(records, np.arange(count), [""] * count)]


def records_of(accounts: Sequence[str], states: Sequence[bytes]) -> Records:
    """Stored accounts as records.

    Raises
    ------
    Incompatible
        A state cannot be read. It names the account.
    """
    try:
        return unpack(states, ACCOUNT)
    except Unreadable as error:
        broken = error.position
    raise Incompatible(
        f"the state of account {accounts[broken]!r} has {len(states[broken])} bytes that no worker "
        "has written",
        hint="look at this field of the partition's hash of states in Redis: restore it from a "
        "copy, or remove it (HDEL), and the account begins anew",
    )


class FeatureTable:
    """Records by account id. Rows are the handle used everywhere; they only move when an account is
    removed, which happens between steps."""

    def __init__(self, capacity: int = 1_024, *, due_ahead: int = 4_096) -> None:
        """`due_ahead`: how many due rows a search through the whole table remembers, so that small
        portions of a large wave do not cost a search each."""
        self._pages = Pages(ACCOUNT, capacity)
        self.data: Records = self._pages.array()
        self.due_us = np.empty(capacity, np.int64)
        """When each row in use is to be checked next for the effect of time alone. Derived."""
        self._index = new_index()
        self.topic_names: dict[int, str] = {}
        """Names of all topics seen in the partition, by hash."""
        self.erased: dict[str, Erased] = {}
        """Accounts that were erased, by `digest_of` their id; some may have come again."""
        self._model_version = -1
        """Snapshot that the accounts are being checked under; -1: none was noticed yet."""
        self.unchecked_from = 0
        """Rows from here on may not have been looked at under that snapshot."""
        self._due_ahead = due_ahead
        self._due: Rows = np.empty(0, np.int64)
        """What the last search for due rows has found; some may no longer be due."""
        self._due_to_us = 0
        """It has found all that were due before this instant, and some that were due then."""

    def __len__(self) -> int:
        return len(self._index)

    @property
    def live(self) -> Records:
        """The records in use, as a view."""
        view: Records = self.data[: len(self)]
        return view

    def rows_of(self, accounts: Texts) -> Rows:
        """Rows of accounts, new ones for those not seen before."""
        rows, known = np.empty(len(accounts), np.int64), len(self)
        self._index.enter(accounts, rows)
        if len(self) > known:
            self._begin(known)
        return rows

    def find(self, accounts: Texts) -> Rows:
        """Rows of accounts, -1 for those that are unknown."""
        rows = np.empty(len(accounts), np.int64)
        self._index.find(accounts, rows)
        return rows

    def row_of(self, account: str) -> int | None:
        """Row of an account, None: it is unknown."""
        return self._index.get(account)

    def ids_of(self, rows: Rows) -> list[str]:
        """Account ids of rows."""
        return list(self._index.ids(rows))

    def all_ids(self) -> list[str]:
        """Account ids of all rows. They are many."""
        return self.ids_of(np.arange(len(self)))

    def due_before(self, until_us: int, limit: int) -> Rows:
        """Rows whose next silence check is due before an instant, longest due first."""
        rows = self._known_due(until_us)
        if len(rows) < limit:
            self._search_due(until_us, max(limit, self._due_ahead))
            rows = self._known_due(until_us)
        return rows[:limit]

    def notice_model(self, version: int) -> None:
        """From now on accounts are checked under a snapshot (0: without one). Who was decided under
        it already need not be, as after a takeover; the same one again changes nothing."""
        if version == self._model_version:
            return
        outdated = self.live["model"] != version
        self.unchecked_from = int(outdated.argmax()) if outdated.any() else len(self)
        self._model_version = version

    def take_unchecked(self, limit: int) -> Rows:
        """The next rows to look at under a new snapshot."""
        start = self.unchecked_from
        self.unchecked_from = min(start + limit, len(self))
        return np.arange(start, self.unchecked_from)

    def put(self, accounts: Sequence[str], states: Sequence[bytes]) -> Rows:
        """Insert or replace stored accounts. Raises as `records_of`, and then nothing was put."""
        records = records_of(accounts, states)
        rows = self.rows_of(accounts)
        self.store(rows, records)
        self._model_version = -1  # they may have been decided under any
        return rows

    def take(self, rows: Rows) -> Records:
        """A copy of the records of rows."""
        return gathered(self.data, rows)

    def store(self, rows: Rows, records: Records) -> None:
        """Write records, as they were taken, to their rows."""
        self.data.view(_BYTES)[rows] = records.view(_BYTES)

    def pack(self, rows: Rows) -> Packed:
        """(account id, stored form) of rows."""
        return pack(self.data, rows, self._index.ids(rows))

    def remove(self, account: str) -> None:
        """Forget an account. The last row takes its place."""
        row, last = self._index.remove(account), len(self)
        if row != last:
            self.data[row], self.due_us[row] = self.data[last], self.due_us[last]
        self.data[last], self.due_us[last] = np.zeros((), ACCOUNT), NEVER
        if row < self.unchecked_from <= last:
            self.unchecked_from = row  # the moved row has not been looked at
        self.unchecked_from = min(self.unchecked_from, last)
        self._due = self._due[:0]  # its rows may be others' now

    def _known_due(self, until_us: int) -> Rows:
        due_us = self.due_us[self._due]
        order = np.argsort(due_us, kind="stable")
        self._due = self._due[order[: np.count_nonzero(due_us <= self._due_to_us)]]
        return self._due[self.due_us[self._due] < until_us]

    def _search_due(self, until_us: int, limit: int) -> None:
        due_us = self.due_us[: len(self)]
        rows = np.flatnonzero(due_us < until_us)
        self._due_to_us = until_us - 1
        if len(rows) > limit:
            rows = rows[np.argpartition(due_us[rows], limit - 1)[:limit]]
            self._due_to_us = int(due_us[rows].max())
        self._due = rows

    def _begin(self, first: int) -> None:
        """Records of the accounts from row `first` on, which are new."""
        if len(self) > len(self.data):
            self._grow(len(self))
        self.data["segment"][first : len(self)] = -1
        self.due_us[first : len(self)] = NEVER
        if not self.erased:
            return
        for row in range(first, len(self)):
            if past := self.erased.get(digest_of(self._index.id_of(row))):
                record = self.data[row]
                record["sequence"], record["spikes"] = past.sequence, past.spikes

    def _grow(self, least: int) -> None:
        capacity = max(len(self.data) + max(1_024, len(self.data) // 2), least)
        del self.data  # else its pages could not move
        self._pages.grow(capacity)
        self.data = self._pages.array()
        due_us = np.empty(capacity, np.int64)  # what is not in use yet is not touched either
        due_us[: len(self.due_us)] = self.due_us
        self.due_us = due_us
