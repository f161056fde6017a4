"""Names that people give to segments: what is refused, what is kept, and what is retold."""

from __future__ import annotations

import msgspec
import pytest

from stream_app.errors import NotFound, UsageError
from stream_app.segments.renaming import keep_user_names, rename, user_names
from stream_app.segments.snapshot import HealthCheck, Snapshot
from tests.worker.model import RESTLESS

_SAID = "The smallest segment, Rare, has 5 %; Rare, quiet has more."


def named(*names: str, **changes: object) -> Snapshot:
    """With segments of these names, which rules and health speak of."""
    pairs = zip(RESTLESS.segments[: len(names)], names, strict=True)
    return msgspec.structs.replace(
        RESTLESS,
        segments=[msgspec.structs.replace(segment, name=name) for segment, name in pairs],
        rules=["visits < 3: Rare (90 %)", "visits >= 3: Rare, quiet (80 %)"],
        health=[HealthCheck(name="sustainable", value=0.05, threshold="", passed=True, says=_SAID)],
        **changes,
    )


BEFORE = named("Rare", "Rare, quiet")
FIRST = BEFORE.segments[0].id


def test_a_renamed_segment_has_the_name_everywhere() -> None:
    after = rename(BEFORE, FIRST, "Dormant")
    assert [s.name for s in after.segments] == ["Dormant", "Rare, quiet"]
    assert after.rules == ["visits < 3: Dormant (90 %)", "visits >= 3: Rare, quiet (80 %)"]
    assert after.health[0].says == "The smallest segment, Dormant, has 5 %; Rare, quiet has more."
    assert user_names(after) == {FIRST: "Dormant"}
    assert (after.parent, after.cause) == (BEFORE.version, "renamed")
    (step,) = after.lineage
    assert (step.kind, step.segment, step.name, step.before) == (
        "renamed",
        FIRST,
        "Dormant",
        "Rare",
    )


def test_a_name_may_be_given_again_and_in_other_letters() -> None:
    assert user_names(rename(BEFORE, FIRST, "RARE")) == {FIRST: "RARE"}


@pytest.mark.parametrize("name", ["", " \t", "x" * 81, "a\x00b", "rare, QUIET", "Unsegmented"])
def test_a_name_that_will_not_do_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        rename(BEFORE, FIRST, name)


def test_a_segment_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(NotFound) as raised:
        rename(BEFORE, 999, "x")
    assert f"{FIRST} (Rare)" in raised.value.hint


def test_a_proposal_without_the_names_gets_them() -> None:
    active = rename(BEFORE, FIRST, "Dormant")
    copy = keep_user_names(BEFORE, active, 7)
    assert copy is not None
    assert copy.version == 7
    assert user_names(copy) == {FIRST: "Dormant"}


def test_a_proposal_that_has_the_names_stays_as_it_is() -> None:
    active = rename(BEFORE, FIRST, "Dormant")
    assert keep_user_names(active, active, 7) is None
    without = msgspec.structs.replace(BEFORE, segments=BEFORE.segments[1:])
    assert keep_user_names(without, active, 7) is None, "the segment is gone"


def test_the_model_gives_way_to_a_persons_name() -> None:
    active = rename(BEFORE, FIRST, "Dormant")
    copy = keep_user_names(named("Rare", "dormant"), active, 7)
    assert copy is not None
    assert [s.name for s in copy.segments] == ["Dormant", "dormant 2"]
