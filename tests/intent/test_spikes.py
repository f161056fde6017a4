"""A spike is unusual interest of several people, news, and reported once."""

from __future__ import annotations

import math

import pytest

from stream_app.changes.types import IntentSpike
from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR, MINUTE
from stream_app.events.types import Event
from stream_app.settings import Settings, SpikeSettings
from tests.engine.scenario import QUIET_OR_BUSY, Run
from tests.features.build import START_US, event

SURGE = START_US + 20 * DAY
PEOPLE = ("ann", "bob", "cem")


def known(account: str = "a") -> Event:
    """What makes an account twenty days old at the surge."""
    return event(account=account, id_="known")


def surge(
    n: int = 12, at_us: int = SURGE, people: tuple[str | None, ...] = PEOPLE, topic: str = "pricing"
) -> list[Event]:
    """Pages on one topic, ten minutes apart, by people in turn."""
    return [
        event(
            Kind.VISIT_PRICING,
            at_us + i * 10 * MINUTE,
            contact_id=people[i % len(people)],
            topics=[topic],
            id_=f"{topic}-{at_us}-{i}",
        )
        for i in range(n)
    ]


def settings(**changed: object) -> Settings:
    """Thresholds that a dozen events reach, with some settings changed."""
    return Settings(
        spikes=SpikeSettings.model_validate({"min_surprise": 5.0, "min_events": 5.0} | changed)
    )


def spikes(*events: Event, **changed: object) -> list[IntentSpike]:
    """Spikes of a stream."""
    run = Run(settings(**changed))
    run.each(*events)
    return run.outcome.spikes.get("a", [])


def test_a_surge_by_several_people_is_a_spike() -> None:
    (spike,) = spikes(known(), *surge())
    assert (spike.account_id, spike.number, spike.topic) == ("a", 1, "pricing")
    assert spike.people in (2, 3)
    assert spike.events >= 5.0
    assert spike.events > spike.expected
    assert "pricing" in spike.summary
    assert "unusual" in spike.summary.lower()
    assert "buy" not in spike.summary


def test_its_surprise_is_the_poisson_deviance() -> None:
    """Against the floor of a quarter of an event a day, before which nothing was known."""
    (spike,) = spikes(known(), *surge(), baseline_floor=2.0, min_surprise=0.5)
    assert spike.expected == pytest.approx(2.0 / math.log(2), rel=1e-2)
    n, expected = spike.events, spike.expected
    assert spike.surprise == pytest.approx(n * math.log(n / expected) - (n - expected), abs=0.05)


def test_what_an_account_always_does_is_not_unusual() -> None:
    """Twelve a day for weeks is the baseline; a surge to twelve a day is none."""
    every_day = [one for day in range(40) for one in surge(12, START_US + day * DAY)]
    steady = spikes(*every_day, event(id_="z", at_us=START_US + 41 * DAY))
    # The first days are a surge for an account that was not known; after that, silence.
    assert len(steady) <= 1
    more = surge(70, START_US + 40 * DAY)
    assert len(spikes(*every_day, *more)) == len(steady) + 1


def test_one_person_does_not_spike() -> None:
    assert not spikes(known(), *surge(60, people=("ann",)))
    assert not spikes(known(), *surge(60, people=(None,)))
    assert spikes(known(), *surge(60, people=("ann",)), min_contacts=1)


@pytest.mark.parametrize("least", [2, 3])
def test_at_least_so_many_people_are_asked_for(least: int) -> None:
    crowd = tuple(f"person-{i}" for i in range(least))
    assert spikes(known(), *surge(60, people=crowd), min_contacts=least)
    assert not spikes(known(), *surge(60, people=crowd[1:]), min_contacts=least)


def test_people_of_the_day_before_yesterday_do_not_count() -> None:
    alone = surge(6, SURGE + 2 * DAY, people=("ann",))
    assert not spikes(known(), *surge(1, people=("bob",)), *alone)
    assert spikes(known(), *surge(1, SURGE + DAY, people=("bob",)), *alone)


def test_a_late_event_of_yesterday_still_brings_its_person() -> None:
    yesterday = surge(1, SURGE - 2 * HOUR, people=("bob",))
    first, last = surge(7, people=("ann",)), surge(1, SURGE + 2 * HOUR, people=("ann",))
    assert not spikes(known(), *first, *last)
    assert spikes(known(), *first, *yesterday, *last)


def test_an_account_without_history_does_not_spike() -> None:
    assert not spikes(*surge(30, START_US))
    assert not spikes(event(at_us=SURGE - 6 * DAY), *surge(30))
    assert spikes(event(at_us=SURGE - 7 * DAY), *surge(30))
    assert spikes(event(at_us=SURGE - 6 * DAY), *surge(30), min_history_days=6.0)


def test_little_interest_is_no_spike_however_unusual() -> None:
    assert not spikes(known(), *surge(5))  # a little less than 5 when the fifth arrives
    assert spikes(known(), *surge(6))
    assert not spikes(known(), *surge(6), min_events=8.0)


def test_after_a_spike_the_topic_rests() -> None:
    again = [one for hour in (0, 24, 48, 66) for one in surge(40, SURGE + hour * HOUR)]
    assert len(spikes(known(), *again, min_surprise=0.5)) == 1
    later = surge(40, SURGE + 73 * HOUR)
    assert [s.number for s in spikes(known(), *again, *later, min_surprise=0.5)] == [1, 2]
    assert len(spikes(known(), *surge(40), min_surprise=0.5, cooldown_hours=1.0)) > 2


def test_another_topic_is_another_spike() -> None:
    both = event(id_="known", topics=["pricing", "security"])
    found = spikes(both, *surge(), *surge(topic="security"))
    assert [(s.number, s.topic) for s in found] == [(1, "pricing"), (2, "security")]


def test_late_events_are_no_news() -> None:
    """A backfill of the same surge, delivered after a newer event, says nothing."""
    newer = event(at_us=SURGE + 3 * HOUR, id_="newer")
    assert not spikes(known(), newer, *surge(12, SURGE))
    assert spikes(known(), *surge(12, SURGE), newer)


def test_interest_so_old_that_it_has_faded_to_nothing_is_none() -> None:
    """2 to the power of minus the days since then is no longer a number above 0. Another account of
    the same batch has interest enough to be looked at closely."""
    run = Run(settings())
    years = SURGE - 20 * 365 * DAY
    late = event(at_us=years, account="b", topics=["pricing"], id_="late")
    run.each(known(), known("b"), event(at_us=SURGE, account="b", id_="now"), *surge(11))
    run.step(late, surge(12)[-1])
    assert run.outcome.spikes.get("b", []) == []
    assert len(run.outcome.spikes["a"]) == 1


def test_machine_opens_do_not_spike() -> None:
    opened = [
        event(
            Kind.EMAIL_OPENED,
            SURGE + i * MINUTE,
            contact_id=f"c{i % 5}",
            topics=["pricing"],
            id_=f"{i}",
            machine_open=machine,
        )
        for machine in (True, False)
        for i in range(40)
    ]
    assert not spikes(known(), *opened[:40])
    assert spikes(known(), *opened[40:])


def test_a_spike_shows_the_segment_and_the_scores_of_its_moment() -> None:
    early = settings(min_events=1.5, min_surprise=0.5)
    run, whole = Run(early, QUIET_OR_BUSY), Run(early, QUIET_OR_BUSY)
    happened = [known(), *surge(40)]
    run.each(*happened)
    whole.step(*happened)
    (spike,) = run.outcome.spikes["a"]
    assert whole.outcome.spikes["a"] == [spike]
    before = [
        change.current
        for change in run.outcome.changes["a"]
        if change.occurred_at <= spike.occurred_at
    ]
    assert spike.segment == before[-1]
    assert len(run.outcome.changes["a"]) > len(before)  # it moved on in the same batch


def test_a_spike_tells_where_the_account_stands() -> None:
    run = Run(settings())
    run.each(known(), *surge())
    assert run.outcome.accounts["a"].interests[0].topic == "pricing"
    assert run.outcome.accounts["a"].as_of >= run.outcome.spikes["a"][0].occurred_at
