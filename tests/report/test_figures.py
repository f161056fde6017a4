"""Figures of a report, checked against what can be counted by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from stream_app.events.instants import DAY
from stream_app.report.accounts_map import DRAWN, map_of
from stream_app.report.drift import drift_of
from stream_app.report.figures import figures_of
from stream_app.report.history import GONE, NEW
from stream_app.report.palette import looks
from stream_app.report.vectors import vectors_of
from stream_app.segments.snapshot import Assigner, HealthCheck, Lineage, TopFeature
from tests.engine.scenario import QUIET_OR_BUSY, snapshot
from tests.features.build import START_US
from tests.report.build import account, change, material, renamed, spike

FIRST = [change(name, 1, 0, None, 1, "first_seen", engagement=50.0) for name in "abcdef"]


def test_totals() -> None:
    found = figures_of(
        material(
            [*FIRST, change("a", 2, 20, 1, 2), change("a", 3, 22, 2, 1, "inactivity")],
            sizes={1: 9},
            letters={"not_json": 2, "no_account": 5},
            spikes=(spike("a", 1, 3), spike("a", 1, 3), spike("b", 1, 4)),
            unreadable=1,
        )
    ).totals
    assert (found.events, found.accounts, found.moves, found.reversals) == (100, 9, 2, 1)
    assert found.changes == (("first_seen", 6), ("behaviour", 1), ("inactivity", 1))
    assert found.letters == (("no_account", 5), ("not_json", 2))
    assert (found.spikes, found.unreadable) == (2, 1)


def test_segments_are_ordered_by_size_and_compared_with_earlier() -> None:
    found = figures_of(material([*FIRST, change("a", 2, 45, 1, 3)], sizes={1: 5, 3: 1, 0: 2}))
    rows = [(row.id, row.accounts, row.before) for row in found.segments]
    assert rows == [(1, 5, 6), (3, 1, 0), (2, 0, 0), (4, 0, 0), (0, 2, 2)]
    assert sum(row.share for row in found.segments) == pytest.approx(1)
    assert found.order[:5] == (1, 3, 2, 4, 0)


def test_a_segment_has_its_newest_name_also_when_it_is_gone() -> None:
    old = renamed(snapshot(1, {}, {}, ids=(1, 9)), 1, name="Old name")
    new = renamed(snapshot(2, {}, {}, ids=(1, 2)), 1, name="New name")
    found = figures_of(material(FIRST, models=(old, new), sizes={9: 1, 1: 5}))
    assert found.names[1] == "New name"
    assert found.names[9] == "Segment number 9"
    assert [row.name for row in found.segments if row.id == 9] == ["Segment 9 (retired)"]
    assert {0, NEW, GONE} <= found.names.keys()


def test_the_profile_is_of_typical_accounts_in_the_features_units() -> None:
    accounts = (
        account("a", 2, web_visits_7d=1.0),
        account("b", 2, web_visits_7d=7.0),
        account("c", 3, web_visits_7d=15.0),
        account("d", 3, web_visits_7d=15.0),
    )
    top = TopFeature(feature="web_visits_7d", label="", unit="", value=3.0, average=1.0)
    model = renamed(QUIET_OR_BUSY, 3, top=[top])
    found = figures_of(material(FIRST, models=(model,), accounts=accounts)).profile
    visits = next(row for row in found if row.label == "page views this week")
    # Means of logarithms: log2 of 1 + visits is 1, 3, 4 and 4.
    assert {cell.segment: cell.value for cell in visits.cells} == pytest.approx({2: 3.0, 3: 15.0})
    assert visits.average == pytest.approx(7.0)
    apart = {cell.segment: cell.deviation for cell in visits.cells}
    assert apart == pytest.approx({2: -np.log(2), 3: np.log(2)})
    assert [cell.segment for cell in visits.cells if cell.top] == [3]
    assert not any(cell.top for row in found for cell in row.cells if row is not visits)


def test_health_and_rules_are_those_of_the_last_version() -> None:
    check = HealthCheck(
        name="manageable", value=4.0, threshold="3 to 8", passed=True, says="4 segments."
    )
    model = msgspec.structs.replace(QUIET_OR_BUSY, health=[check], rules=["if so, then so"])
    found = figures_of(material(FIRST, models=(QUIET_OR_BUSY, model)))
    assert (found.health, found.rules) == ((check,), ("if so, then so",))


def test_movers_by_what_they_did_or_left_undone() -> None:
    found = figures_of(
        material(
            [
                *FIRST,
                change("a", 2, 45, 1, 2, engagement=80.0),
                change("b", 2, 45, 1, 3, engagement=90.0),
                change("c", 2, 45, 1, 2, "inactivity", engagement=20.0),
                change("d", 2, 45, 1, 2, "model", engagement=99.0),
                change("e", 2, 45, 1, 2, engagement=99.0),
                change("e", 3, 46, 2, 1, "inactivity", engagement=98.0),  # it went back
                change("f", 2, 10, 1, 2, engagement=99.0),  # long ago
                change("new", 1, 45, None, 1, "first_seen", engagement=99.0),
                change("new", 2, 46, 1, 2, engagement=99.0),
            ]
        )
    ).movers
    assert found.since_us == START_US + 36 * DAY
    up = [(m.account, m.source, m.target, m.before, m.after) for m in found.up]
    assert up == [("b", 1, 3, 50.0, 90.0), ("a", 1, 2, 50.0, 80.0)]
    assert [m.account for m in found.down] == ["c"]


def test_spikes_of_erased_accounts_are_not_shown() -> None:
    erased = [change("a", 2, 30, 1, None, "erased"), change("b", 2, 30, 1, None, "erased")]
    again = [*erased, change("b", 3, 31, None, 1, "first_seen")]
    spikes = (
        spike("a", 1, 20), spike("b", 1, 20), spike("b", 1, 40, 8.0), spike("c", 1, 20, 9.5),
        spike("c", 2, -1),
    )  # fmt: skip
    found = figures_of(material([*FIRST, *again], spikes=spikes)).spikes.strongest
    assert [(s.account_id, s.surprise) for s in found] == [("c", 9.5), ("b", 8.0)]


def test_without_anything_there_are_empty_figures() -> None:
    found = figures_of(material(models=(), sizes={}))
    assert (found.segments, found.profile, found.map, found.flows) == ((), (), None, None)
    assert (found.drift.versions, found.model_version) == ((), 0)


def test_the_map_puts_accounts_beside_those_that_are_like_them() -> None:
    accounts = [account(f"quiet-{n}", 1, silence_days=30.0 + n) for n in range(5)]
    accounts += [account(f"busy-{n}", 3, web_visits_7d=90.0 + n, contacts_28d=4) for n in range(5)]
    found = map_of(accounts, QUIET_OR_BUSY)
    assert found is not None
    places = {point.account: np.array([point.x, point.y]) for point in found.points}
    assert np.linalg.norm(places["busy-0"] - places["busy-4"]) < 1
    assert np.linalg.norm(places["busy-0"] - places["quiet-0"]) > 3
    assert 0.9 < found.kept <= 1
    assert {segment for segment, _, _ in found.centres} == {1, 2, 3, 4}
    assert places["busy-0"][0] > places["quiet-0"][0]
    assert found.right == "more page views this week and fewer days of silence"


def test_the_map_draws_a_bounded_sample() -> None:
    accounts = [account(f"{n}", 1, web_visits_7d=float(n)) for n in range(DRAWN + 400)]
    found = map_of(accounts, QUIET_OR_BUSY)
    assert found is not None
    assert len(found.points) == DRAWN
    assert (found.points[0].account, found.points[-1].account) == ("0", f"{DRAWN + 399}")


@pytest.mark.parametrize("number", [0, 2, 5])
def test_accounts_that_do_not_differ_have_no_map(number: int) -> None:
    assert map_of([account(f"{n}", 1) for n in range(number)], QUIET_OR_BUSY) is None


def test_vectors_are_those_that_the_model_sees() -> None:
    one = account("a", 1, downloads_awareness_28d=2.0, downloads_consideration_28d=3.0)
    vector = dict(zip(QUIET_OR_BUSY.dimensions, vectors_of([one])[0].tolist(), strict=True))
    assert vector["downloads_early_28d"] == pytest.approx(np.log1p(5.0))


def test_drift_is_measured_where_features_have_their_units() -> None:
    """A version whose scale alone differs has its centres where they were."""
    model = snapshot(1, {"web_visits_7d": 1.0}, {"web_visits_7d": 7.0})
    doubled = msgspec.structs.replace(
        model,
        version=2,
        scale=[2.0] * len(model.scale),
        segments=[
            msgspec.structs.replace(s, centre=[x / 2 for x in s.centre]) for s in model.segments
        ],
    )
    further = renamed(
        msgspec.structs.replace(doubled, version=3, cause="drift"),
        2,
        centre=[x + 1.5 for x in doubled.segments[1].centre],
    )
    found = drift_of([model, doubled, further])
    moved = 1.5 * np.sqrt(len(model.dimensions))
    third, second, first = found.versions
    assert (first.step, first.mover) == (None, None)
    assert second.step == pytest.approx(0.0)
    assert third.step == pytest.approx(moved)
    assert (third.mover, third.remarkable, second.remarkable) == (2, True, False)
    assert found.lines[1].distance == pytest.approx((0.0, 0.0, moved))
    assert found.lines[0].distance == pytest.approx((0.0, 0.0, 0.0))
    distances = Assigner(further).centres
    assert found.apart == pytest.approx(np.linalg.norm(distances[0] - distances[1]))


def test_what_became_of_segments_is_told_in_words() -> None:
    lineage = [
        Lineage(kind="split", segment=1, name="Visitors", others=[2, 3]),
        Lineage(kind="merged", segment=5, name="Readers", others=[1]),
        Lineage(kind="retired", segment=6, name="Sleepers"),
        Lineage(kind="created", segment=3, name="Segment number 3"),
        Lineage(kind="renamed", segment=2, name="Segment number 2", before="Others"),
    ]
    model = msgspec.structs.replace(snapshot(4, {}, {}, {}), lineage=lineage, cause="drift")
    (version,) = drift_of([model]).versions
    assert version.events == (
        "Visitors was split, into Segment number 2 and Segment number 3",
        "Readers went into Segment number 1",
        "Sleepers is gone",
        "Segment number 3 is new",
        "Others is now called Segment number 2",
    )
    assert version.cause == "chosen anew: accounts behave differently"


def test_many_versions_are_drawn_as_a_bounded_number() -> None:
    models = [msgspec.structs.replace(QUIET_OR_BUSY, version=n) for n in range(1, 1_000)]
    found = drift_of(models)
    assert len(found.versions) == 999
    assert all(len(line.at_us) == 200 for line in found.lines)


def test_colours_belong_to_ids_and_differ() -> None:
    found = looks([3, 1, 11, 2])
    assert found[3] == looks([3])[3] == looks([1, 3, 8])[3]
    assert len({found[i].colour for i in (0, 1, 2, 3, 11, NEW)}) == 6
    assert len({look.sign for i, look in looks(range(1, 9)).items() if i > 0}) == 8
    assert len(looks(range(1, 30))) == 29 + 3
