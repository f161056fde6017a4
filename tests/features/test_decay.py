"""Decayed sums: right, in any order, and not touched by where their reference stands."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, SECOND
from stream_app.events.types import Event
from stream_app.features import decay, update
from stream_app.features.catalogue import (
    DERIVED,
    HALF_LIVES_DAYS,
    MODEL_VECTOR,
    ROLLING,
    Rolling,
)
from stream_app.features.table import ACCOUNT, CONTACT_BUCKETS, FeatureTable
from stream_app.features.values import Values, values_at
from stream_app.settings import EventKind, ScoreSettings
from tests.features.build import START_US, applied, columns, event

ACTIVE = [kind for kind in Kind if kind is not Kind.PASSIVE]
YEAR = 365 * DAY
instants = st.integers(START_US, START_US + YEAR)
events = st.lists(
    st.builds(
        lambda kind, at_us, dwell: event(
            kind, at_us, **({"dwell_seconds": dwell} if "VISIT" in kind.name else {})
        ),
        st.sampled_from(ACTIVE),
        instants,
        st.floats(0, 5_000),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda e: e.id,
)


def values(table: FeatureTable, at_us: int) -> Values:
    return values_at(table.live, np.full(len(table), at_us))


def amount(feature: Rolling, batch: Any, i: int, settings: ScoreSettings) -> float:
    """What event `i` adds to a feature, read from the catalogue's words and the settings."""
    kind = Kind(int(batch.kind[i]))
    if feature.source == "dwell":
        return float(batch.dwell_minutes[i])
    if feature.source == "session":
        return 0.0
    if feature.source == "day":
        days = (batch.at_us[: i + 1] // DAY).tolist()
        return float(days[i] > max(days[:i], default=0))
    if feature.source == "engagement":
        return settings.engagement_points.get(_name(kind), 0.0)
    if feature.source == "intent":
        return settings.intent_points.get(_name(kind), 0.0)
    return feature.weights.get(kind, 0.0)


def _name(kind: Kind) -> EventKind:
    return kind.name.lower()  # type: ignore[return-value]


def directly(happened: list[Event], at_us: int, settings: ScoreSettings) -> list[Decimal]:
    """Every rolling feature as the sum over events of w * 2^-(age / half-life), in 50 digits."""
    batch = columns(happened)
    with localcontext() as context:
        context.prec = 50
        sums = []
        for feature in ROLLING:
            half_life = Decimal(feature.half_life_days) * DAY
            sums.append(
                sum(
                    (
                        Decimal(amount(feature, batch, i, settings))
                        * Decimal(2) ** (-(Decimal(at_us) - int(batch.at_us[i])) / half_life)
                        for i in range(len(batch))
                    ),
                    Decimal(0),
                )
            )
        return sums


@given(events, st.integers(0, YEAR))
def test_sums_are_what_the_formula_says(happened: list[Event], later: int) -> None:
    table = applied(happened)
    at_us = int(table.live["latest_us"][0]) + later
    exact = directly(happened, at_us, ScoreSettings())
    found = values(table, at_us).rolling[0]
    np.testing.assert_allclose(found, [float(x) for x in exact], rtol=1e-11, atol=1e-200)


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(happened: list[Event], random: Any) -> None:
    """Late ones included: sums agree to 1e-9, and what is a maximum agrees exactly. Only active
    days depend on it: a late event adds none."""
    shuffled = list(happened)
    random.shuffle(shuffled)
    one, other = applied(happened), applied(shuffled)
    at_us = int(one.live["latest_us"][0])
    sums = [i for i, feature in enumerate(ROLLING) if feature.source != "day"]
    np.testing.assert_allclose(
        values(one, at_us).rolling[:, sums],
        values(other, at_us).rolling[:, sums],
        rtol=1e-9,
        atol=1e-200,
    )
    for name in ("first_us", "latest_us", "engaged_us", "contacts"):
        assert (one.live[name] == other.live[name]).all()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 100))
def test_moving_the_reference_in_any_number_of_steps_is_exact(steps: list[int], seed: int) -> None:
    """Powers of two: through every period on the way, or at once, the bits are the same."""
    random = np.random.default_rng(seed)
    stepwise = np.zeros(1, ACCOUNT)
    update.advance(stepwise, np.array([START_US]))
    stepwise["values"] = random.random(len(ROLLING)) * 1e6
    stepwise["topics"]["fast"] = random.random(6)
    stepwise["topics"]["slow"] = random.random(6)
    stepwise["topics"]["usual"] = random.random(6)
    stepwise["contacts"] = random.integers(0, 57, CONTACT_BUCKETS)
    at_once = stepwise.copy()
    days = np.cumsum(sorted(steps))
    for day in days.tolist():
        update.advance(stepwise, np.array([START_US + day * DAY]))
    update.advance(at_once, np.array([START_US + int(days[-1]) * DAY]))
    if days[-1] > 98:  # sums of 24 bits and a half-life of 1 day are no longer normal numbers
        assert (stepwise["topics"]["fast"] < 1e-30).all()
        stepwise["topics"]["fast"] = at_once["topics"]["fast"]
    assert stepwise.tobytes() == at_once.tobytes()


@given(st.integers(0, 400 * DAY), st.integers(0, 400 * DAY))
def test_moving_the_reference_does_not_change_the_value(step: int, later: int) -> None:
    still = np.zeros(1, ACCOUNT)
    update.advance(still, np.array([START_US]))
    still["values"] = np.arange(1.0, len(ROLLING) + 1)
    moved = still.copy()
    update.advance(moved, np.array([START_US + step]))
    at_us = np.array([START_US + step + later])
    np.testing.assert_allclose(
        values_at(still, at_us).rolling, values_at(moved, at_us).rolling, rtol=1e-12, atol=1e-200
    )


def test_a_sum_halves_in_its_half_life() -> None:
    table = applied([event(Kind.VISIT)])
    for days in HALF_LIVES_DAYS:
        found = values(table, START_US + days * DAY).column(f"web_visits_{days}d")[0]
        assert found == pytest.approx(0.5, rel=1e-14)


def test_an_event_of_decades_ago_neither_overflows_nor_counts() -> None:
    old = event(Kind.VISIT_PRICING, START_US - 9_000 * DAY)
    table = applied([event(Kind.VISIT), old])
    alone = applied([event(Kind.VISIT)])
    rolling = values(table, START_US).rolling
    np.testing.assert_allclose(rolling, values(alone, START_US).rolling, atol=1e-60)
    assert np.isfinite(rolling).all()
    back = applied([old, event(Kind.VISIT)])
    assert np.isfinite(values(back, START_US).rolling).all()


def test_a_steady_rate_settles_where_the_catalogue_says() -> None:
    """A rate of r a day settles at r * half-life / ln 2."""
    step = DAY // 4
    steady = applied([event(Kind.VISIT, START_US + i * step) for i in range(4 * 400)])
    at_us = int(steady.live["latest_us"][0]) + step // 2
    for days in HALF_LIVES_DAYS:
        found = values(steady, at_us).column(f"web_visits_{days}d")[0]
        assert found == pytest.approx(4 * days / np.log(2), rel=2e-3)
    # 400 days are 14 half-lives of the month, so the rates of week and month agree.
    assert values(steady, at_us).derived[0][3] == pytest.approx(1.0, rel=2e-3)  # momentum


def test_points_are_the_settings() -> None:
    """Every kind adds what the settings give it; a kind that they leave out keeps its default."""
    settings = ScoreSettings(
        engagement_points={"visit": 0.25, "email_replied": 7.0},
        intent_points={"visit_pricing": 11.0},
    )
    default = ScoreSettings()
    points = {
        "engagement": {**default.engagement_points, "visit": 0.25, "email_replied": 7.0},
        "intent": {**default.intent_points, "visit_pricing": 11.0},
    }
    weights = update.Weights(settings).matrix
    assert weights.shape == (len(Kind), len(ROLLING))
    for j, feature in enumerate(ROLLING):
        for kind in Kind:
            if feature.source in points:
                expected = points[feature.source].get(kind.name.lower(), 0.0)
            else:
                expected = feature.weights.get(kind, 0.0)
            assert weights[kind, j] == expected, (feature.name, kind)


def test_points_of_the_settings_reach_the_sums() -> None:
    settings = ScoreSettings(engagement_points={"visit": 0.25}, intent_points={"visit": 3.0})
    found = values(applied([event(Kind.VISIT)], settings), START_US)
    assert found.column("engagement_points_28d")[0] == pytest.approx(0.25)
    assert found.column("intent_points_7d")[0] == pytest.approx(3.0)


def test_what_nobody_did_adds_nothing_but_shows_that_the_account_is_there() -> None:
    table = applied([event(Kind.PASSIVE)])
    assert not table.live["values"].any()
    assert table.live["engaged_us"][0] == 0
    assert table.live["latest_us"][0] == START_US


@pytest.mark.parametrize("count", [1, 3])
def test_the_instants_may_be_a_field_of_the_records(both_paths: str, count: int) -> None:
    assert both_paths
    table = applied([event(account=f"{i}", at_us=START_US + i) for i in range(count)])
    latest_us = table.live["latest_us"]
    found, expected = (values_at(table.live, at_us) for at_us in (latest_us, latest_us.copy()))
    assert found.vector.tobytes() == expected.vector.tobytes()


def test_each_half_life_divides_the_period() -> None:
    """What makes re-basing exact."""
    assert all(decay.PERIOD_DAYS % days == 0 for days in HALF_LIVES_DAYS)
    assert {feature.half_life_days for feature in ROLLING} <= set(HALF_LIVES_DAYS)


def test_the_catalogue_is_whole() -> None:
    names = [feature.name for feature in (*ROLLING, *DERIVED)]
    assert len(set(names)) == len(names)
    assert all(feature.meaning and feature.unit for feature in (*ROLLING, *DERIVED))
    assert all(set(dimension.features) <= set(names) for dimension in MODEL_VECTOR)
    labels = [dimension.label for dimension in MODEL_VECTOR]
    assert len(set(labels)) == len(labels)


def test_the_vector_is_the_logarithm_of_one_plus_its_features() -> None:
    table = applied(
        [
            event(Kind.VISIT_PRICING, START_US, contact_id="x", dwell_seconds=60),
            event(Kind.DOWNLOAD_AWARENESS, START_US + DAY),
            event(Kind.DOWNLOAD_CONSIDERATION, START_US + DAY),
            event(Kind.EMAIL_REPLIED, START_US + 2 * DAY),
        ]
    )
    found = values(table, START_US + 5 * DAY)
    named = found.named(0)
    for j, dimension in enumerate(MODEL_VECTOR):
        expected = np.log1p(sum(named[name] for name in dimension.features))
        assert found.vector[0, j] == pytest.approx(expected, rel=1e-14)
    assert named["silence_days"] == pytest.approx(3.0)
    assert set(named) == {f.name for f in (*ROLLING, *DERIVED)}


@given(st.lists(instants, min_size=2, max_size=30, unique=True))
def test_many_accounts_at_once_get_what_each_gets_alone(at: list[int]) -> None:
    """To the bit: vectorised arithmetic must not depend on who else is in the batch."""
    happened = [event(Kind.VISIT_PRICING, us, f"account-{i}") for i, us in enumerate(at)]
    table, weights = FeatureTable(), update.Weights(ScoreSettings())
    batch = columns(happened)
    rows = table.rows_of(batch.accounts)
    records = table.data[rows]
    update.advance(records, batch.at_us)
    update.add(records, batch, np.arange(len(batch)), weights)
    later = batch.at_us + 3 * SECOND
    together = values_at(records, later)
    for i, one in enumerate(happened):
        alone = applied([one])
        assert alone.live[0].tobytes() == records[i].tobytes()
        single = values_at(alone.live, later[[i]])
        assert single.rolling[0].tobytes() == together.rolling[i].tobytes()
        assert single.vector[0].tobytes() == together.vector[i].tobytes()
