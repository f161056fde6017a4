"""Health: each check has a figure, a threshold and a verdict in words, and can fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import ConfigError
from stream_app.segments import health
from stream_app.segments.explain import explained
from stream_app.segments.health import Spread, spread_of
from stream_app.segments.targets import read_targets
from stream_app.settings import HealthSettings, SegmentSettings
from tests.segments.groups import WIDTH, accounts, found

LIMITS = HealthSettings()
NAMES = {1: "Readers", 2: "Buyers"}


def test_groups_that_lie_apart_are_differentiated_and_do_not_overlap() -> None:
    snapshot, recent = found(
        accounts(seed=1), accounts(web_visits_28d=90.0, pricing_pages_28d=30.0)
    )
    spread = spread_of(snapshot, recent, LIMITS, seed=7)
    assert health.differentiated(spread, LIMITS).passed
    assert health.no_overlap(spread, LIMITS).passed
    assert spread.thin == 0.0


def test_one_group_cut_in_two_is_neither() -> None:
    same = accounts(200)
    snapshot, recent = found(same[:100], same[100:])
    spread = spread_of(snapshot, recent, LIMITS, seed=7)
    differentiated = health.differentiated(spread, LIMITS)
    overlap = health.no_overlap(spread, LIMITS)
    assert differentiated.passed is False
    assert "hardly" in differentiated.says
    assert overlap.passed is False
    assert overlap.value is not None
    assert overlap.value > 0.5
    assert "on a border" in overlap.says


def test_without_accounts_nothing_is_known() -> None:
    snapshot, _ = found(accounts(), accounts(seed=1))
    spread = spread_of(snapshot, np.empty((0, WIDTH)), LIMITS, seed=7)
    for check in (health.differentiated(spread, LIMITS), health.no_overlap(spread, LIMITS)):
        assert (check.value, check.passed) == (None, None)
        assert check.says.endswith(".")


def test_a_single_segment_has_no_borders_and_cannot_be_differentiated() -> None:
    snapshot, recent = found(accounts())
    assert spread_of(snapshot, recent, LIMITS, seed=7) == Spread(None, 0.0)


@pytest.mark.parametrize(("count", "passed"), [(2, False), (3, True), (8, True), (9, False)])
def test_manageable_means_within_the_limits(count: int, passed: bool) -> None:
    check = health.manageable(count, SegmentSettings())
    assert check.passed is passed
    assert check.value == count
    assert ("too" in check.says) is not passed


def test_a_segment_too_small_for_a_campaign_is_named() -> None:
    check = health.sustainable({1: 0.99, 2: 0.01}, {}, NAMES, LIMITS)
    assert check.passed is False
    assert check.value == 0.01
    assert "Buyers, has 1 %" in check.says


def test_a_segment_that_melts_away_is_named_though_it_is_still_large() -> None:
    check = health.sustainable({1: 0.8, 2: 0.2}, {1: 0.5, 2: 0.5}, NAMES, LIMITS)
    assert check.passed is False
    assert "Buyers went from 50 % to 20 %" in check.says
    assert health.sustainable({1: 0.7, 2: 0.3}, {1: 0.5, 2: 0.5}, NAMES, LIMITS).passed
    assert health.sustainable({1: 0.8, 2: 0.2}, {1: 1.0}, NAMES, LIMITS).passed


@pytest.mark.parametrize(("fidelity", "passed"), [(0.84, False), (0.85, True), (None, None)])
def test_understandable_means_that_rules_agree(fidelity: float | None, passed: bool | None) -> None:
    check = health.understandable(fidelity, LIMITS)
    assert (check.value, check.passed) == (fidelity, passed)


def test_aligned_is_unknown_until_somebody_says_who_the_targets_are() -> None:
    for targets in (None, {}):
        check = health.aligned(targets, {1: 10}, NAMES, LIMITS)
        assert (check.value, check.passed) == (None, None)


def test_aligned_compares_where_targets_are_with_where_everybody_is() -> None:
    everybody = {1: 80, 2: 20}
    check = health.aligned({1: 2, 2: 8}, everybody, NAMES, LIMITS)
    assert check.passed is True
    assert check.value == pytest.approx(0.6)
    assert "80 % of 10 target accounts are in Buyers, and 20 % of all accounts" in check.says
    assert health.aligned({1: 8, 2: 2}, everybody, NAMES, LIMITS).passed is False


def test_live_figures_take_the_place_of_those_of_the_snapshot() -> None:
    bare, recent = found(accounts(), accounts(seed=1, web_visits_28d=90.0, pricing_pages_28d=30.0))
    snapshot = explained(bare, recent, None, SegmentSettings(), LIMITS)
    now = health.live(
        snapshot,
        recent[:60],
        {0: 3, 1: 88, 2: 9},
        {1: 50, 2: 50},
        {2: 5},
        SegmentSettings(),
        LIMITS,
    )
    assert [check.name for check in now] == list(health.CHECKS)
    by_name = {check.name: check for check in now}
    assert by_name["differentiated"] == snapshot.health[0]
    assert by_name["understandable"] == snapshot.health[3]
    assert by_name["sustainable"].value == 0.09
    assert "went from 50 % to 9 %" in by_name["sustainable"].says
    assert by_name["aligned"].passed


def test_a_segment_that_has_lost_all_its_accounts_is_the_smallest() -> None:
    bare, recent = found(accounts(), accounts(seed=1, pricing_pages_28d=30.0))
    now = health.live(bare, recent, {1: 10}, {}, None, SegmentSettings(), LIMITS)
    assert {check.name: check.value for check in now}["sustainable"] == 0.0


def test_targets_are_read_from_a_file_with_one_id_a_line(tmp_path: Path) -> None:
    assert read_targets(LIMITS) is None
    file = tmp_path / "targets.txt"
    file.write_text("acme\n\n  globex \n", encoding="utf-8")
    assert read_targets(HealthSettings(target_file=str(file))) == {"acme", "globex"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_target_file_that_cannot_be_read_is_said_with_its_setting(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "targets.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="target_file") as refused:
        read_targets(HealthSettings(target_file=str(file)))
    assert "one account id a line" in refused.value.hint
