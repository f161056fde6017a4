"""What the demo measures: freshness, planted surges, and the lines it chooses."""

from __future__ import annotations

import msgspec
import pytest

from stream_app.changes.types import Moved, SegmentChange, SegmentRef, Standing
from stream_app.demo.freshness import Freshness
from stream_app.demo.observer import Observer
from stream_app.demo.picture import Lag
from stream_app.demo.planted import Found, compare
from stream_app.demo.system import traffic_config
from stream_app.events.instants import DAY, parse
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryRecord
from stream_app.traffic import GroundTruth, Surge, Traffic


def test_lag_is_the_real_time_between_hand_over_and_reading() -> None:
    freshness = Freshness()
    for i in range(100):
        freshness.handed_over("acme", i, at=10.0)
        freshness.readable("acme", i, at=10.0 + (i + 1) / 1_000)

    assert freshness.recent(10.2).p50 == pytest.approx(50.5)
    assert freshness.whole.p50 == pytest.approx(50, rel=0.03)
    assert freshness.whole.p99 == pytest.approx(99, rel=0.03)


def test_the_first_of_two_equal_hand_overs_counts() -> None:
    freshness = Freshness()
    freshness.handed_over("acme", 1, at=1.0)
    freshness.handed_over("acme", 1, at=2.0)
    freshness.readable("acme", 1, at=2.5)

    assert freshness.recent(2.5).p50 == pytest.approx(1_500)


def test_what_was_not_handed_over_is_not_measured() -> None:
    freshness = Freshness()
    freshness.readable("acme", 1, at=2.5)

    assert freshness.recent(3.0) == freshness.whole == Lag(None, None)


def test_recent_lags_are_forgotten_and_the_whole_run_is_not() -> None:
    freshness = Freshness()
    freshness.handed_over("acme", 1, at=1.0)
    freshness.readable("acme", 1, at=1.1)

    assert freshness.recent(60.0) == Lag()
    assert freshness.whole.p50 == pytest.approx(100, rel=0.03)


def test_hand_overs_are_kept_in_bounded_memory() -> None:
    freshness = Freshness()
    for i in range(250_000):
        freshness.handed_over("acme", i, at=1.0)

    assert len(freshness._young) + len(freshness._old) <= 100_000


def truth(*surges: Surge) -> GroundTruth:
    return GroundTruth(("acme", "bolt"), (), (), surges, (), ())


def surge(account: str, start_day: int, end_day: int) -> Surge:
    return Surge(account, "pricing", start_day * DAY, end_day * DAY, ("c1", "c2"), 9)


def test_spikes_are_matched_with_surges_of_the_same_account_and_topic() -> None:
    planted = truth(surge("acme", 10, 12), surge("bolt", 20, 21))
    spikes = [
        ("acme", "pricing", 11 * DAY),  # inside
        ("acme", "pricing", 12 * DAY + DAY // 2),  # the same surge, a little later
        ("acme", "billing", 11 * DAY),  # another topic
        ("bolt", "pricing", 11 * DAY),  # another time
    ]

    assert compare(planted, spikes, 40 * DAY) == Found(surges=2, found=1, spikes_inside=2)


def test_surges_without_an_end_do_not_count() -> None:
    planted = truth(surge("acme", 10, 12), surge("bolt", 39, 41))

    assert compare(planted, [], 40 * DAY) == Found(1, 0, 0)


def test_the_same_seed_plants_and_sends_the_same() -> None:
    one, two, other = (Traffic(traffic_config(seed, 60)) for seed in (3, 3, 4))

    assert one.truth == two.truth
    assert one.truth.surges
    assert one.truth != other.truth
    assert list(one.records(days=2)) == list(two.records(days=2))


def change(account: str, reason: str) -> MemoryRecord:
    payload = SegmentChange(
        account_id=account,
        sequence=1,
        previous=SegmentRef(id=1, name="Content readers"),
        current=SegmentRef(id=2, name="Pricing researchers"),
        reason=reason,  # type: ignore[arg-type]
        why=[Moved(feature="p", label="pricing pages", unit="pages", before=0.41, now=6.1)],
        margin=0.5,
        evidence_since=None,
        scores=Standing(engagement=1, engagement_band="cold", intent=1, intent_band="cold"),
        model_version=3,
        occurred_at="2026-01-05T00:00:00Z",
        decided_at="2026-01-05T00:00:00Z",
        lag_ms=0.0,
    )
    value = msgspec.json.encode(payload)
    return MemoryRecord(topics.SEGMENT_CHANGES.name, 0, 0, 0, account.encode(), value)


def test_every_change_is_counted_and_lines_come_at_a_readable_pace() -> None:
    observer = Observer(Freshness())
    observer.take([change(f"a{i}", "behaviour") for i in range(300)])
    observer.take([change("q", "inactivity"), change("m", "model"), change("f", "first_seen")])

    assert observer.changes == {"behaviour": 300, "inactivity": 1, "model": 1, "first_seen": 1}
    assert len(observer.lines(100.0)[0]) == 1
    assert len(observer.lines(100.1)[0]) == 1  # too soon for another one
    for now in (101.0, 102.0, 103.0, 104.0):
        lines, _ = observer.lines(now)
    assert [line.account for line in lines] == ["f", "m", "q", "a299"]  # each reason has its turn
    assert lines[-1].why == (("pricing pages", "0.4 → 6.1"),)


def test_the_lag_of_changes_without_an_event_is_not_measured() -> None:
    freshness = Freshness()
    observer = Observer(freshness)
    freshness.handed_over("acme", parse("2026-01-05T00:00:00Z"), at=1.0)

    observer.take([change("acme", "inactivity"), change("acme", "model")])
    assert freshness.whole == Lag()

    observer.take([change("acme", "behaviour")])
    assert freshness.whole.p50 is not None
