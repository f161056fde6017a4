"""What an account remembers: its last event ids, its last sessions, its contacts."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.events.batch import Kind, hash32
from stream_app.events.instants import DAY, HOUR
from stream_app.features.table import CONTACT_BUCKETS, RING, SESSIONS, FeatureTable
from stream_app.features.update import is_duplicate
from stream_app.features.values import MAX_SILENCE_DAYS, values_at
from tests.features.build import START_US, applied, apply, event


def derived(table: FeatureTable, at_us: int, name: str) -> float:
    return values_at(table.live, np.full(len(table), at_us)).named(0)[name]


def is_known(table: FeatureTable, id_: str) -> bool:
    return bool(is_duplicate(table.live, np.array([hash32(id_)], np.uint32))[0])


def test_exactly_the_last_64_ids_are_known() -> None:
    ids = [f"id-{i}" for i in range(200)]
    table = FeatureTable()
    for n, id_ in enumerate(ids, 1):
        assert not is_known(table, id_) if n > 1 else True
        apply(table, [event(id_=id_)])
        if n % 13 == 0 or n in (RING - 1, RING, RING + 1):
            known = [i for i in range(n) if is_known(table, ids[i])]
            assert known == list(range(max(0, n - RING), n))


@given(st.lists(st.integers(0, 90), max_size=150))
def test_what_is_a_duplicate_is_what_a_queue_of_64_says(numbers: list[int]) -> None:
    table, queue = FeatureTable(), deque[int](maxlen=RING)
    apply(table, [event(id_="first")])
    for number in numbers:
        assert is_known(table, f"id-{number}") == (number in queue)
        if number not in queue:
            apply(table, [event(id_=f"id-{number}")])
            queue.append(number)


@given(st.lists(st.sampled_from(["", "s1", "s2", "s3", "s4", "s5", "s6", "s7"]), max_size=40))
def test_a_session_counts_when_it_is_not_among_the_last_four(sessions: list[str]) -> None:
    queue, counted = deque[str](maxlen=SESSIONS), 0
    for session in sessions:
        if session and session not in queue:
            queue.append(session)
            counted += 1
    table = applied(
        [event(id_=f"{i}", session_id=session) for i, session in enumerate(sessions)] or [event()]
    )
    found = values_at(table.live, np.array([START_US])).column("web_sessions_28d")[0]
    assert found == pytest.approx(counted, rel=1e-12)


def test_sessions_belong_to_their_account() -> None:
    table = applied([event(account="a", session_id="s"), event(account="b", session_id="s")])
    found = values_at(table.live, np.full(2, START_US)).column("web_sessions_7d")
    assert found.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("people", [1, 2, 3, 5, 10, 20, 40])
def test_distinct_contacts_are_estimated(people: int) -> None:
    """Linear counting with 64 buckets, of ids that are only counted up: hardly any bias."""
    estimates = []
    for sample in range(60):
        table = applied(
            [
                event(id_=f"{i}", contact_id=f"sample-{sample}-person-{i % people}")
                for i in range(2 * people)
            ]
        )
        estimates.append(derived(table, START_US, "contacts_28d"))
    assert np.mean(estimates) == pytest.approx(people, rel=0.06)
    assert np.std(estimates) <= 0.12 * people


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5)), min_size=1, max_size=30),
    st.integers(0, 400),
)
def test_a_person_counts_for_so_many_days_and_no_longer(
    seen: list[tuple[int, int]], later_days: int
) -> None:
    """In whatever order the events came, and however many periods have passed."""
    people = {"ann", "bob", "cid", "dan", "eva", "fay"}
    table = applied(
        [
            event(at_us=START_US + day * DAY, id_=f"{i}", contact_id=sorted(people)[who])
            for i, (day, who) in enumerate(seen)
        ]
    )
    at_day = max(day for day, _ in seen) + later_days
    for days in (7, 28):
        active = {who for day, who in seen if at_day - day < days}
        estimate = -CONTACT_BUCKETS * np.log(1 - len(active) / CONTACT_BUCKETS)
        found = derived(table, START_US + at_day * DAY, f"contacts_{days}d")
        assert found == pytest.approx(estimate, rel=1e-12)


def test_one_person_is_one_person_however_often() -> None:
    table = applied([event(id_=f"{i}", contact_id="x") for i in range(50)])
    assert derived(table, START_US, "contacts_7d") == pytest.approx(1.0, abs=0.01)


def test_more_people_than_buckets_are_many_and_not_infinite() -> None:
    table = applied([event(id_=f"{i}", contact_id=f"person-{i}") for i in range(3_000)])
    assert 200 < derived(table, START_US, "contacts_28d") < 400


@pytest.mark.parametrize(("days", "name"), [(7, "contacts_7d"), (28, "contacts_28d")])
def test_a_contact_counts_for_as_many_utc_days(days: int, name: str) -> None:
    table = applied([event(contact_id="x", at_us=START_US + 23 * HOUR)])
    last = START_US + days * DAY - 1
    assert derived(table, last, name) == pytest.approx(1.0, abs=0.01)
    assert derived(table, last + 1, name) == 0.0


def test_a_late_event_does_not_make_a_contact_older() -> None:
    early, late = (event(contact_id="x", at_us=START_US + d * DAY, id_=f"{d}") for d in (0, 9))
    assert derived(applied([late, early]), START_US + 9 * DAY, "contacts_7d") > 0.99


def test_events_without_a_contact_count_no_one() -> None:
    assert derived(applied([event(), event(contact_id="", id_="2")]), START_US, "contacts_7d") == 0


def test_silence_counts_from_the_last_thing_a_person_did() -> None:
    table = applied([event(Kind.VISIT), event(Kind.PASSIVE, START_US + 3 * DAY)])
    assert derived(table, START_US + 5 * DAY, "silence_days") == pytest.approx(5.0)
    assert derived(table, START_US + 5_000 * DAY, "silence_days") == MAX_SILENCE_DAYS


def test_an_account_of_which_nobody_did_anything_is_silent_for_as_long_as_counts() -> None:
    assert derived(applied([event(Kind.PASSIVE)]), START_US, "silence_days") == MAX_SILENCE_DAYS


def test_momentum_and_email_share() -> None:
    mixed = applied(
        [event(Kind.VISIT), event(Kind.EMAIL_CLICKED), event(Kind.EMAIL_OPENED), event(id_="2")]
    )
    assert derived(mixed, START_US, "email_share") == pytest.approx(0.5)
    assert derived(mixed, START_US, "momentum") == pytest.approx(4.0)
    assert derived(mixed, START_US + 28 * DAY, "momentum") == pytest.approx(4.0 * 2**-3)
    idle = applied([event(Kind.PASSIVE)])
    assert derived(idle, START_US, "email_share") == derived(idle, START_US, "momentum") == 0.0
