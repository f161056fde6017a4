"""Batching never changes a result, and neither does when the sweep comes round."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stream_app.engine
from stream_app.events.instants import DAY, HOUR
from stream_app.events.types import Event
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import SegmentSettings, Settings
from tests.engine.scenario import (
    EAGER_SPIKES,
    MODELS,
    OTHER_VIEW,
    QUIET_OR_BUSY,
    Outcome,
    Run,
    split,
    streams,
)
from tests.features.build import columns

SETTINGS = Settings(spikes=EAGER_SPIKES, segments=SegmentSettings(sample_hours=8.0))
models = st.sampled_from(MODELS)


def at_us(event: Event) -> int:
    return int(columns([event]).at_us[0])


def run(
    parts: Sequence[tuple[Snapshot | None, Sequence[Sequence[Event]]]],
    until_us: int,
    sweep: bool = False,
) -> Outcome:
    """Apply batches, part by part under its model; everything is swept when a model changes."""
    this = Run(SETTINGS)
    for model, batches in parts:
        this.use(model)
        for batch in batches:
            if sweep and batch:
                this.sweep(at_us(batch[0]), limit=1)
            this.step(*batch)
    this.sweep(until_us)
    return this.finished()


@given(st.data())
@settings(max_examples=60)
def test_however_the_stream_is_cut_the_outcome_is_the_same(data: st.DataObject) -> None:
    """States to the byte, changes, spikes, samples: one batch, random ones, or one per event.

    Two accounts, so that batches are many rounds deep; duplicates and late events; gaps of weeks,
    so that silence checks fall between events; a new model arrives between two given events.
    """
    events = data.draw(streams())
    before, after = data.draw(st.tuples(models, models))
    switch = data.draw(st.integers(0, len(events)))
    first, second = events[:switch], events[switch:]
    until_us = max(map(at_us, events)) + data.draw(st.integers(0, 40 * DAY))

    whole = run([(before, [first]), (after, [second])], until_us)
    single = run([(before, [[e] for e in first]), (after, [[e] for e in second])], until_us)
    cut = run([(before, split(data.draw, first)), (after, split(data.draw, second))], until_us)
    assert whole == single
    assert whole == cut
    assert whole.applied + whole.duplicates == len(events)


@given(st.data())
@settings(max_examples=40)
def test_sweeping_early_or_at_the_end_is_the_same_for_a_stream_in_time_order(
    data: st.DataObject,
) -> None:
    """A silence check decides as of its due instant, whenever it is carried out."""
    events = data.draw(streams(late=False))
    model = data.draw(models)
    until_us = at_us(events[-1]) + data.draw(st.integers(0, 40 * DAY))
    lazily = run([(model, [events])], until_us)
    eagerly = run([(model, split(data.draw, events))], until_us, sweep=True)
    always = run([(model, [[event] for event in events])], until_us, sweep=True)
    assert eagerly == lazily
    assert always == lazily


@given(st.data())
@settings(max_examples=20)
def test_a_new_model_is_noticed_by_the_sweep_as_by_the_next_event(data: st.DataObject) -> None:
    """When everything due has been swept at the switch, it does not matter who comes first."""
    events = data.draw(streams(late=False, most=30))
    switch = data.draw(st.integers(1, len(events)))
    outcomes = []
    for eager in (False, True):
        this = Run(SETTINGS, QUIET_OR_BUSY)
        this.step(*events[:switch])
        switched_us = at_us(events[switch - 1])
        this.sweep(switched_us)
        this.use(OTHER_VIEW)
        if eager:
            this.sweep(switched_us, limit=1)
        this.step(*events[switch:])
        this.sweep(at_us(events[-1]) + 30 * DAY)
        outcomes.append(this.finished())
    assert outcomes[0] == outcomes[1]


@given(streams(), models, st.integers(1, 7))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_how_many_points_are_decided_at_once_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, events: list[Event], model: Snapshot | None, limit: int
) -> None:
    until_us = max(map(at_us, events)) + 30 * DAY
    with monkeypatch.context() as patch:
        usual = run([(model, [events])], until_us)
        patch.setattr(stream_app.engine, "MAX_POINTS", limit)
        assert run([(model, [events])], until_us) == usual


@given(streams(accounts="ABCDEFGH"), models)
@settings(max_examples=20)
def test_an_account_does_not_notice_the_others(events: list[Event], model: Snapshot | None) -> None:
    until_us = max(map(at_us, events)) + 10 * DAY
    together = run([(model, [events])], until_us)
    for account in {event.account_id for event in events}:
        alone = run([(model, [[e for e in events if e.account_id == account]])], until_us)
        assert together.states[account] == alone.states[account]
        for name in ("changes", "spikes", "samples"):
            assert getattr(together, name).get(account) == getattr(alone, name).get(account)


@given(streams(), st.data())
@settings(max_examples=20)
def test_sequences_and_spike_numbers_count_from_one_without_gaps(
    events: list[Event], data: st.DataObject
) -> None:
    this = Run(SETTINGS)
    for batch in split(data.draw, events):
        this.use(data.draw(models))
        this.step(*batch)
    this.sweep(max(map(at_us, events)) + 200 * DAY)
    outcome = this.finished()
    for changes in outcome.changes.values():
        assert [change.sequence for change in changes] == list(range(1, len(changes) + 1))
        for one, following in itertools.pairwise(changes):
            assert following.previous is not None
            assert one.current is not None
            assert following.previous.id == one.current.id
    for spikes in outcome.spikes.values():
        assert [spike.number for spike in spikes] == list(range(1, len(spikes) + 1))


def test_the_streams_of_these_tests_lead_to_what_they_compare() -> None:
    """A property over runs in which nothing happens would prove nothing."""
    seen = {"changes": 0, "spikes": 0, "samples": 0, "duplicates": 0, "inactivity": 0, "model": 0}

    @given(streams())
    @settings(max_examples=150, database=None, derandomize=True)
    def count(events: list[Event]) -> None:
        middle = len(events) // 2
        parts = [(QUIET_OR_BUSY, [events[:middle]]), (OTHER_VIEW, [events[middle:]])]
        outcome = run(parts, max(map(at_us, events)) + HOUR)
        changes = [change for found in outcome.changes.values() for change in found]
        seen["changes"] += len(changes)
        seen["spikes"] += sum(map(len, outcome.spikes.values()))
        seen["samples"] += sum(map(len, outcome.samples.values()))
        seen["duplicates"] += outcome.duplicates
        for reason in ("inactivity", "model"):
            seen[reason] += sum(change.reason == reason for change in changes)

    count()
    assert min(seen.values()) > 10, seen
