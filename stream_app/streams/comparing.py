"""What Redis and Kafka say of one account, and how the two differ. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec import Struct

from stream_app.events.instants import to_rfc3339
from stream_app.features.table import is_state, records_of
from stream_app.streams.ports import Record
from stream_app.streams.topics import ACCOUNT_SEGMENTS, SEGMENT_CHANGES

_UNREADABLE = -1
_GONE = -1


class Kind(StrEnum):
    """How the two differ. A sequence counts the changes of an account."""

    MISSING = "missing"
    """The account has state, and no record."""
    STALE = "stale"
    """The record has a lower sequence than the state: a late writer put it there."""
    AHEAD = "ahead"
    """Kafka has a higher sequence than Redis ever gave: Redis was set back."""
    DIFFERS = "differs"
    """The sequence is the same, the content is not."""
    GHOST = "ghost"
    """There is a record, and no state."""
    GAP = "gap"
    """Changes are missing."""
    UNREADABLE = "unreadable"
    """What Redis has of the account cannot be read, so that nothing can be compared with it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of one account on one topic."""

    topic: str
    kind: Kind
    account: str
    stored: int | None
    """Sequence in Redis; None: no state, or one that cannot be read."""
    published: int | None
    """Sequence on the topic; None: no record, or one that cannot be read."""
    missing: tuple[tuple[int, int], ...] = ()
    """First and last sequence of each gap."""

    @property
    def repairable(self) -> bool:
        """Whether publishing once more where the account stands mends it."""
        return self.topic == ACCOUNT_SEGMENTS.name and self.kind is not Kind.UNREADABLE


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis has of one account."""

    sequence: int = 0
    """The highest it ever gave, also to an account that was erased since."""
    segment: int | None = None
    """None: no state."""
    digest: int | None = None
    """Of the profile, which is the value that `account-segments` should have last. None: there is
    none, or it does not agree with the state, which is the truth."""
    readable: bool = True
    """False: no worker wrote this, and the above means nothing."""


NOTHING = Stored()
UNREADABLE = Stored(readable=False)


class Seen(Struct, gc=False):
    """What Kafka has of one account. Small, because there is one for each."""

    sequence: int | None = None
    """Of the last record on `account-segments`; None: no record, or the last one is a tombstone."""
    digest: int = 0
    """Of that record's value."""
    first: int = 0
    """Of the changes that are still on `segment-changes`; 0: none is."""
    highest: int = 0
    segment: int = _GONE
    """Where the highest change leads."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Between `first` and `highest`."""
    same: bool = False
    """Whether Redis was found to agree."""


UNSEEN = Seen()
"""An account of which Kafka has nothing. Not to be written to."""


class _Ref(Struct):
    id: int


class _Standing(Struct):
    sequence: int
    segment: _Ref
    since: str


class _Change(Struct):
    sequence: int
    current: _Ref | None


_standing = msgspec.json.Decoder(_Standing).decode
_change = msgspec.json.Decoder(_Change).decode


def stored_of(state: bytes | None, profile: bytes | None, erased_sequence: int = 0) -> Stored:
    """What a state and its profile say. `UNREADABLE` for a state that no worker wrote, or whose
    instant lies outside of the calendar."""
    if state is None:
        return Stored(erased_sequence)
    if not is_state(state):
        return UNREADABLE
    record = records_of([""], [state])[0]
    sequence, segment = int(record["sequence"]), int(record["segment"])
    try:
        since = to_rfc3339(int(record["since_us"]))
    except OverflowError:
        return UNREADABLE
    standing = _read_standing(profile) if profile else None
    fits = standing == _Standing(sequence, _Ref(segment), since)
    return Stored(sequence, segment, hash(profile) if fits else None)


def note_account(seen: Seen, record: Record) -> None:
    """A further record of `account-segments`, in the order of the log."""
    if record.value is None:
        seen.sequence, seen.digest = None, 0
        return
    standing = _read_standing(record.value)
    seen.sequence = standing.sequence if standing else _UNREADABLE
    seen.digest = hash(record.value)  # 64 bits, and of this process only


def note_change(seen: Seen, record: Record) -> None:
    """A further record of `segment-changes`. Repetitions fill gaps, and change nothing else."""
    try:
        change = _change(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # no worker wrote it; if it took a change's place, there is a gap
    sequence = change.sequence
    if sequence > seen.highest:
        if seen.highest and sequence > seen.highest + 1:
            seen.gaps = (*seen.gaps, (seen.highest + 1, sequence - 1))
        seen.first = seen.first or sequence
        seen.highest = sequence
        seen.segment = change.current.id if change.current else _GONE
    elif seen.gaps:
        seen.gaps = tuple(_without(seen.gaps, sequence))


def compare(account: str, stored: Stored, seen: Seen, *, complete: bool) -> Iterator[Difference]:
    """All differences of one account. `complete`: retention has removed no change yet, so that
    those before the first one cannot be missing."""
    told = seen.sequence if seen.sequence != _UNREADABLE else None
    if not stored.readable:
        yield Difference(ACCOUNT_SEGMENTS.name, Kind.UNREADABLE, account, None, told)
        return
    if kind := _standing_differs(stored, seen):
        known = stored.sequence if stored.segment is not None else None
        yield Difference(ACCOUNT_SEGMENTS.name, kind, account, known, told)
    missing = list(seen.gaps)
    if 0 < seen.highest < stored.sequence or (complete and stored.sequence and not seen.highest):
        missing.append((seen.highest + 1, stored.sequence))
    if complete and seen.first > 1:
        missing.insert(0, (1, seen.first - 1))
    kinds = [
        (Kind.GAP, bool(missing)),
        (Kind.AHEAD, seen.highest > stored.sequence),
        (Kind.DIFFERS, _change_differs(stored, seen)),
    ]
    for kind in (kind for kind, found in kinds if found):
        yield Difference(
            SEGMENT_CHANGES.name,
            kind,
            account,
            stored.sequence,
            seen.highest or None,
            tuple(missing) if kind is Kind.GAP else (),
        )


def _standing_differs(stored: Stored, seen: Seen) -> Kind | None:
    if stored.segment is None:
        return None if seen.sequence is None else Kind.GHOST
    if seen.sequence is None:
        return Kind.MISSING
    if seen.sequence != stored.sequence:
        return Kind.STALE if seen.sequence < stored.sequence else Kind.AHEAD
    return None if seen.digest == stored.digest else Kind.DIFFERS


def _change_differs(stored: Stored, seen: Seen) -> bool:
    if stored.segment is None or not seen.highest or seen.highest != stored.sequence:
        return False
    return seen.segment != stored.segment


def _without(gaps: tuple[tuple[int, int], ...], sequence: int) -> Iterator[tuple[int, int]]:
    for first, last in gaps:
        if not first <= sequence <= last:
            yield first, last
            continue
        if first < sequence:
            yield first, sequence - 1
        if sequence < last:
            yield sequence + 1, last


def _read_standing(value: bytes) -> _Standing | None:
    try:
        return _standing(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
