"""The reasons of a change are true: putting the named features back puts the account back."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.changes.reasons import why
from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR
from stream_app.events.types import Event
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import values_at
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, SegmentModel, Snapshot
from stream_app.settings import SegmentSettings, Settings
from tests.engine.scenario import OTHER_VIEW, QUIET_OR_BUSY, Run, snapshot, split, streams
from tests.features.build import START_US, applied, apply, columns, event

THIRD_VIEW = snapshot(
    3, {"web_visits_28d": 0.4}, {"web_visits_28d": 1.9}, {"silence_days": 5.1}, ids=(1, 2, 3)
)
"""Under the same ids, quite other segments."""
WIDTH = len(MODEL_VECTOR)
NAMES = [dimension.name for dimension in MODEL_VECTOR]
Floats = npt.NDArray[np.float64]


def random_model(random: np.random.Generator) -> Snapshot:
    """A model with random centres, means and scales; now and then a constant dimension."""
    base = snapshot(1, {})
    scale = random.uniform(0.2, 2.0, WIDTH)
    scale[random.random(WIDTH) < 0.1] = 0.0
    segments = [
        SegmentModel(
            id=10 + i,
            name=f"{i}",
            description="",
            centre=random.normal(0.0, 1.5, WIDTH).tolist(),
            share=0.0,
        )
        for i in range(int(random.integers(2, 9)))
    ]
    mean = random.uniform(0.0, 3.0, WIDTH).tolist()
    return msgspec.structs.replace(base, mean=mean, scale=scale.tolist(), segments=segments)


def random_vector(random: np.random.Generator) -> Floats:
    """A model vector as accounts have them: many zeros, else up to some 50 of something."""
    vector = np.log1p(random.exponential(6.0, WIDTH)) * (random.random(WIDTH) < 0.7)
    return np.asarray(vector.astype(np.float32), np.float64)  # anchors are stored as float32


def keeps(model: Snapshot, margin: float, own: int, vector: Floats) -> bool:
    """Whether an account of segment `own` stays there, computed without numpy."""
    scaled = [
        (v - m) / s if s > 0 else 0.0
        for v, m, s in zip(vector.tolist(), model.mean, model.scale, strict=True)
    ]
    distances = {s.id: math.dist(scaled, s.centre) for s in model.segments}
    return min(distances.values()) >= (1 - margin) * distances[own] * (1 - 1e-12)


def nearest(model: Snapshot, vector: Floats) -> int:
    distances = Assigner(model).distances(vector[None])[0]
    return model.segments[int(distances.argmin())].id


def test_restoring_the_named_features_returns_the_account() -> None:
    """Over 1,500 random changes; and one feature less does not, so the list is not longer than
    the truth."""
    random = np.random.default_rng(5)
    changes, lengths = 0, set()
    while changes < 1_500:
        model, margin = random_model(random), float(random.choice([0.0, 0.1, 0.2, 0.5]))
        before, now = random_vector(random), random_vector(random)
        unchanged = random.random(WIDTH) < 0.3
        now[unchanged] = before[unchanged]
        own = nearest(model, before)
        if keeps(model, margin, own, now):
            continue
        changes += 1
        moved = why(Assigner(model, Hysteresis(margin)), own, before, now)
        named = [NAMES.index(one.feature) for one in moved]
        lengths.add(len(named))
        restored = now.copy()
        for j in named:
            assert nearest(model, restored) != own
            restored[j] = before[j]
        assert nearest(model, restored) == own
        assert len(set(named)) == len(named)
        assert not unchanged[named].any()
    assert lengths >= {1, 2, 3}  # the property was seen on lists that are lists


def test_reasons_show_the_values_in_the_features_units() -> None:
    model = snapshot(1, {"web_visits_7d": 1.0}, {"pricing_pages_28d": 9.0})
    before, now = np.zeros(WIDTH), np.zeros(WIDTH)
    now[NAMES.index("pricing_pages_28d")] = np.log1p(7.0)
    (moved,) = why(Assigner(model, Hysteresis(0.2)), 1, before, now)
    assert (moved.feature, moved.label, moved.unit) == (
        "pricing_pages_28d",
        "pricing pages",
        "pages",
    )
    assert (moved.before, moved.now) == (0.0, 7.0)


def test_the_strongest_feature_comes_first() -> None:
    model = snapshot(1, {}, {"pricing_pages_28d": 20.0, "web_visits_7d": 20.0})
    before, now = np.zeros(WIDTH), np.zeros(WIDTH)
    now[NAMES.index("pricing_pages_28d")] = np.log1p(20.0)
    now[NAMES.index("web_visits_7d")] = np.log1p(8.0)
    moved = why(Assigner(model, Hysteresis(0.5)), 1, before, now)
    assert moved[0].feature == "pricing_pages_28d"


def test_a_segment_that_is_gone_has_no_reasons() -> None:
    model = snapshot(1, {"web_visits_7d": 1.0}, {"pricing_pages_28d": 9.0})
    assert why(Assigner(model, Hysteresis(0.2)), 99, np.zeros(WIDTH), np.ones(WIDTH)) == []


def test_a_feature_that_did_not_move_is_not_named() -> None:
    """Not even when storing it as float32 has rounded it."""
    model = snapshot(1, {"contacts_28d": 1e6}, {"pricing_pages_28d": 9.0})
    now = np.full(WIDTH, np.log1p(1.0079))
    before = np.asarray(now.astype(np.float32), np.float64)
    now[NAMES.index("pricing_pages_28d")] = np.log1p(30.0)
    assert (before != now).all()
    assert [moved.feature for moved in why(Assigner(model), 1, before, now)] == [
        "pricing_pages_28d"
    ]


@given(st.data())
@settings(max_examples=40)
def test_there_is_always_a_way_back(data: st.DataObject) -> None:
    """Where reasons start from lies in the account's segment, also after the model has changed:
    only then can restoring features return an account. (But while weak evidence waits, a new model
    may have put the account further outside.)"""
    margin = Settings().segments.margin
    run = Run(Settings(segments=SegmentSettings(confirm_days=0)), QUIET_OR_BUSY)
    for batch in split(data.draw, data.draw(streams())):
        model = data.draw(st.sampled_from([QUIET_OR_BUSY, OTHER_VIEW, THIRD_VIEW]))
        run.use(model)
        run.step(*batch)
        if data.draw(st.booleans()):
            run.sweep(int(columns(batch).at_us[-1]))
        live = run.table.live
        for record in live[live["model"] == model.version]:
            anchor = np.asarray(record["anchor"], np.float64)
            assert keeps(model, margin - 1e-6, int(record["segment"]), anchor)


def test_under_a_new_model_reasons_start_from_where_the_account_was() -> None:
    """It entered with one page; now its segment is about twenty, and one page would be another."""

    def pages(number: float) -> dict[str, float]:
        return {"web_visits_7d": number, "web_visits_28d": number}

    run = Run(Settings(), snapshot(1, pages(2), pages(500)))
    run.each(*(event(at_us=START_US + n, id_=f"{n}") for n in range(20)))
    run.use(snapshot(2, pages(19), pages(300), pages(0.9)))
    run.each(*(event(at_us=START_US + n, id_=f"{n}") for n in range(20, 250)))
    first, second = run.outcome.changes["a"]
    assert (first.reason, second.reason) == ("first_seen", "behaviour")
    assert {moved.before for moved in second.why} == {20.0}
    assert min(moved.now for moved in second.why) > 60.0


@given(st.data())
@settings(max_examples=25)
def test_every_change_by_behaviour_or_inactivity_says_why(data: st.DataObject) -> None:
    """Through the engine: a non-empty list of words, each with a value that differs."""
    events: list[Event] = data.draw(streams())
    run = Run(Settings(), QUIET_OR_BUSY)
    for batch in split(data.draw, events):
        run.step(*batch)
    run.sweep(int(columns(events).at_us.max()) + 60 * DAY)
    labels = {dimension.label for dimension in MODEL_VECTOR}
    for changes in run.outcome.changes.values():
        for change in changes:
            if change.reason in ("behaviour", "inactivity"):
                assert change.why
                assert {moved.label for moved in change.why} <= labels
                assert change.why[0].before != change.why[0].now
            else:
                assert not change.why


def test_before_is_what_it_was_when_the_segment_was_entered() -> None:
    """Centres along the way of an account that does more and more; its reasons start each time
    from the features that were told together with the change before."""
    kinds = np.random.default_rng(3).integers(1, 11, 400)
    happened = [event(Kind(k), START_US + n * HOUR, id_=f"{n}") for n, k in enumerate(kinds)]
    table, way = applied([]), []
    for n, one in enumerate(happened, 1):
        apply(table, [one])
        if n in (1, 8, 20, 50, 120, 300):
            way.append(values_at(table.live, table.live["latest_us"]).vector[0].tolist())
    base = snapshot(1, *({} for _ in way))
    segments = [
        msgspec.structs.replace(segment, centre=centre)
        for segment, centre in zip(base.segments, way, strict=True)
    ]
    run = Run(Settings(), msgspec.structs.replace(base, segments=segments))
    entered: dict[str, float] = {}
    compared = 0
    for one in happened:
        effects = run.step(one)
        for change in effects.changes:
            for moved in change.why:
                names = MODEL_VECTOR[NAMES.index(moved.feature)].features
                assert abs(moved.before - sum(entered[name] for name in names)) < 0.006
                compared += 1
            entered = effects.accounts["a"].features
    assert len(run.outcome.changes["a"]) == len(way)
    assert compared >= len(way) - 1
