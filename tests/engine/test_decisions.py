"""Segments, bands and margins are what a plain second implementation says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stream_app.changes.accounts import segment_ref
from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR, parse
from stream_app.events.types import Event
from stream_app.segments.snapshot import Assigner, Lineage, Snapshot
from stream_app.settings import ScoreSettings, SegmentSettings, Settings
from tests.engine.reference import Reference
from tests.engine.scenario import MODELS, OTHER_VIEW, QUIET_OR_BUSY, Run, snapshot, split, streams
from tests.features.build import START_US, columns, event

PAGES = ("web_visits_7d", "web_visits_28d")
rules = st.builds(
    lambda margin, further, days: SegmentSettings(
        margin=margin, strong_margin=margin + further, confirm_days=days
    ),
    st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    st.sampled_from([0.0, 0.2, 0.39]),
    st.sampled_from([0.0, 0.1, 4.0, 28.0]),
)


@given(st.data(), rules)
@settings(max_examples=40)
def test_the_engine_decides_like_the_reference(data: st.DataObject, rule: SegmentSettings) -> None:
    """Every change with its reason and margin, and the bands at the end, over several models."""
    these = Settings(
        segments=rule,
        scores=ScoreSettings(engagement_scale=12.0, intent_scale=8.0),
    )
    events = data.draw(streams())
    run, reference = Run(these), Reference(these)
    for batch in split(data.draw, events):
        model = data.draw(st.sampled_from(MODELS))
        run.use(model)
        reference.model = model
        run.step(*batch)
        for one in batch:
            reference.event(one)
    until_us = int(columns(events).at_us.max()) + data.draw(st.integers(0, 200 * DAY))
    run.sweep(until_us)
    reference.sweep(until_us)

    for name, expected in reference.accounts.items():
        changes = run.outcome.changes.get(name, [])
        found = [
            (c.sequence, c.previous.id if c.previous else None, c.current.id, c.reason)
            for c in changes
            if c.current
        ]
        assert found == expected.changes
        assert [c.margin for c in changes] == [
            margin if margin is None else pytest.approx(margin, abs=6e-5)
            for margin in expected.margins
        ]
        record = run.table.live[run.table.row_of(name)]
        assert record["bands"].tolist() == expected.bands
        assert record["segment"] == expected.segment
        assert record["model"] == expected.model


def test_an_account_stays_while_no_other_centre_is_nearer_by_the_margin() -> None:
    """With a margin it leaves later than without."""
    model = snapshot(1, {"web_visits_7d": 0.0, "web_visits_28d": 0.0}, {"web_visits_28d": 30.0})
    run = Run(Settings(segments=SegmentSettings(margin=0.2, confirm_days=0)), model)
    without = Run(Settings(segments=SegmentSettings(margin=0.0, confirm_days=0)), model)
    moved_at: dict[str, int] = {}
    for n in range(40):
        for name, this in (("margin", run), ("none", without)):
            for change in this.step(event(at_us=START_US + n, id_=f"{n}")).changes:
                if change.reason == "behaviour":
                    moved_at.setdefault(name, n)
    assert moved_at["none"] < moved_at["margin"]


@given(streams(), st.sampled_from([QUIET_OR_BUSY, OTHER_VIEW]))
@settings(max_examples=20)
def test_margins_lie_between_the_border_and_the_centre(
    events: list[Event], model: Snapshot
) -> None:
    run = Run(Settings(), model)
    run.step(*events)
    run.sweep(int(columns(events).at_us.max()) + 300 * DAY)
    for changes in run.outcome.changes.values():
        for change in changes:
            assert change.margin is not None
            assert 0.0 <= change.margin <= 1.0


def test_with_a_single_centre_everyone_is_well_inside() -> None:
    (change,) = Run(Settings(), snapshot(1, {"web_visits_7d": 2.0})).step(event()).changes
    assert change.margin == 1.0


def test_without_a_model_accounts_are_unsegmented_and_stay_so() -> None:
    run = Run(Settings())
    for n in range(50):
        run.step(event(Kind.VISIT_PRICING, START_US + n * HOUR))
    run.sweep(START_US + 400 * DAY)
    (change,) = run.outcome.changes["a"]
    assert change.current is not None
    assert (change.current.id, change.current.name) == (0, "Unsegmented")
    assert (change.previous, change.reason, change.margin) == (None, "first_seen", None)
    assert (change.why, change.model_version) == ([], 0)
    assert run.table.live["segment"][0] == 0


def test_the_first_model_moves_everyone_with_reason_model() -> None:
    run = Run(Settings())
    run.step(event(account="a"), event(account="b"))
    run.use(QUIET_OR_BUSY)
    run.sweep(START_US)  # nothing is due but the look under the new model
    for account in "ab":
        first, second = run.outcome.changes[account]
        assert first.reason == "first_seen"
        assert second.reason == "model"
        assert second.previous is not None
        assert second.previous.id == 0
        assert second.current is not None
        assert second.current.id > 0
        assert (second.model_version, second.why, second.sequence) == (1, [], 2)
        assert second.occurred_at == first.occurred_at  # no event caused it


def test_losing_a_segment_moves_its_accounts_to_the_nearest_with_reason_model() -> None:
    run = Run(Settings(), QUIET_OR_BUSY)
    run.step(*(event(at_us=START_US + n) for n in range(12)))
    gone = int(run.table.live["segment"][0])
    fewer = snapshot(2, {"silence_days": 31.0}, {"web_visits_7d": 1.3}, ids=(1, 9))
    run.use(fewer)
    run.sweep(START_US)
    change = run.outcome.changes["a"][-1]
    assert change.reason == "model"
    assert change.previous is not None
    assert (change.previous.id, change.previous.name) == (gone, f"Segment {gone} (retired)")
    assert change.current is not None
    assert change.current.id == 9
    told = replace(fewer, lineage=[Lineage(kind="retired", segment=gone, name="Readers")])
    assert segment_ref(gone, Assigner(told)).name == "Readers (retired)"


@pytest.mark.parametrize(("before", "after"), [(9, 1), (1, 9), (1, 2)])
def test_a_segment_is_left_though_its_only_successor_has_the_same_centre(
    before: int, after: int
) -> None:
    run = Run(Settings(), snapshot(1, {"web_visits_7d": 1.0}, ids=(before,)))
    run.step(event())
    run.use(snapshot(2, {"web_visits_7d": 1.0}, ids=(after,)))
    run.sweep(START_US + 1)
    assert [change.current.id for change in run.outcome.changes["a"]] == [before, after]


def test_a_new_version_alone_moves_no_one() -> None:
    run = Run(Settings(), QUIET_OR_BUSY)
    run.step(event())
    same = snapshot(5, {"silence_days": 31.0}, {"web_visits_7d": 1.3, "web_visits_28d": 1.4})
    run.use(same)
    run.sweep(START_US)
    assert len(run.outcome.changes["a"]) == 1
    assert run.table.live["model"][0] == 5


def test_behaviour_moves_an_account_and_says_which_features_did() -> None:
    run = Run(Settings(segments=SegmentSettings(confirm_days=0)), QUIET_OR_BUSY)
    run.step(event(id_="first"))
    run.step(
        *(event(Kind.VISIT_PRICING, START_US + n * HOUR, id_=f"{n}") for n in range(5)),
        *(event(Kind.DOWNLOAD_DECISION, START_US + 6 * HOUR, id_=f"d{n}") for n in range(2)),
    )
    change = run.outcome.changes["a"][-1]
    assert change.reason == "behaviour"
    assert change.why[0].feature == "pricing_pages_28d"
    assert change.why[0].label == "pricing pages"
    assert change.why[0].before == 0.0
    assert change.why[0].now > 2.0


def test_weak_evidence_decides_when_it_lasts_and_strong_evidence_at_once() -> None:
    """Two centres on one line: with four pages the account lies between them, with nine at one."""
    model = snapshot(1, *(dict.fromkeys(PAGES, pages) for pages in (1.0, 9.0)))
    rule = SegmentSettings(margin=0.1, strong_margin=0.6, confirm_days=0.25)
    for pages, decided_at in ((4, DAY // 4), (9, 0)):
        run = Run(Settings(segments=rule), model)
        run.each(*(event(at_us=START_US + n, id_=f"{n}") for n in range(pages)))
        run.sweep(START_US + DAY)
        moved = [c for c in run.outcome.changes["a"] if c.previous and c.previous.id == 1]
        assert len(moved) == 1
        (change,) = moved
        assert change.reason == "behaviour"
        waited_us = parse(change.occurred_at) - START_US
        assert decided_at <= waited_us < decided_at + HOUR  # silence is looked at in steps
        assert (change.evidence_since is None) == (decided_at == 0)


def test_silence_that_finishes_what_events_began_is_not_the_reason() -> None:
    """Downloads take the account towards the second centre; it comes nearer as days pass."""
    away = {"downloads_early_28d": 6.0, "silence_days": 2.0}
    rule = SegmentSettings(margin=0.1, strong_margin=0.5, confirm_days=28)
    run = Run(Settings(segments=rule), snapshot(1, {"silence_days": 0.0}, away))
    run.each(*(event(Kind.DOWNLOAD_AWARENESS, START_US + n, id_=f"{n}") for n in range(4)))
    assert run.table.live["pending_us"][0] > 0
    run.sweep(START_US + 3 * DAY)
    change = run.outcome.changes["a"][-1]
    assert change.current is not None
    assert (change.current.id, change.reason) == (2, "behaviour")
    assert change.evidence_since is not None
    assert START_US <= parse(change.evidence_since) < START_US + HOUR


def test_evidence_that_does_not_last_is_forgotten() -> None:
    model = snapshot(1, *(dict.fromkeys(PAGES, pages) for pages in (1.0, 9.0)))
    rule = SegmentSettings(margin=0.1, strong_margin=0.9, confirm_days=28)
    run = Run(Settings(segments=rule), model)
    run.each(*(event(at_us=START_US + n, id_=f"{n}") for n in range(4)))
    assert run.table.live["pending_us"][0] > 0
    run.sweep(START_US + 60 * DAY)  # the pages fade away
    assert run.table.live["pending_us"][0] == 0
    assert [c.reason for c in run.outcome.changes["a"]] == ["first_seen"]


def test_time_alone_moves_an_account_with_reason_inactivity() -> None:
    run = Run(Settings(), QUIET_OR_BUSY)
    run.step(event(contact_id="x"))
    run.sweep(START_US + 100 * DAY)
    change = run.outcome.changes["a"][-1]
    assert change.reason == "inactivity"
    assert change.current is not None
    assert change.current.id == 1
    assert "silence_days" in {moved.feature for moved in change.why}
    # The check's own instant, not that of the sweep.
    assert START_US < parse(change.occurred_at) < START_US + 60 * DAY
    assert run.table.live["since_us"][0] == parse(change.occurred_at)


def test_a_change_carries_its_own_freshness() -> None:
    run = Run(Settings())
    (change,) = run.step(event(), now_us=START_US + 1_500_000).changes
    assert change.occurred_at == "2025-01-06T00:00:00Z"
    assert change.decided_at == "2025-01-06T00:00:01.500000Z"
    assert change.lag_ms == 1_500.0
    (replayed,) = run.step(event(account="b")).changes
    assert (replayed.decided_at, replayed.lag_ms) == (replayed.occurred_at, 0.0)
    (ahead,) = run.step(event(account="c"), now_us=START_US - 5).changes
    assert ahead.lag_ms == 0.0


def test_duplicates_are_dropped_within_a_batch_and_across() -> None:
    run = Run(Settings())
    one, other = event(id_="same"), event(id_="same", account="b")
    effects = run.step(one, one, other, one)
    assert (effects.applied, effects.duplicates) == (2, 2)  # per account
    again = run.step(one)
    assert (again.applied, again.duplicates, len(again.touched)) == (0, 1, 0)
    assert run.table.live["values"][0, 0] == run.table.live["values"][1, 0]


def test_each_row_is_touched_once() -> None:
    run = Run(Settings())
    effects = run.step(
        *(event(account=name, at_us=START_US + n) for n in range(5) for name in "ab")
    )
    assert effects.touched.tolist() == [0, 1]


def test_an_empty_batch_does_nothing() -> None:
    effects = Run(Settings()).step()
    assert (effects.applied, effects.duplicates, len(effects.touched)) == (0, 0, 0)
    assert not effects.changes


def test_where_an_account_stands_is_told_when_a_band_changes_too() -> None:
    run = Run(Settings())
    run.step(event())
    effects = run.step(
        *(
            event(Kind.DOWNLOAD_DECISION, START_US + n, id_=f"{n}", contact_id="x")
            for n in range(1, 6)
        )
    )
    assert not effects.changes
    standing = effects.accounts["a"]
    assert standing.scores.engagement_band == "warm"
    assert standing.scores.intent_band == "hot"
    assert standing.features["downloads_decision_28d"] == pytest.approx(5.0)
    assert not run.step(event(at_us=START_US + 7)).accounts  # nothing to tell


def test_training_vectors_are_spaced_out_per_account() -> None:
    """One per account and interval of its own time; the first interval only starts the clock."""
    run = Run(Settings(segments=SegmentSettings(sample_hours=24.0)))
    for hour in range(0, 24 * 5, 3):
        run.step(event(at_us=START_US + hour * HOUR), event(at_us=START_US, account="b"))
    samples = run.outcome.samples
    assert set(samples) == {"a"}
    times = [parse(sample.at) for sample in samples["a"]]
    assert [round((t - START_US) / DAY, 9) for t in times] == [1.0, 2.0, 3.0, 4.0]
    assert all(len(sample.vector) == 10 for sample in samples["a"])


def test_silent_accounts_are_sampled_too() -> None:
    run = Run(Settings())
    run.step(event())
    run.sweep(START_US + 10 * DAY)
    assert 2 <= len(run.outcome.samples["a"]) <= 10


def test_past_the_limit_topics_have_no_name() -> None:
    run = Run(Settings(worker={"max_topics": 2}))
    first = run.step(event(topics=["a", "b", "c"]))
    assert set(first.new_topics.values()) == {"a", "b"}
    assert not run.step(event(topics=["d", "a"], id_="2")).new_topics
    assert set(run.table.topic_names.values()) == {"a", "b"}


def test_a_portion_of_silence_gives_no_more_samples_than_are_asked_for() -> None:
    """And leaves the same accounts behind."""
    these = Settings(segments=SegmentSettings(sample_hours=1.0))
    few, all_ = Run(these, QUIET_OR_BUSY), Run(these, QUIET_OR_BUSY)
    names = [f"a{i:02}" for i in range(25)]
    for run, most in ((few, 10), (all_, None)):
        run.each(*(event(account=name, id_=name) for name in names))
        effects = run.engine.sweep(
            run.table, START_US + 2 * HOUR, run.assigner, None, 100, most_samples=most
        )
        run._keep(effects)
    assert list(few.outcome.samples) == names[::3]
    assert list(all_.outcome.samples) == names
    assert few.finished().states == all_.finished().states
