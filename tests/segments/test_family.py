"""Who came from whom, along the versions that led to one."""

from __future__ import annotations

import msgspec

from stream_app.segments.family import Life, line_to, lives
from stream_app.segments.snapshot import Lineage, SegmentModel, Snapshot
from tests.worker.model import RESTLESS


def version(number: int, parent: int, names: dict[int, str], *steps: Lineage) -> Snapshot:
    segments = [
        SegmentModel(id=id_, name=name, description="", centre=[], share=0.0)
        for id_, name in names.items()
    ]
    return msgspec.structs.replace(
        RESTLESS, version=number, parent=parent, segments=segments, lineage=list(steps)
    )


def split(segment: int, *others: int) -> Lineage:
    return Lineage(kind="split", segment=segment, name="", others=list(others))


FIRST = version(1, 0, {1: "A", 2: "B"})
SECOND = version(2, 1, {1: "A", 2: "B", 3: "C"}, split(1, 3))
OTHER = version(3, 1, {1: "A", 9: "X"}, split(2, 9))
THIRD = version(
    4,
    2,
    {3: "Ours", 4: "D"},
    split(1, 4),
    Lineage(kind="merged", segment=2, name="B", others=[3]),
)
ALL = {snapshot.version: snapshot for snapshot in (FIRST, SECOND, OTHER, THIRD)}


def test_the_line_leaves_out_what_was_only_proposed() -> None:
    assert [snapshot.version for snapshot in line_to(4, ALL)] == [1, 2, 4]
    assert [snapshot.version for snapshot in line_to(3, ALL)] == [1, 3]
    assert line_to(7, ALL) == []


def test_the_line_begins_where_versions_are_not_stored_any_more() -> None:
    assert [snapshot.version for snapshot in line_to(4, {2: SECOND, 4: THIRD})] == [2, 4]


def test_each_segment_has_a_parent_and_an_end() -> None:
    assert lives(line_to(4, ALL)) == {
        1: Life(id=1, name="A", since=1, until=4, into=[4]),
        2: Life(id=2, name="B", since=1, until=4, into=[3]),
        3: Life(id=3, name="Ours", since=2, parent=1, former_names=["C"]),
        4: Life(id=4, name="D", since=4, parent=1),
    }


def test_a_segment_that_is_gone_without_a_word_is_gone() -> None:
    retired = version(2, 1, {1: "A"}, Lineage(kind="retired", segment=2, name="B"))
    assert lives([FIRST, retired])[2] == Life(id=2, name="B", since=1, until=2)
