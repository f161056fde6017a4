"""When a partition counts as recovered."""

from __future__ import annotations

from tests.chaos.progress import Mark, Recovery


def mark(epoch: int, revision: int) -> dict[int, Mark]:
    return {0: Mark(epoch, revision, "worker", {})}


def test_the_first_new_commit_counts() -> None:
    recovery = Recovery(frozenset({0}), since=10.0, before=mark(1, 5))
    assert not recovery.notice(mark(1, 5), now=11.0)
    assert recovery.notice(mark(1, 6), now=12.5)
    assert recovery.notice(mark(1, 7), now=13.0)
    assert recovery.seconds == {0: 2.5}


def test_of_a_worker_that_was_struck_down_only_the_next_owners_commits_count() -> None:
    recovery = Recovery(frozenset({0}), since=0.0, before=mark(1, 5), by_new_owner=True)
    assert not recovery.notice(mark(1, 6), now=0.1)  # was under way
    assert not recovery.notice(mark(2, 6), now=3.0)  # claimed
    assert recovery.notice(mark(2, 7), now=3.5)
    assert recovery.seconds == {0: 3.5}


def test_a_fault_that_struck_no_partition_is_over_at_once() -> None:
    assert Recovery(frozenset(), 0.0, {}).notice(mark(1, 1), now=1.0)
