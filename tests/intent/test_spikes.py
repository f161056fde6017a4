"""A spike is unusual interest of several people, news, and reported once."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.changes.types import IntentSpike
from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR, MINUTE, parse
from stream_app.events.types import Event
from stream_app.settings import SegmentSettings, Settings, SpikeSettings
from tests.engine.scenario import QUIET_OR_BUSY, Run
from tests.features.build import START_US, event

SURGE = START_US + 20 * DAY
PEOPLE = ("ann", "bob", "cem")
FOUR = (*PEOPLE, "dan")


def known(account: str = "a") -> Event:
    """What makes an account twenty days old at the surge."""
    return event(account=account, id_="known")


def surge(
    n: int = 12,
    at_us: int = SURGE,
    people: tuple[str | None, ...] = PEOPLE,
    topic: str = "pricing",
    apart_us: int = 10 * MINUTE,
    **fields: object,
) -> list[Event]:
    """Pages on one topic, ten minutes apart, by people in turn."""
    return [
        event(
            Kind.VISIT_PRICING,
            at_us + i * apart_us,
            contact_id=people[i % len(people)],
            topics=[topic],
            id_=f"{topic}-{at_us}-{i}",
            **fields,
        )
        for i in range(n)
    ]


def spikes(*events: Event, **changed: object) -> list[IntentSpike]:
    """Spikes of a stream, with some settings changed."""
    run = Run(Settings(spikes=SpikeSettings.model_validate(changed)))
    run.each(*events)
    return run.outcome.spikes.get("a", [])


def test_a_surge_by_several_people_is_a_spike() -> None:
    (spike,) = spikes(known(), *surge())
    assert (spike.account_id, spike.number, spike.topic) == ("a", 1, "pricing")
    assert spike.people in (2, 3)
    assert spike.visits > spike.expected
    assert spike.surprise >= SpikeSettings().min_surprise
    assert "pricing" in spike.summary
    assert "unusual" in spike.summary.lower()
    assert "buy" not in spike.summary


def test_it_is_reported_when_the_third_person_comes() -> None:
    (spike,) = spikes(known(), *surge())
    assert parse(spike.occurred_at) == SURGE + 20 * MINUTE


def test_two_people_who_stay_with_it_are_enough() -> None:
    two = surge(20, people=PEOPLE[:2], apart_us=30 * MINUTE)
    (spike,) = spikes(known(), *two)
    assert spike.people == 2
    assert SURGE + HOUR < parse(spike.occurred_at) < SURGE + 6 * HOUR


def test_people_who_come_hours_apart_are_noticed_by_their_visits() -> None:
    slowly = surge(24, apart_us=40 * MINUTE)
    (spike,) = spikes(known(), *slowly)
    assert parse(spike.occurred_at) > SURGE + 2 * HOUR
    assert not spikes(known(), *slowly, visit_dispersion=10.0)


def test_its_surprise_is_the_deviance_of_those_who_arrive() -> None:
    """Of three arrivals within twenty minutes. These are not part of the habit themselves, but for
    what of them has faded by then."""
    (spike,) = spikes(known(), *surge(), min_contacts=3)
    fast, visits, usual = (sum(2 ** (-m / 60 / h) for m in (0, 10, 20)) for h in (1, 3, 28 * 24))
    lived = 20 + 20 / 1_440
    rate = 3 * (usual - visits + 0.75 * 7) / (28 / math.log(2) * (1 - 2 ** (-lived / 28)) + 7)
    expected = rate / 24 / math.log(2)
    assert spike.surprise == pytest.approx(
        fast * math.log(fast / expected) - (fast - expected), abs=0.01
    )
    assert spike.expected == pytest.approx(3 * expected, rel=1e-2)


def test_who_is_busy_with_other_topics_needs_more() -> None:
    """People who come every day also turn to something new now and then."""
    every_day = [
        one
        for day in range(20)
        for one in surge(9, START_US + day * DAY + 9 * HOUR, topic="docs", apart_us=HOUR)
    ]
    three = surge(3, apart_us=5 * MINUTE)
    assert [s.topic for s in spikes(known(), *three)] == ["pricing"]
    assert "pricing" not in [s.topic for s in spikes(*every_day, *three)]
    assert "pricing" in [s.topic for s in spikes(*every_day, *three, prior_share=0.0)]
    crowd = tuple(f"person-{i}" for i in range(8))
    many = surge(8, people=crowd, apart_us=5 * MINUTE)
    assert "pricing" in [s.topic for s in spikes(*every_day, *many)]


def test_what_an_account_always_does_is_not_unusual() -> None:
    """Three people a day, for weeks, are the habit of an account; ten are not."""
    every_day = [one for day in range(40) for one in surge(6, START_US + day * DAY + 9 * HOUR)]
    steady = spikes(*every_day)
    # The first day is a surge for an account that was not known; after that, silence.
    assert len(steady) <= 1
    crowd = tuple(f"person-{i}" for i in range(10))
    more = surge(10, START_US + 40 * DAY + 9 * HOUR, crowd, apart_us=3 * MINUTE)
    assert len(spikes(*every_day, *more)) == len(steady) + 1


def test_a_new_account_needs_more_than_one_that_is_known() -> None:
    three, crowd = surge(3, apart_us=5 * MINUTE), tuple(f"person-{i}" for i in range(6))
    assert spikes(known(), *three)
    assert not spikes(*three)
    assert spikes(*surge(6, people=crowd, apart_us=5 * MINUTE))


def test_one_person_does_not_spike() -> None:
    """Neither with hundreds of pages, nor with visits over days."""
    for apart_us in (MINUTE, 20 * MINUTE, HOUR):
        alone = surge(300, people=("ann",), apart_us=apart_us)
        assert not spikes(known(), *alone)
        assert not spikes(known(), *surge(300, people=(None,), apart_us=apart_us), min_contacts=1)
    alone = surge(60, people=("ann",), apart_us=HOUR)
    assert spikes(known(), *alone, min_contacts=1, min_surprise=4.0)
    assert not spikes(known(), *alone, min_surprise=4.0)


def test_a_crawler_is_one_visit() -> None:
    """Hundreds of pages within a minute by one contact: not even beside another person, and not
    if one person were enough."""
    burst = surge(600, people=("bot",), apart_us=MINUTE // 600)
    assert not spikes(known(), *burst, min_contacts=1)
    bob = surge(1, SURGE + 30 * MINUTE, people=("bob",))
    assert not spikes(known(), *burst, *bob)
    assert spikes(known(), *surge(600, apart_us=MINUTE // 600))  # by three it would be one


def test_pages_of_a_visit_do_not_add_up() -> None:
    """However many pages two people read within an hour."""
    assert not spikes(known(), *surge(50, people=PEOPLE[:2], apart_us=MINUTE))
    assert spikes(known(), *surge(50, people=PEOPLE, apart_us=MINUTE))


@pytest.mark.parametrize("least", [2, 3])
def test_at_least_so_many_people_are_asked_for(least: int) -> None:
    crowd = tuple(f"person-{i}" for i in range(least))
    assert spikes(known(), *surge(60, people=crowd), min_contacts=least)
    assert not spikes(known(), *surge(60, people=crowd[1:]), min_contacts=least)


def test_people_of_the_half_day_before_still_count_and_older_ones_do_not() -> None:
    """Noon and midnight, UTC, are where one half ends."""
    alone = surge(12, SURGE + 12 * HOUR, people=("ann",), apart_us=HOUR)
    for bob_us, noticed in ((SURGE, True), (SURGE - MINUTE, False)):
        bob = surge(1, bob_us, people=("bob",))
        assert bool(spikes(known(), *bob, *alone, min_surprise=4.0)) is noticed


def test_a_late_event_still_brings_its_person() -> None:
    """Once: a second late event of the same person is none more."""
    last = surge(1, SURGE + 8 * HOUR, people=("ann",))
    alone = surge(8, people=("ann",), apart_us=HOUR)
    late = surge(3, SURGE + 7 * HOUR, people=("bob",), apart_us=MINUTE)
    assert not spikes(known(), *alone, *last, min_surprise=4.0)
    assert spikes(known(), *alone, *late, *last, min_surprise=4.0)
    one, three = Run(Settings()), Run(Settings())
    for run, events in ((one, late[:1]), (three, late)):
        run.each(known(), *alone, *last, *events)
    slots = [run.table.live[0]["topics"][0] for run in (one, three)]
    assert slots[0]["usual"] == slots[1]["usual"]


def test_a_backfill_of_old_events_is_no_news() -> None:
    """A surge that is delivered after a newer event says nothing, hours or weeks later. What is
    older than a day is not even counted: who was there is not known any more."""
    for later_us in (3 * HOUR, 10 * DAY):
        newer = surge(1, SURGE + later_us, people=("dan",))
        assert not spikes(known(), *newer, *surge())
        assert spikes(known(), *surge(), *newer)
    run = Run(Settings())
    run.each(known(), *newer, *surge())
    slot = run.table.live[0]["topics"][0]
    assert slot["slow"] > slot["usual"]


def test_a_backfill_does_not_make_the_next_visit_a_spike() -> None:
    newer, next_ = (surge(1, SURGE + hours * HOUR, people=("dan",)) for hours in (30, 31))
    assert not spikes(known(), *newer, *surge(), *next_)


def test_machine_opens_and_mailings_do_not_spike() -> None:
    """What people do with a mail is not evidence either; the visits of the same people are."""
    for machine in (True, False):
        for kind in (Kind.EMAIL_OPENED, Kind.EMAIL_CLICKED, Kind.EMAIL_REPLIED):
            mails = [
                event(
                    kind,
                    SURGE + i * MINUTE,
                    contact_id=f"c{i % 5}",
                    topics=["pricing"],
                    id_=f"{i}",
                    machine_open=machine,
                )
                for i in range(40)
            ]
            assert not spikes(known(), *mails)
    crowd = tuple(f"c{i}" for i in range(5))
    assert spikes(known(), *surge(40, people=crowd, apart_us=MINUTE))


def test_visits_that_a_campaign_led_to_count_if_wanted() -> None:
    landed = surge(12, campaign_id="newsletter-1")
    assert not spikes(known(), *landed)
    assert spikes(known(), *landed, campaign_visits=True)


def test_downloads_count_like_visits() -> None:
    taken = [
        event(Kind.DOWNLOAD_DECISION, SURGE + i * MINUTE, contact_id=who, topics=["pricing"])
        for i, who in enumerate(PEOPLE)
    ]
    assert spikes(known(), *taken)


def test_after_a_spike_the_account_rests() -> None:
    again = [
        one
        for topic in ("pricing", "security")
        for hour in (0, 24, 48, 64)
        for one in surge(40, SURGE + hour * HOUR, topic=topic)
    ]
    again.sort(key=lambda one: one.occurred_at)
    assert len(spikes(known(), *again, min_surprise=0.5)) == 1
    later = surge(40, SURGE + 74 * HOUR)
    assert [s.number for s in spikes(known(), *again, *later, min_surprise=0.5)] == [1, 2]
    assert len(spikes(known(), *surge(40), min_surprise=0.5, cooldown_hours=1.0)) > 2


def test_the_topic_that_completes_it_first_is_the_one_that_is_named() -> None:
    both = [
        one
        for pair in zip(surge(), surge(at_us=SURGE + MINUTE, topic="security"), strict=True)
        for one in pair
    ]
    assert [s.topic for s in spikes(known(), *both)] == ["pricing"]


def test_interest_so_old_that_it_has_faded_to_nothing_is_none() -> None:
    """2 to the power of minus the days since then is no longer a number above 0. Another account of
    the same batch has interest enough to be looked at closely."""
    run = Run(Settings())
    years = SURGE - 20 * 365 * DAY
    late = event(at_us=years, account="b", topics=["pricing"], id_="late", contact_id="ann")
    run.each(known(), known("b"), event(at_us=SURGE, account="b", id_="now"), *surge(2))
    run.step(late, surge()[2])
    assert run.outcome.spikes.get("b", []) == []
    assert len(run.outcome.spikes["a"]) == 1


@given(st.lists(st.tuples(st.integers(0, 60 * 24), st.integers(0, 3)), min_size=1, max_size=40))
@hypothesis_settings(max_examples=60)
def test_visits_are_people_by_hour(happened: list[tuple[int, int]]) -> None:
    """In time order the month's sum counts each person once an hour, and no page twice."""
    happened.sort()
    run = Run(Settings())
    run.each(
        *(
            event(
                at_us=START_US + minute * MINUTE,
                contact_id=FOUR[who],
                topics=["t"],
                id_=f"{i}",
            )
            for i, (minute, who) in enumerate(happened)
        )
    )
    firsts = {}
    for minute, who in happened:
        firsts.setdefault((minute // 60, who), minute)
    slot = run.table.live[0]["topics"][0]
    start_age_days = (START_US % (28 * DAY)) / DAY
    expected = sum(2 ** ((start_age_days + m / 1_440) / 28) for m in firsts.values())
    rounded = len(firsts) * 2.0**-24  # each addition to a sum of 24 bits
    assert slot["usual"] == pytest.approx(expected, rel=rounded)


@given(st.lists(st.tuples(st.integers(0, 60 * 24 * 3), st.integers(0, 3)), min_size=1, max_size=30))
@hypothesis_settings(max_examples=60)
def test_the_brief_sums_are_what_the_formula_says(happened: list[tuple[int, int]]) -> None:
    """Over days, whose starts they refer to one after the other."""
    happened.sort()
    run = Run(Settings())
    run.each(
        *(
            event(at_us=START_US + m * MINUTE, contact_id=FOUR[who], topics=["t"], id_=f"{i}")
            for i, (m, who) in enumerate(happened)
        )
    )
    visits: dict[tuple[int, int], int] = {}
    arrivals, halves = [], set()
    for minute, who in happened:
        visits.setdefault((minute // 60, who), minute)
        half = (START_US // MINUTE + minute) // 720
        if not halves & {(half, who), (half - 1, who)}:
            arrivals.append(minute)
        halves.add((half, who))
    slot, latest = run.table.live[0]["topics"][0], happened[-1][0]
    hours_of_day = (START_US // MINUTE + latest) % 1_440 / 60
    for name, minutes, hours in (("visits", visits.values(), 3), ("arrivals", arrivals, 1)):
        expected = sum(2 ** ((minute - latest) / 60 / hours) for minute in minutes)
        found = float(slot[name]) * 2 ** (-hours_of_day / hours)
        assert found == pytest.approx(expected, rel=(len(minutes) + 1) * 2.0**-24)


def test_a_spike_shows_the_segment_and_the_scores_of_its_moment() -> None:
    at_once = Settings(segments=SegmentSettings(confirm_days=0))
    run, whole = Run(at_once, QUIET_OR_BUSY), Run(at_once, QUIET_OR_BUSY)
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
    run = Run(Settings())
    run.each(known(), *surge())
    assert run.outcome.accounts["a"].interests[0].topic == "pricing"
    assert run.outcome.accounts["a"].as_of >= run.outcome.spikes["a"][0].occurred_at


def test_the_surprise_needed_is_a_setting() -> None:
    found = [parse(spikes(known(), *surge(), min_surprise=s)[0].occurred_at) for s in (5, 7)]
    assert all(earlier < later for earlier, later in pairwise(found))
