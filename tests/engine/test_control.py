"""Control events on a table: what an erasure takes, and that it takes nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.control import Controls
from stream_app.effects import Effects
from stream_app.events.batch import Columns, Kind
from stream_app.events.control import Control, EraseAccount, EraseContact, RestateAccount
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import DAY, HOUR, MINUTE
from stream_app.events.types import Event
from stream_app.features.table import Erased, digest_of, records_of
from stream_app.settings import SegmentSettings, Settings
from tests.engine.scenario import EAGER_SPIKES, MODELS, OTHER_VIEW, QUIET_OR_BUSY, Run, streams
from tests.features.build import START_US, columns, event

SETTINGS = Settings(spikes=EAGER_SPIKES, segments=SegmentSettings(sample_hours=8.0))
PSEUDONYMS = Pseudonyms()
COLUMNS = Columns(PSEUDONYMS)
CONTROLS = Controls(COLUMNS, SETTINGS.scores)
NOW_US = START_US + 90 * DAY
"""When a worker carries it out."""


def at(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def erase(account: str, id_: str = "erase-1", at_us: int = START_US) -> EraseAccount:
    return EraseAccount(id=id_, occurred_at=at(at_us), account_id=account)


def forget(account: str, contact: str, id_: str = "forget-1") -> EraseContact:
    return EraseContact(id=id_, occurred_at=at(START_US), account_id=account, contact_id=contact)


def restate(account: str) -> RestateAccount:
    return RestateAccount(id="restate-1", occurred_at=at(START_US), account_id=account)


def control(run: Run, *events: Control, now_us: int | None = NOW_US) -> Effects:
    """Apply control events as one batch."""
    times = [round(one.occurred_at.timestamp() * 1e6) for one in events]
    return run._keep(CONTROLS.apply(run.table, events, times, run.assigner, now_us))


def busy(*accounts: str, days: int = 20) -> list[Event]:
    """A visit a day of each account, by three people, and a surge on the last day."""
    return [
        event(
            Kind.VISIT_PRICING,
            START_US + day * DAY + number * HOUR + visit * MINUTE,
            account,
            f"{account}-{day}-{visit}",
            contact_id=f"c{day % 3}",
            topics=["pricing"],
        )
        for day in range(days)
        for number, account in enumerate(accounts)
        for visit in range(9 if day == 19 else 1)
    ]


def busy_run(*accounts: str, days: int = 20) -> Run:
    run = Run(SETTINGS, QUIET_OR_BUSY)
    run.each(*busy(*accounts, days=days))
    return run


def record_of(run: Run, account: str) -> np.ndarray[Any, Any]:
    """A copy of an account's record, an array of one."""
    return run.table.take(np.array([run.table.row_of(account)]))


def without_numbers(state: bytes) -> tuple[bytes, int, int]:
    """A record but for its two counts, and these."""
    record = records_of([""], [state])
    sequence, spikes = int(record["sequence"][0]), int(record["spikes"][0])
    record["sequence"] = record["spikes"] = 0
    return record.tobytes(), sequence, spikes


# Erasing an account


def test_the_last_change_says_that_it_is_gone_and_nothing_else() -> None:
    run = busy_run("acme", "globex")
    before = run.outcome.changes["acme"][-1]
    record = record_of(run, "acme")
    effects = control(run, erase("acme", at_us=START_US + 30 * DAY))
    (change,) = effects.changes
    assert (change.reason, change.current, change.why) == ("erased", None, [])
    assert change.previous == before.current
    assert change.sequence == before.sequence + 1 == int(record["sequence"][0]) + 1
    assert change.scores.engagement == change.scores.intent == 0.0
    assert change.occurred_at == "2025-02-05T00:00:00Z"
    assert change.decided_at == "2025-04-06T00:00:00Z"
    assert change.lag_ms == 60 * DAY / 1_000
    assert effects.gone == ["acme"]
    assert effects.accounts == {}
    assert len(effects.touched) == 0
    assert run.table.all_ids() == ["globex"]
    assert b"acme" not in run.table.live.tobytes()


def test_what_remains_is_a_digest_two_numbers_and_who_asked_when() -> None:
    run = busy_run("acme")
    spikes = len(run.outcome.spikes["acme"])
    assert spikes
    effects = control(run, erase("acme", "e-7"))
    sequence = effects.changes[0].sequence
    assert effects.erased == {digest_of("acme"): Erased(sequence, spikes, NOW_US, ("e-7",))}
    assert run.table.erased == effects.erased
    assert "acme" not in digest_of("acme")


def test_without_a_clock_the_event_says_when() -> None:
    run = busy_run("acme")
    effects = control(run, erase("acme", at_us=START_US + DAY), now_us=None)
    (change,) = effects.changes
    assert change.decided_at == change.occurred_at == "2025-01-07T00:00:00Z"
    assert change.lag_ms == 0.0
    assert effects.erased[digest_of("acme")].at_us == START_US + DAY


def test_an_account_that_nobody_knows_leaves_a_tombstone_and_no_change() -> None:
    run = busy_run("acme")
    before = run.finished()
    effects = control(run, erase("nobody"))
    assert (effects.changes, effects.gone) == ([], ["nobody"])
    assert effects.erased == {digest_of("nobody"): Erased(0, 0, NOW_US, ("erase-1",))}
    assert run.finished().states == before.states


def test_a_late_event_begins_a_new_life_with_the_next_numbers() -> None:
    run = busy_run("acme")
    spikes = len(run.outcome.spikes["acme"])
    last = control(run, erase("acme")).changes[0].sequence
    late = busy("acme", days=1)
    (change,) = run.step(*late).changes
    assert (change.reason, change.previous, change.sequence) == ("first_seen", None, last + 1)
    fresh = Run(SETTINGS, QUIET_OR_BUSY)
    fresh.step(*late)
    mine, expected = run.finished().states["acme"], fresh.finished().states["acme"]
    rest, _, again = without_numbers(expected)
    assert without_numbers(mine) == (rest, last + 1, spikes + again)


def test_a_second_life_ends_like_the_first() -> None:
    run = busy_run("acme")
    control(run, erase("acme", "e-1"))
    run.each(*busy("acme"))
    control(run, erase("acme", "e-2"))
    run.each(*busy("acme", days=1))
    changes, spikes = run.outcome.changes["acme"], run.outcome.spikes["acme"]
    assert [change.sequence for change in changes] == list(range(1, len(changes) + 1))
    assert [spike.number for spike in spikes] == list(range(1, len(spikes) + 1))
    reasons = [change.reason for change in changes]
    assert (reasons.count("first_seen"), reasons.count("erased")) == (3, 2)


def test_the_same_request_twice_does_not_end_the_new_life() -> None:
    run = busy_run("acme")
    control(run, erase("acme", "e-1"))
    run.each(*busy("acme", days=1))
    before = run.finished()
    again = control(run, erase("acme", "e-1", at_us=START_US + DAY))
    assert (again.duplicates, again.applied, again.controls) == (1, 0, {})
    assert (again.changes, again.gone, again.erased) == ([], [], {})
    assert run.finished() == before


def test_another_request_ends_the_new_life() -> None:
    run = busy_run("acme")
    first = control(run, erase("acme", "e-1")).changes[0].sequence
    run.each(*busy("acme", days=1))
    (change,) = control(run, erase("acme", "e-2")).changes
    assert change.sequence == first + 2
    assert run.table.erased[digest_of("acme")] == Erased(
        change.sequence, run.table.erased[digest_of("acme")].spikes, NOW_US, ("e-1", "e-2")
    )


def test_a_request_that_comes_again_after_another_one_does_not_end_the_new_life() -> None:
    run = busy_run("acme")
    control(run, erase("acme", "e-1"), erase("acme", "e-2"))
    run.each(*busy("acme", days=1))
    effects = control(run, erase("acme", "e-1"))
    assert (effects.changes, effects.gone, effects.duplicates) == ([], [], 1)
    assert run.table.row_of("acme") is not None


def test_of_two_requests_in_a_row_one_changes_something_and_both_leave_a_tombstone() -> None:
    """The second tombstone removes what a frozen worker may have written after the first."""
    run = busy_run("acme")
    effects = control(run, erase("acme", "e-1"), erase("acme", "e-2"))
    assert [change.reason for change in effects.changes] == ["erased"]
    assert effects.gone == ["acme", "acme"]
    assert effects.erased[digest_of("acme")].by == ("e-1", "e-2")
    assert effects.erased[digest_of("acme")].sequence == effects.changes[0].sequence
    assert effects.controls == {"account.erase": 2}


@given(st.data())
@settings(max_examples=60)
def test_erasing_is_as_if_the_earlier_events_had_never_been(data: st.DataObject) -> None:
    """Of all accounts, to the byte but for the numbers of those that were erased; with silence
    checks before and after, a change of model, duplicates and late events."""
    events = data.draw(streams(accounts="ABCD"))
    erased = data.draw(
        st.dictionaries(st.integers(0, len(events)), st.sampled_from("ABCDE"), min_size=1)
    )
    first, second = data.draw(st.tuples(st.sampled_from(MODELS), st.sampled_from(MODELS)))
    switch = data.draw(st.integers(0, len(events)))
    swept = data.draw(st.sets(st.integers(0, len(events)), max_size=3))
    end_us = max(int(columns([one]).at_us[0]) for one in events) + 40 * DAY

    last_erasure = {account: position for position, account in sorted(erased.items())}
    this, never = Run(SETTINGS, first), Run(SETTINGS, first)
    for position, one in enumerate([*events, None]):
        if position == switch:
            this.use(second)
            never.use(second)
        if position in erased:
            control(this, erase(erased[position], f"erase-{position}"))
        if position in swept:
            until_us = int(columns([events[min(position, len(events) - 1)]]).at_us[0])
            this.sweep(until_us)
            never.sweep(until_us)
        if one is not None:
            this.step(one)
            if position >= last_erasure.get(one.account_id, 0):
                never.step(one)
    this.sweep(end_us)
    never.sweep(end_us)

    mine, expected = this.finished(), never.finished()
    assert {a: without_numbers(s)[0] for a, s in mine.states.items()} == {
        a: without_numbers(s)[0] for a, s in expected.states.items()
    }
    assert mine.due == expected.due
    others = set("ABCD") - set(last_erasure)
    for found, wanted in ((mine.states, expected.states), (mine.accounts, expected.accounts)):
        assert {a: found.get(a) for a in others} == {a: wanted.get(a) for a in others}


# Erasing a contact


def people(run: Run, account: str) -> int:
    return int((record_of(run, account)["contacts"] > 0).sum())


def test_a_contact_is_as_if_it_had_never_been_active() -> None:
    """People and who was interested lately; not the sums, which are the account's."""
    with_c0, without_c0 = Run(SETTINGS), Run(SETTINGS)
    visits = [
        event(
            Kind.VISIT, START_US + i * HOUR, "acme", f"e-{i}", contact_id=f"c{i % 3}", topics=["t"]
        )
        for i in range(6)
    ]
    with_c0.step(*visits)
    without_c0.step(
        *[
            event(Kind.VISIT, START_US + i * HOUR, "acme", f"e-{i}", contact_id=who, topics=["t"])
            for i, who in enumerate([None, "c1", "c2"] * 2)
        ]
    )
    effects = control(with_c0, forget("acme", "c0"))
    mine, expected = record_of(with_c0, "acme"), record_of(without_c0, "acme")
    assert mine["contacts"].tolist() == expected["contacts"].tolist()
    for name in ("topic", "fast", "slow", "people_in_hour", "people", "people_before"):
        assert mine["topics"][name].tolist() == expected["topics"][name].tolist()
    assert mine["values"].tolist() == expected["values"].tolist()
    assert effects.touched.tolist() == [with_c0.table.row_of("acme")]
    assert effects.changes == []
    assert effects.accounts["acme"].features["contacts_28d"] == pytest.approx(2.0, abs=0.1)


def test_the_traces_of_a_contact_in_the_half_day_before_go_too() -> None:
    run = Run(SETTINGS)
    run.each(
        event(at_us=START_US, account="acme", contact_id="c0", topics=["t"]),
        event(at_us=START_US + 12 * HOUR, account="acme", contact_id="c0", topics=["t"]),
        event(at_us=START_US + 12 * HOUR, account="acme", contact_id="c1", topics=["t"], id_="c1"),
    )
    control(run, forget("acme", "c0"))
    slot = record_of(run, "acme")["topics"][0][0]
    assert slot["people_before"] == 0
    assert slot["people"] == slot["people_in_hour"] == 1 << COLUMNS.person("c1")


def test_an_address_and_its_pseudonym_are_one_contact() -> None:
    address = "Somebody@Example.com"
    for name in (address, " somebody@example.com", PSEUDONYMS(address)):
        run = Run(SETTINGS)
        run.step(event(account="acme", contact_id=address))
        assert people(run, "acme") == 1
        control(run, forget("acme", name))
        assert people(run, "acme") == 0


def sharing_a_bucket() -> tuple[str, str]:
    first, wanted = "contact", COLUMNS.person("contact")
    names = (f"other-{i}" for i in range(10_000))
    return first, next(name for name in names if COLUMNS.person(name) == wanted)


def test_who_shares_the_bucket_is_counted_again_when_active_again() -> None:
    forgotten, other = sharing_a_bucket()
    run = Run(SETTINGS)
    run.step(event(account="acme", contact_id=other), event(account="globex", contact_id=other))
    control(run, forget("acme", forgotten))
    assert (people(run, "acme"), people(run, "globex")) == (0, 1)
    run.step(event(account="acme", contact_id=other, at_us=START_US + HOUR))
    assert people(run, "acme") == 1


def test_a_contact_of_an_account_that_nobody_knows_leaves_a_tombstone() -> None:
    run = busy_run("acme")
    before = run.finished()
    effects = control(run, forget("nobody", "c1"))
    assert (effects.gone, effects.accounts, len(effects.touched)) == (["nobody"], {}, 0)
    assert effects.erased == {}
    assert run.finished() == before


# Restating, and batches


def test_restating_says_what_was_said_last() -> None:
    run = busy_run("acme")
    published = run.outcome.accounts["acme"]
    record = record_of(run, "acme")
    effects = control(run, restate("acme"), restate("nobody"))
    stated = effects.accounts["acme"]
    assert (stated.sequence, stated.segment) == (published.sequence, published.segment)
    assert stated.as_of == "2025-01-25T00:08:00Z", "that of its latest event"
    assert effects.gone == ["nobody"]
    assert effects.changes == []
    assert record_of(run, "acme") == record


def test_a_batch_is_applied_in_order() -> None:
    """What is erased is not stated any more, in whatever order the batch names it."""
    run = busy_run("acme", "globex")
    effects = control(
        run,
        restate("acme"),
        forget("acme", "c1"),
        erase("acme"),
        restate("acme"),
        restate("globex"),
    )
    assert list(effects.accounts) == ["globex"]
    assert len(effects.touched) == 0
    assert effects.gone == ["acme", "acme"]
    assert effects.applied == 0, "control events are no behaviour"
    assert effects.controls == {"account.restate": 3, "contact.erase": 1, "account.erase": 1}


def test_a_repeated_request_does_not_hide_what_is_new_in_its_batch() -> None:
    run = busy_run("acme")
    control(run, erase("acme", "e-1"))
    run.each(*busy("acme", days=3))
    effects = control(run, forget("acme", "c1"), erase("acme", "e-1"))
    assert effects.touched.tolist() == [run.table.row_of("acme")], "it is stored"
    assert people(run, "acme") == 2


@pytest.mark.parametrize("victim", ["a", "c", "e"])
@pytest.mark.parametrize("checked", [1, 2, 3, 4, 5])
def test_accounts_that_move_are_still_looked_at_under_a_new_model(
    victim: str, checked: int
) -> None:
    run = busy_run(*"abcde", days=1)
    run.use(OTHER_VIEW)
    run.engine.sweep(run.table, 0, run.assigner, None, checked)
    assert (run.table.live["model"] == OTHER_VIEW.version).sum() == checked
    control(run, erase(victim))
    run.sweep(0)
    assert run.table.live["model"].tolist() == [OTHER_VIEW.version] * 4
