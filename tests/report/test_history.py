"""Where accounts stood, and how they moved between instants."""

from __future__ import annotations

from collections import Counter

from stream_app.events.instants import DAY
from stream_app.report.flows import INSTANTS, Flow, flows_of
from stream_app.report.history import GONE, NEW, histories
from tests.features.build import START_US
from tests.report.build import change


def at(day: float) -> int:
    return START_US + round(day * DAY)


def test_an_account_is_where_its_last_change_put_it() -> None:
    (history,) = histories(
        [
            change("a", 2, 3, 1, 2),
            change("a", 1, 1, None, 1, "first_seen"),
            change("a", 3, 5, 2, None, "erased"),
        ]
    ).values()
    assert [history.at(at(day)) for day in (0, 1, 2.9, 3, 4.9, 5, 9)] == [
        NEW,
        1,
        1,
        2,
        2,
        GONE,
        GONE,
    ]
    assert history.gone


def test_before_its_first_known_change_it_was_where_that_one_left_from() -> None:
    (history,) = histories([change("a", 7, 3, 4, 2)]).values()
    assert (history.at(at(0)), history.at(at(4))) == (4, 2)


def test_an_event_that_came_late_does_not_turn_an_accounts_time_back() -> None:
    (history,) = histories([change("a", 1, 4, 1, 2), change("a", 2, 2, 2, 3)]).values()
    assert [history.at(at(day)) for day in (3, 4, 5)] == [1, 3, 3]


def test_a_change_that_was_published_twice_counts_once() -> None:
    again = [change("a", 1, 1, None, 1), change("a", 2, 2, 1, 2), change("a", 2, 2, 1, 2)]
    assert [each.sequence for each in histories(again)["a"].changes] == [1, 2]


def test_reversals_lead_back_within_seven_days() -> None:
    def reversals(*moves: tuple[float, int, int]) -> int:
        changes = [change("a", n, day, *ends) for n, (day, *ends) in enumerate(moves, 1)]
        return histories(changes)["a"].reversals

    assert reversals((1, 1, 2), (8, 2, 1)) == 1
    assert reversals((1, 1, 2), (8.01, 2, 1)) == 0
    assert reversals((1, 1, 2), (2, 2, 3), (3, 3, 1)) == 0
    assert reversals((1, 1, 2), (2, 2, 1), (3, 1, 2)) == 2
    assert reversals((1, 0, 2), (2, 2, 0)) == 0  # before there was a model


def flows(
    changes: list[tuple[str, int, float, int | None, int | None]], sizes: dict[int, int]
) -> dict[tuple[int, int, int], int]:
    found = flows_of(histories(change(*each) for each in changes), sizes, at(0), at(50))
    assert found is not None
    assert [(instant - START_US) / DAY for instant in found.instants_us] == [10, 20, 30, 40, 50]
    return {(f.period, f.source, f.target): f.accounts for f in found.flows}


def test_flows_count_who_stays_who_moves_who_comes_and_who_goes() -> None:
    found = flows(
        [
            ("mover", 1, 5, None, 1),
            ("mover", 2, 15, 1, 2),
            ("newcomer", 1, 25, None, 2),
            ("erased", 1, 5, None, 1),
            ("erased", 2, 35, 1, None),
        ],
        {1: 3, 2: 2},  # three that have no change are in segment 1
    )
    assert found == {
        (0, 1, 2): 1, (0, 1, 1): 4,
        (1, 2, 2): 1, (1, NEW, 2): 1, (1, 1, 1): 4,
        (2, 2, 2): 2, (2, 1, GONE): 1, (2, 1, 1): 3,
        (3, 2, 2): 2, (3, 1, 1): 3,
    }  # fmt: skip


def test_of_several_moves_between_two_instants_the_outcome_counts() -> None:
    found = flows([("a", 1, 1, None, 1), ("a", 2, 11, 1, 2), ("a", 3, 12, 2, 3)], {3: 1})
    assert found[0, 1, 3] == 1


def test_sizes_at_every_instant_are_those_of_the_flows() -> None:
    changes = [change("a", 1, 5, None, 1), change("a", 2, 45, 1, 2), change("b", 1, 25, None, 2)]
    found = flows_of(histories(changes), {2: 2}, at(0), at(50))
    assert found is not None
    sizes = [found.sizes(k) for k in range(INSTANTS)]
    assert sizes == [
        Counter({1: 1}), Counter({1: 1, NEW: 1}), Counter({1: 1, 2: 1}), Counter({1: 1, 2: 1}),
        Counter({2: 2}),
    ]  # fmt: skip
    assert found.moves == [Flow(1, NEW, 2, 1), Flow(3, 1, 2, 1)]


def test_more_changes_than_accounts_are_no_negative_flow() -> None:
    """Workers go on while a report reads: sizes are a little older than changes."""
    assert min(flows([("a", 1, 1, None, 1), ("b", 1, 1, None, 1)], {1: 1}).values()) > 0


def test_an_account_that_was_erased_and_comes_again_begins_anew() -> None:
    found = flows([("a", 1, 5, None, 1), ("a", 2, 15, 1, None), ("a", 3, 45, None, 2)], {2: 1})
    assert found == {(0, 1, GONE): 1, (3, NEW, 2): 1}


def test_no_time_no_flows() -> None:
    assert flows_of({}, {1: 3}, at(1), at(1)) is None
