"""The accounts of one partition in memory: one fixed-size record each, in one numpy array.

A record holds everything that is known of an account, so a step gathers the records it touches
once, and storing an account is storing the record's bytes as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from stream_app.errors import Incompatible
from stream_app.features.catalogue import MODEL_VECTOR, ROLLING
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
        ("topic", "<u4"),  # CRC-32 of the name, 0: free
        ("fast", "<f8"),  # decayed events, 1-day half-life
        ("slow", "<f8"),  # decayed events, 28-day half-life
        ("arrivals", "<f8"),  # decayed people who turned to it, 1-hour half-life
        ("visits", "<f8"),  # decayed visits, 3-hour half-life
        ("usual", "<f8"),  # decayed visits, 28-day half-life
        ("hour", "<u4"),  # hours since 1970 of the latest visit
        ("people_in_hour", "<u8"),  # one bit per bucket of contacts seen in that hour
        ("people", "<u8"),  # and in that half of a day
        ("people_before", "<u8"),  # and in the half before
    ]
)

TOPIC_HALF_LIVES_HOURS = {
    "fast": 24,
    "slow": 28 * 24,
    "arrivals": 1,
    "visits": 3,
    "usual": 28 * 24,
}
"""Of the decayed sums of a slot. Each divides `decay.PERIOD_DAYS`, so that re-basing is exact."""

ACCOUNT = np.dtype(
    [
        # Written by `features.update` and `intent.interest`, from events.
        ("period", "<i8"),  # 28-day period that the decayed sums refer to
        ("first_us", "<i8"),  # earliest event; 0: the record is new
        ("latest_us", "<i8"),  # latest event
        ("engaged_us", "<i8"),  # latest event that a person caused; 0: none
        ("values", "<f8", (len(ROLLING),)),  # decayed sums, in catalogue order
        ("ring", "<u4", (RING,)),  # hashes of the last event ids, 0: free
        ("ring_next", "<u1"),  # where the next one goes
        ("contacts", "<u2", (CONTACT_BUCKETS,)),  # UTC day when last seen, 0: never
        ("sessions", "<u4", (SESSIONS,)),  # hashes of the last sessions, 0: free
        ("session_next", "<u1"),
        ("topics", TOPIC_SLOT, (TOPIC_SLOTS,)),
        ("checks", "<u2"),  # silence checks done since the latest event
        ("spikes", "<u4"),  # spikes reported so far
        ("spiked_minute", "<u4"),  # when the last one was, minutes since 1970; 0: never
        # Written by `segments.decide`, from the above.
        ("sequence", "<u4"),  # changes published so far
        ("segment", "<i4"),  # current segment, -1: none yet
        ("since_us", "<i8"),  # when it was entered
        ("model", "<u4"),  # version of the snapshot of the last decision
        ("bands", "<u1", (2,)),  # engagement, intent
        ("pending_us", "<i8"),  # since when another segment is somewhat nearer; 0: it is not
        ("pending_cause", "<u1"),  # why the account was looked at then, `segments.decide.Cause`
        ("sampled_us", "<i8"),  # when last given to the trainer; 0: never
        ("anchor", "<f4", (len(MODEL_VECTOR),)),  # model vector when the segment was entered
    ]
)


def layout_of(record: np.dtype[np.void], columns: Sequence[str]) -> str:
    """Fingerprint of a record: its fields, and what the columns of its arrays mean."""
    return sha256(repr((record.descr, list(columns))).encode()).hexdigest()[:16]


LAYOUT = layout_of(
    ACCOUNT,
    [f"{f.name}:{f.half_life_days}" for f in ROLLING]
    + [f"{name}:{hours}" for name, hours in TOPIC_HALF_LIVES_HOURS.items()]
    + [f"anchor:{d.name}" for d in MODEL_VECTOR],
)
"""Fingerprint of `ACCOUNT`. State of another layout is refused, never misread."""

_BYTES = np.dtype((np.void, ACCOUNT.itemsize))
"""A record as plain bytes. numpy copies these in one go, but records field by field."""

Rows = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


def gathered(records: Records, index: npt.NDArray[np.generic]) -> Records:
    """`records[index]`, a copy, in a sixth of the time."""
    return _as_records(records.view(_BYTES)[index])


def joined(parts: Sequence[Records]) -> Records:
    """One or more arrays of records, one after the other; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    return _as_records(np.concatenate([part.view(_BYTES) for part in parts]))


def _as_records(raw: npt.NDArray[np.void]) -> Records:
    return np.ndarray(len(raw), ACCOUNT, raw)  # unlike a view, without a look at all fields


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


def _unreadable(account: str, size: int) -> Incompatible:
    return Incompatible(
        f"the state of account {account!r} has {size} bytes, a record has {ACCOUNT.itemsize}",
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
        self.due_us = np.full(capacity, NEVER, np.int64)
        """When each row is to be checked next for the effect of time alone. Derived."""
        self.ids: list[str] = []
        self.rows: dict[str, int] = {}
        self.topic_names: dict[int, str] = {}
        """Names of all topics seen in the partition, by hash."""
        self.erased: dict[str, Erased] = {}
        """Accounts that were erased, by `digest_of` their id; some may have come again."""
        self.model_version = 0
        """Snapshot that the accounts are being checked under."""
        self.unchecked_from = 0
        """Rows from here on may not have been looked at under that snapshot."""
        self._due_ahead = due_ahead
        self._due: Rows = np.empty(0, np.int64)
        """What the last search for due rows has found; some may no longer be due."""
        self._due_to_us = 0
        """It has found all that were due before this instant, and some that were due then."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def live(self) -> Records:
        """The records in use, as a view."""
        view: Records = self.data[: len(self.ids)]
        return view

    def rows_of(self, accounts: Sequence[str]) -> Rows:
        """Rows of accounts, new ones for those not seen before."""
        found = self.rows
        try:
            return np.array([found[account] for account in accounts], np.int64)
        except KeyError:
            return np.array([self._row(account) for account in accounts], np.int64)

    def due_before(self, until_us: int, limit: int) -> Rows:
        """Rows whose next silence check is due before an instant, longest due first."""
        rows = self._known_due(until_us)
        if len(rows) < limit:
            self._search_due(until_us, max(limit, self._due_ahead))
            rows = self._known_due(until_us)
        return rows[:limit]

    def take_unchecked(self, limit: int) -> Rows:
        """The next rows to look at under a new snapshot."""
        start = self.unchecked_from
        self.unchecked_from = min(start + limit, len(self.ids))
        return np.arange(start, self.unchecked_from)

    def put(self, accounts: Sequence[str], states: Sequence[bytes]) -> Rows:
        """Insert or replace packed records.

        Raises
        ------
        Incompatible
            A state has not the size of a record. It names the account; nothing was put.
        """
        for account, state in zip(accounts, states, strict=True):
            if len(state) != ACCOUNT.itemsize:
                raise _unreadable(account, len(state))
        rows = self.rows_of(accounts)
        self.data.view(_BYTES)[rows] = np.frombuffer(b"".join(states), _BYTES)
        return rows

    def take(self, rows: Rows) -> Records:
        """A copy of the records of rows."""
        return gathered(self.data, rows)

    def store(self, rows: Rows, records: Records) -> None:
        """Write records, as they were taken, to their rows."""
        self.data.view(_BYTES)[rows] = records.view(_BYTES)

    def pack(self, rows: Rows) -> Iterator[tuple[str, bytes]]:
        """(account id, packed record) of rows."""
        size = ACCOUNT.itemsize
        packed = self.take(rows).tobytes()
        ids = self.ids
        for i, row in enumerate(rows.tolist()):
            yield ids[row], packed[i * size : (i + 1) * size]

    def remove(self, account: str) -> None:
        """Forget an account. The last row takes its place."""
        row, last = self.rows.pop(account), len(self.ids) - 1
        if row != last:
            self.data[row], self.due_us[row] = self.data[last], self.due_us[last]
            self.ids[row] = moved = self.ids[last]
            self.rows[moved] = row
        self.ids.pop()
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
        due_us = self.due_us[: len(self.ids)]
        rows = np.flatnonzero(due_us < until_us)
        self._due_to_us = until_us - 1
        if len(rows) > limit:
            rows = rows[np.argpartition(due_us[rows], limit - 1)[:limit]]
            self._due_to_us = int(due_us[rows].max())
        self._due = rows

    def _row(self, account: str) -> int:
        row = self.rows.get(account)
        if row is None:
            row = len(self.ids)
            if row == len(self.data):
                self._grow()
            self.rows[account] = row
            self.ids.append(account)
            record = self.data[row]
            record["segment"] = -1
            if self.erased and (past := self.erased.get(digest_of(account))):
                record["sequence"], record["spikes"] = past.sequence, past.spikes
        return row

    def _grow(self) -> None:
        capacity = len(self.data) + max(1_024, len(self.data) // 2)
        del self.data  # else its pages could not move
        self._pages.grow(capacity)
        self.data = self._pages.array()
        due_us = np.full(capacity, NEVER, np.int64)
        due_us[: len(self.due_us)] = self.due_us
        self.due_us = due_us
