"""Scores from 0 to 100, and bands that do not flap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.events.batch import Kind
from stream_app.events.instants import DAY
from stream_app.features.values import values_at
from stream_app.intent.scores import band_of, bands_of, scores_of
from stream_app.settings import ScoreSettings
from tests.features.build import START_US, applied, event

thresholds = st.lists(st.floats(0, 100), min_size=3, max_size=3).map(sorted)
scores = st.floats(0, 100)


def scored(settings: ScoreSettings, later_us: int, *events: object) -> list[float]:
    table = applied(list(events), settings)  # type: ignore[arg-type]
    values = values_at(table.live, np.array([START_US + later_us]))
    return [float(score) for score in scores_of(values, settings)[0]]


def naive_band(score: float, before: int, settings: ScoreSettings) -> int:
    """Up while the next entry is reached, down while the score is below the own exit."""
    band = before
    while band < 3 and score >= settings.enter[band]:
        band += 1
    while band > 0 and score < settings.leave[band - 1]:
        band -= 1
    return band


@st.composite
def score_settings(draw: st.DrawFn) -> ScoreSettings:
    enter = draw(thresholds)
    leave = sorted(draw(st.floats(0, limit)) for limit in enter)
    leave = [min(low, high) for low, high in zip(leave, enter, strict=True)]
    return ScoreSettings(enter=tuple(enter), leave=tuple(leave))


@given(score_settings(), st.lists(scores, min_size=1, max_size=30), st.data())
def test_bands_follow_the_path_like_a_naive_reference(
    settings: ScoreSettings, path: list[float], data: st.DataObject
) -> None:
    edges = [*settings.enter, *settings.leave]
    path = [data.draw(st.sampled_from([score, *edges])) for score in path]
    band = 0
    for score in path:
        expected = naive_band(score, band, settings)
        assert band_of(score, band, settings) == expected
        vectorised = bands_of(np.array([score]), np.array([band], np.uint8), settings)
        assert vectorised.tolist() == [expected]
        band = expected


@given(score_settings(), st.integers(0, 3), scores)
def test_a_band_that_was_entered_is_kept_at_the_same_score(
    settings: ScoreSettings, before: int, score: float
) -> None:
    band = band_of(score, before, settings)
    assert band_of(score, band, settings) == band


def test_between_leave_and_enter_it_depends_on_where_one_comes_from() -> None:
    settings = ScoreSettings(enter=(20, 45, 70), leave=(15, 38, 62))
    assert [band_of(40, before, settings) for before in range(4)] == [1, 1, 2, 2]


def test_no_activity_is_zero_and_much_is_a_hundred() -> None:
    settings = ScoreSettings()
    assert scored(settings, 0, event(Kind.PASSIVE)) == [0.0, 0.0]
    many = [event(Kind.DOWNLOAD_DECISION, id_=f"{i}", contact_id=f"{i}") for i in range(2_000)]
    assert scored(settings, 0, *many) == pytest.approx([100.0, 100.0])
    assert max(scored(settings, 0, *many)) <= 100.0


def test_a_score_saturates_in_points_over_scale() -> None:
    settings = ScoreSettings(
        intent_points={"visit": 5.0}, activity_days=0.0, engagement_scale=1.0, intent_scale=10.0
    )
    assert scored(settings, 0, event()) == pytest.approx(
        [100 * (1 - math.exp(-1)), 100 * (1 - math.exp(-0.5))]
    )
    # Engagement fades with a half-life of 28 days, intent with one of 7.
    assert scored(settings, 28 * DAY, event()) == pytest.approx(
        [100 * (1 - math.exp(-0.5)), 100 * (1 - math.exp(-0.5 / 16))]
    )


def test_what_is_done_on_a_day_adds_less_and_less() -> None:
    settings = ScoreSettings(
        engagement_points={"visit": 3.0}, activity_days=0.5, contact_days=0.0, engagement_scale=2.0
    )
    for pages in (1, 2, 40):
        day = [event(at_us=START_US + i, id_=f"{i}") for i in range(pages)]
        points = (1 + 0.5 * math.log1p(3.0 * pages)) / 2.0
        assert scored(settings, 0, *day)[0] == pytest.approx(100 * (1 - math.exp(-points)))


def test_days_count_once_each_and_late_ones_not_again() -> None:
    settings = ScoreSettings(activity_days=0.0, engagement_scale=1.0)
    days = [event(at_us=START_US + n * DAY // 2) for n in range(4)]
    late, nobody = event(at_us=START_US + DAY - 1), event(Kind.PASSIVE, START_US + 5 * DAY)
    expected = 100 * (1 - math.exp(-(1 + 2 ** (1 / 28)) / 2 ** (5 / 28)))
    for events in (days, [*days, late], [*days, nobody]):
        assert scored(settings, 5 * DAY, *events)[0] == pytest.approx(expected)


def test_people_add_to_engagement_and_not_to_intent() -> None:
    settings = ScoreSettings(activity_days=0.0, contact_days=2.0, engagement_scale=60.0)
    engagement, intent = scored(settings, 0, event(contact_id="x"))
    assert engagement == pytest.approx(100 * (1 - math.exp(-3 / 60)), rel=0.01)
    assert intent == 0.0


def test_machine_opens_do_not_engage() -> None:
    opened = event(Kind.EMAIL_OPENED, contact_id="x", topics=["a"])
    by_machine = event(Kind.EMAIL_OPENED, contact_id="x", topics=["a"], machine_open=True)
    assert scored(ScoreSettings(), 0, by_machine) == [0.0, 0.0]
    assert scored(ScoreSettings(), 0, opened)[0] > 0.0
    record = applied([by_machine]).live[0]
    assert record["engaged_us"] == 0
    assert not record["values"].any()
    assert not record["contacts"].any()
    assert not record["topics"]["topic"].any()


def test_machine_clicks_are_not_a_thing() -> None:
    """`machine_open` speaks of opens; a click that carries it still counts."""
    assert applied([event(Kind.EMAIL_CLICKED, machine_open=True)]).live["values"].any()
