"""What counts as a difference, case by case."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.features.table import ACCOUNT, states_of
from stream_app.streams.comparing import (
    Difference,
    Kind,
    Seen,
    Stored,
    compare,
    note_account,
    note_change,
    stored_of,
)
from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.topics import ACCOUNT_SEGMENTS, SEGMENT_CHANGES

A, C = ACCOUNT_SEGMENTS.name, SEGMENT_CHANGES.name
SINCE_US, SINCE = 1_000_000, "1970-01-01T00:00:01Z"


def record(value: bytes | None) -> MemoryRecord:
    return MemoryRecord("t", 0, 0, 0, b"acme", value)


def change(sequence: int, segment: int | None = 2) -> MemoryRecord:
    current = None if segment is None else {"id": segment, "name": "x"}
    return record(json.dumps({"sequence": sequence, "current": current}).encode())


def standing(sequence: int, segment: int = 2, since: str = SINCE, **more: int) -> bytes:
    body = {"sequence": sequence, "segment": {"id": segment}, "since": since}
    return json.dumps(body | more).encode()


def state(sequence: int, segment: int = 2, since_us: int = SINCE_US) -> bytes:
    one = np.zeros(1, ACCOUNT)
    one["sequence"], one["segment"], one["since_us"] = sequence, segment, since_us
    return states_of(one)[0]


def seen_of(*changes: MemoryRecord, accounts: tuple[bytes | None, ...] = ()) -> Seen:
    seen = Seen()
    for each in changes:
        note_change(seen, each)
    for value in accounts:
        note_account(seen, record(value))
    return seen


def kinds(stored: Stored, seen: Seen, *, complete: bool = True) -> list[tuple[str, Kind]]:
    return [(d.topic, d.kind) for d in compare("acme", stored, seen, complete=complete)]


ALL = tuple(change(n) for n in (1, 2, 3))
GOOD = stored_of(state(3), standing(3))


@pytest.mark.parametrize(
    ("stored", "seen", "expected"),
    [
        (GOOD, seen_of(*ALL, accounts=(standing(1), standing(3))), []),
        (GOOD, seen_of(*ALL, accounts=(standing(3), standing(1))), [(A, Kind.STALE)]),
        (GOOD, seen_of(*ALL, accounts=(b"{]",)), [(A, Kind.STALE)]),
        (GOOD, seen_of(*ALL, accounts=(standing(4),)), [(A, Kind.AHEAD)]),
        (GOOD, seen_of(*ALL, accounts=(standing(3, score=1),)), [(A, Kind.DIFFERS)]),
        (GOOD, seen_of(*ALL), [(A, Kind.MISSING)]),
        (GOOD, seen_of(*ALL, accounts=(standing(3), None)), [(A, Kind.MISSING)]),
        (Stored(), seen_of(accounts=(standing(3), None)), []),
        (Stored(), seen_of(accounts=(standing(3),)), [(A, Kind.GHOST)]),
        (Stored(4), seen_of(*ALL, change(4, None)), []),
        (Stored(), seen_of(*ALL), [(C, Kind.AHEAD)]),
        (Stored(5), seen_of(*ALL, change(4, None)), [(C, Kind.GAP)]),
        (GOOD, seen_of(*ALL, change(4), accounts=(standing(3),)), [(C, Kind.AHEAD)]),
        (GOOD, seen_of(*ALL[:2], accounts=(standing(3),)), [(C, Kind.GAP)]),
        (GOOD, seen_of(*ALL[:2], change(3, 9), accounts=(standing(3),)), [(C, Kind.DIFFERS)]),
        (GOOD, seen_of(accounts=(standing(3),)), [(C, Kind.GAP)]),
        (stored_of(state(0, -1), None), Seen(), [(A, Kind.MISSING)]),
    ],
)
def test_one_account(stored: Stored, seen: Seen, expected: list[tuple[str, Kind]]) -> None:
    assert kinds(stored, seen) == expected


def test_what_retention_may_have_removed_is_not_missed() -> None:
    for changes in ((), ALL[1:], ALL[2:]):
        seen = seen_of(*changes, accounts=(standing(3),))
        assert kinds(GOOD, seen, complete=False) == []
        assert kinds(GOOD, seen, complete=True) == [(C, Kind.GAP)]
    assert kinds(GOOD, seen_of(ALL[1], accounts=(standing(3),)), complete=False) == [(C, Kind.GAP)]


@pytest.mark.parametrize(
    "profile",
    [None, b"{]", standing(2), standing(3, 1), standing(3, since="1970-01-01T00:00:02Z")],
)
def test_a_profile_that_does_not_agree_with_the_state_is_not_believed(
    profile: bytes | None,
) -> None:
    stored = stored_of(state(3), profile)
    assert (stored.sequence, stored.segment, stored.digest) == (3, 2, None)
    seen = seen_of(*ALL, accounts=(standing(3),))
    assert kinds(stored, seen) == [(A, Kind.DIFFERS)]


@pytest.mark.parametrize(
    "unreadable",
    [b"", b"xx", state(3)[:-1], state(3) + b"x", state(3, since_us=2**62)],
    ids=["empty", "short", "shorter", "longer", "no instant"],
)
def test_a_state_that_cannot_be_read_is_a_difference_of_its_own(unreadable: bytes) -> None:
    stored = stored_of(unreadable, standing(3))
    for seen, published in ((seen_of(*ALL, accounts=(standing(3),)), 3), (Seen(), None)):
        (only,) = compare("acme", stored, seen, complete=True)
        assert only == Difference(A, Kind.UNREADABLE, "acme", None, published)
        assert not only.repairable


def test_what_no_worker_wrote_takes_no_changes_place() -> None:
    seen = seen_of(change(1), record(b"{]"), record(None), record(b"\xff"), change(3))
    assert seen.gaps == ((2, 2),)


def test_a_difference_says_what_it_knows() -> None:
    seen = seen_of(change(2), change(5), accounts=(standing(1),))
    assert list(compare("acme", GOOD, seen, complete=True)) == [
        Difference(A, Kind.STALE, "acme", 3, 1),
        Difference(C, Kind.GAP, "acme", 3, 5, ((1, 1), (3, 4))),
        Difference(C, Kind.AHEAD, "acme", 3, 5),
    ]


@given(st.lists(st.integers(1, 12), max_size=30))
def test_gaps_are_what_never_came(sequences: list[int]) -> None:
    """Whatever comes in which order, and how often."""
    seen = seen_of(*[change(n, n) for n in sequences])
    missing = {n for first, last in seen.gaps for n in range(first, last + 1)}
    if not sequences:
        assert (seen.first, seen.highest, missing) == (0, 0, set())
        return
    assert (seen.first, seen.highest) == (sequences[0], max(sequences))
    assert seen.segment == seen.highest
    assert missing == set(range(seen.first, seen.highest)) - set(sequences)
