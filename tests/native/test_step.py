"""The compiled step does what the one in Python does, to the bit and in the same order."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_app import native
from stream_app.effects import Effects
from stream_app.events.instants import DAY, HOUR
from stream_app.events.types import Event
from stream_app.features.table import ACCOUNT, FeatureTable
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import SegmentSettings, Settings
from tests.engine.scenario import EAGER_SPIKES, MODELS, QUIET_OR_BUSY, Run, split, streams
from tests.features.build import START_US, columns, event
from tests.native.paths import need_native, taking

SETTINGS = Settings(spikes=EAGER_SPIKES, segments=SegmentSettings(sample_hours=8.0))

Parts = list[tuple[Snapshot | None, list[list[Event]]]]


def told(effects: Effects) -> tuple[Any, ...]:
    """Everything that a step leads to, in order."""
    return (
        effects.touched.tolist(),
        *(effects.applied, effects.duplicates, effects.changes, effects.spikes),
        *(list(effects.accounts.items()), effects.samples, effects.new_topics),
    )


def run(path: str, parts: Parts, until_us: int, given_settings: Settings = SETTINGS) -> Any:
    """The same batches on one path: what every step led to, and the table at the end."""
    with taking(path):
        this, steps = Run(given_settings), []
        for model, batches in parts:
            this.use(model)
            steps += [told(this.step(*batch)) for batch in batches]
        this.sweep(until_us)
        return steps, astuple(this.finished())


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_both_paths_come_to_the_same(data: st.DataObject) -> None:
    """Bursts and gaps of weeks, duplicates, late events, more topics than there are slots, models
    that come and go, batches of all sizes."""
    need_native()
    events = data.draw(streams(accounts="ABC"))
    switch = data.draw(st.integers(0, len(events)))
    before, after = data.draw(st.tuples(st.sampled_from(MODELS), st.sampled_from(MODELS)))
    parts: Parts = [
        (before, [list(b) for b in split(data.draw, events[:switch])]),
        (after, [list(b) for b in split(data.draw, events[switch:])]),
    ]
    until_us = START_US + data.draw(st.integers(0, 400 * DAY))
    assert run("native", parts, until_us) == run("python", parts, until_us)


def test_both_paths_come_to_the_same_for_one_busy_account() -> None:
    """More events in a batch than ids are remembered, by many people, over a change of period."""
    need_native()
    rng = np.random.default_rng(5)
    events = [
        event(
            at_us=START_US + i * HOUR // 2 - (int(rng.integers(0, 40 * DAY)) if i % 7 == 0 else 0),
            id_=f"e{i - (i % 11 == 0)}",
            contact_id=f"c{rng.integers(0, 90)}",
            session_id=f"s{rng.integers(0, 9)}",
            topics=[f"t{j}" for j in rng.choice(9, 3, replace=False)],
        )
        for i in range(2_000)
    ]
    parts: Parts = [(QUIET_OR_BUSY, [events[:1_500], events[1_500:]])]
    until_us = START_US + 100 * DAY
    of_both = [run(path, parts, until_us, Settings()) for path in ("native", "python")]
    assert of_both[0] == of_both[1]


@pytest.mark.parametrize(
    "fields", [{"ring_next": 200}, {"session_next": 200}, {"checks": 200, "model": 9}]
)
def test_an_impossible_record_is_an_error_and_no_panic(
    fields: dict[str, int], both_paths: str
) -> None:
    """As a broken store might have it."""
    this = Run(SETTINGS, QUIET_OR_BUSY)
    this.step(event(session_id="s"))
    for name, value in fields.items():
        this.table.data[name][0] = value
    with pytest.raises(IndexError):
        this.step(event(at_us=START_US + 400 * DAY, id_="2", session_id="t"))


def stepper_arguments(table: FeatureTable) -> dict[str, Any]:
    """Of a compiled step with one event."""
    batch = columns([event()])
    held = np.empty(3 * ACCOUNT.itemsize, np.uint8)
    return {
        "data": table.data,
        "held": held,
        "model": 0,
        "rows": np.zeros(1, np.int64),
        **{
            name: getattr(batch, name)
            for name in ("at_us", "id_hash", "kind", "dwell_minutes", "session_hash", "contact")
        },
        "prompted": batch.prompted,
        "topics": batch.topics,
        "growth": np.ones((1, 5)),
    }


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"rows": np.array([99])}, IndexError),
        ({"rows": np.array([-1])}, IndexError),
        ({"rows": np.zeros(2, np.int64)}, ValueError),
        ({"kind": np.array([200], np.uint8)}, IndexError),
        ({"contact": np.array([64], np.uint8)}, IndexError),
        ({"held": np.empty(10, np.uint8)}, ValueError),
        ({"growth": np.ones((1, 4))}, ValueError),
        ({"at_us": np.zeros(2, np.int64)[::2][:1].astype(np.int32)}, ValueError),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    changed: dict[str, Any], error: type[Exception]
) -> None:
    need_native()
    this = Run(SETTINGS)
    this.table.rows_of(["a"])
    compiled = this.engine._stepper
    assert compiled is not None
    with pytest.raises(error):
        compiled._compiled.apply(*(stepper_arguments(this.table) | changed).values())
    assert native.available
