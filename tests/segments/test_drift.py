"""The alarm rings for a drift and not for the rhythm of the week; eras end."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from stream_app.events.instants import DAY
from stream_app.segments.drift import DriftAlarm
from stream_app.segments.eras import Era, is_young

PER_DAY = 100


def days_until_it_rings(
    further: float = 1.0, shift: float = 0.0, from_day: int = 60, days: int = 120, seed: int = 1
) -> int | None:
    """Days from a change to the alarm: distances grow by a factor, or a part of the vectors goes to
    the other of two centres. Weekends are twice as far away."""
    random = np.random.default_rng(seed)
    alarm = DriftAlarm()
    for day in range(days):
        weekend = 2.0 if day % 7 >= 5 else 1.0
        changed = day >= from_day
        share = 0.3 + shift * changed
        for _ in range(PER_DAY):
            distance = weekend * random.lognormal(0.0, 0.3) * (further if changed else 1.0)
            nearest = 2 if random.random() < share else 1
            if alarm.rings([1, 2], nearest, distance, day * DAY):
                return day - from_day
    return None


@pytest.mark.parametrize("seed", range(5))
def test_a_weekly_rhythm_is_no_drift(seed: int) -> None:
    assert days_until_it_rings(seed=seed, from_day=10**6) is None


@pytest.mark.parametrize("further", [0.7, 1.4])
def test_vectors_that_come_to_lie_elsewhere_are_noticed_within_two_weeks(further: float) -> None:
    found = days_until_it_rings(further=further)
    assert found is not None
    assert 0 <= found <= 14


@pytest.mark.parametrize("shift", [-0.25, 0.25])
def test_shares_that_change_are_noticed_within_two_weeks(shift: float) -> None:
    found = days_until_it_rings(shift=shift)
    assert found is not None
    assert 0 <= found <= 14


def test_nothing_is_said_before_each_weekday_has_come_twice() -> None:
    found = days_until_it_rings(further=3.0, from_day=5, days=13)
    assert found is None


def test_what_is_remembered_is_bounded_and_survives_its_json() -> None:
    alarm = DriftAlarm()
    for i in range(200 * 40):
        alarm.rings([1, 2], 1 + i % 2, 1.0 + i % 3, i * DAY // 40)
    assert len(alarm.days) == len(alarm.means) <= 84
    assert msgspec.json.decode(msgspec.json.encode(alarm), type=DriftAlarm) == alarm
    alarm.forget()
    assert (alarm.days, alarm.means, alarm.counts) == ([], [], {})


def reviews(per_day: int, days: int, warm_start: int = 500) -> list[tuple[int, int]]:
    """(vectors, day) of each review."""
    era, found = Era(), []
    for i in range(1, per_day * days + 1):
        at_us = i * DAY // per_day
        if era.due(i, at_us, warm_start):
            era.reviewed(i, at_us, warm_start)
            found.append((i, at_us // DAY))
    return found


def test_reviews_come_at_doublings_of_vectors_and_of_time_and_end() -> None:
    found = reviews(per_day=300, days=400)
    assert found[0] == (500, 1)
    assert len(found) <= 16
    assert 56 <= found[-1][1] <= 120
    assert found[-1][0] >= 8_000


def test_few_vectors_and_a_short_time_are_both_too_little_for_maturity() -> None:
    assert is_young(7_999, 300 * DAY, 500)
    assert is_young(10**9, 55 * DAY, 500)
    assert not is_young(8_000, 56 * DAY, 500)
    assert len(reviews(per_day=10, days=400)) < 10


def test_the_older_an_era_is_the_more_a_refit_must_be_worth() -> None:
    era = Era(first_us=100 * DAY)
    ages = (0, 28, 56, 84)
    assert [era.demand((100 + age) * DAY) for age in ages] == [1.0, 1.0, 2.0, 3.0]
