"""Which version is in use, which ones wait, and which ones can go: a value and its changes."""

from __future__ import annotations

import pytest

from stream_app.changes.types import Why
from stream_app.streams.registry import NEWEST_KEPT, Registry
from tests.models import AT


def with_versions(count: int, active: int = 0) -> Registry:
    registry = Registry()
    for version in range(1, count + 1):
        registry = registry.issued(version, by_trainer=True)
        if version == active:
            registry = registry.activated(version, AT, "trainer", "trained")
    return registry


def test_a_new_version_waits_until_it_is_activated() -> None:
    registry = with_versions(2, active=1)
    assert (registry.active, registry.waiting) == (1, (2,))
    registry = registry.activated(2, AT, "maria", "activated")
    assert (registry.active, registry.waiting, registry.before) == (2, (), 1)
    (first, second) = registry.history
    assert (first.number, first.previous, first.by) == (1, 0, "trainer")
    assert (second.number, second.previous, second.by) == (2, 1, "maria")


def test_versions_have_no_gaps() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        with_versions(2).issued(4, by_trainer=True)


def test_what_is_not_stored_cannot_be_activated() -> None:
    with pytest.raises(ValueError, match="not stored"):
        with_versions(2).activated(3, AT, "maria", "activated")


@pytest.mark.parametrize(
    ("why", "waiting"),
    [("trained", ()), ("activated", ()), ("moved", (2,)), ("renamed", (2,)), ("rolled_back", (2,))],
)
def test_a_proposal_is_outdated_by_segments_chosen_anew_and_not_by_small_changes(
    why: Why, waiting: tuple[int, ...]
) -> None:
    registry = with_versions(2, active=1).issued(3, by_trainer=True)
    assert registry.activated(3, AT, "somebody", why).waiting == waiting


def test_going_back_twice_comes_back() -> None:
    registry = with_versions(2, active=1).activated(2, AT, "maria", "activated")
    registry = registry.activated(registry.before, AT, "maria", "rolled_back")
    assert (registry.active, registry.before) == (1, 2)


def test_there_is_nothing_before_the_first_version() -> None:
    assert Registry().before == with_versions(1, active=1).before == 0


def test_what_was_in_use_lately_is_kept_and_then_goes() -> None:
    registry = with_versions(3, active=1).activated(2, AT, "maria", "activated")
    for version in range(4, NEWEST_KEPT + 10):
        registry = registry.issued(version, by_trainer=True)
    assert {1, 2} <= set(registry.versions)
    assert 3 not in registry.versions
    for version in range(NEWEST_KEPT + 10, NEWEST_KEPT + 40):
        registry = registry.issued(version, by_trainer=True)
        registry = registry.activated(version, AT, "trainer", "moved")
    assert not {1, 2} & set(registry.versions)
    assert len(registry.versions) < NEWEST_KEPT + 35


def test_only_a_trainers_version_goes_with_its_checkpoint() -> None:
    registry = with_versions(2, active=2).issued(3, by_trainer=False)
    assert (registry.newest, registry.trained) == (3, 2)


def test_a_version_comes_into_use_for_the_first_time_once() -> None:
    registry = with_versions(2, active=1).activated(2, AT, "maria", "activated")
    registry = registry.activated(1, AT, "maria", "rolled_back")
    assert [registry.is_first(activation) for activation in registry.history] == [True, True, False]
