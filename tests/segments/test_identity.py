"""Ids follow the accounts, and lineage says what became of the others."""

from __future__ import annotations

import numpy as np

from stream_app.segments.clusters import Clusters, Scale
from stream_app.segments.matching import carried, lineage

SCALE = Scale(np.zeros(1), np.ones(1))
LINE = np.repeat([[0.0], [1.0], [4.0], [5.0]], 30, axis=0)
"""Thirty vectors at each of four places."""


def at(*places: float, ids: tuple[int, ...] = ()) -> Clusters:
    centres = np.array([[place] for place in places])
    return Clusters(ids or tuple(range(1, len(places) + 1)), SCALE, centres)


def carry(old: Clusters | None, *places: float, last_id: int = 0) -> dict[float, int]:
    """Id of each new place."""
    new = carried(old, SCALE, np.array([[place] for place in places]), LINE, last_id)
    assert list(new.ids) == sorted(new.ids)
    return dict(zip(new.centres[:, 0].tolist(), new.ids, strict=True))


def told(old: Clusters, new: Clusters) -> list[tuple[str, int, list[int]]]:
    names = {id_: f"S{id_}" for id_ in (*old.ids, *new.ids)}
    return [(x.kind, x.segment, x.others) for x in lineage(old, new, LINE, names)]


def test_ids_stay_whatever_the_order_of_the_new_centres() -> None:
    assert carry(at(0, 1, 4), 4.4, 0.1, 0.9, last_id=3) == {0.1: 1, 0.9: 2, 4.4: 3}


def test_new_segments_get_ids_above_all_that_were_ever_given() -> None:
    assert carry(at(0, 1, 4.5), 0, 1, 4, 5, last_id=17) == {0: 1, 1: 2, 4: 3, 5: 18}


def test_first_ids_are_given_by_share() -> None:
    assert carry(None, 0.5, 4, 5) == {0.5: 1, 4: 2, 5: 3}


def test_a_segment_that_splits_says_so() -> None:
    assert told(at(0, 1, 4.5), at(0, 1, 4, 5)) == [("created", 4, []), ("split", 3, [4])]


def test_a_segment_that_is_taken_over_is_merged() -> None:
    assert told(at(0, 1, 4, 5), at(0, 1, 4.5, ids=(1, 2, 3))) == [("merged", 4, [3])]


def test_a_segment_without_accounts_is_retired() -> None:
    assert told(at(0, 1, 4.5, 90), at(0, 1, 4.5)) == [("retired", 4, [])]


def test_a_segment_that_gathers_from_several_is_created() -> None:
    old, new = at(0, 4), at(0, 2.5, 5, ids=(1, 3, 2))
    assert told(old, new)[0] == ("created", 3, [])


def test_nothing_is_said_where_nothing_happened() -> None:
    assert told(at(0, 1, 4.5), at(0.1, 1.1, 4.4)) == []
