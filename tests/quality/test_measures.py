"""The measures themselves: what counts as a reversal, a kept segment, a reason that is true."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.changes.types import Moved, SegmentChange, SegmentRef, Standing
from stream_app.effects import Effects
from stream_app.events.instants import DAY, to_rfc3339
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.snapshot import Snapshot
from tests.engine.scenario import snapshot
from tests.features.build import START_US
from tests.quality.reasons import Reasons
from tests.quality.runs import moves, reversals
from tests.quality.section import Section
from tests.quality.stability import _Still

NAMES = [dimension.name for dimension in MODEL_VECTOR]


def change(
    account: str, day: float, previous: int | None, current: int, *why: Moved
) -> SegmentChange:
    at = to_rfc3339(START_US + round(day * DAY))
    return SegmentChange(
        account_id=account,
        sequence=1,
        previous=None if previous is None else SegmentRef(id=previous, name=str(previous)),
        current=SegmentRef(id=current, name=str(current)),
        why=list(why),
        reason="behaviour",
        margin=0.5,
        evidence_since=None,
        scores=Standing(engagement=1, engagement_band="cold", intent=1, intent_band="cold"),
        model_version=1,
        occurred_at=at,
        decided_at=at,
        lag_ms=0.0,
    )


def test_a_way_back_within_a_week_is_a_reversal() -> None:
    there, back = change("a", 0, 1, 2), change("a", 7, 2, 1)
    assert reversals([there, back]) == 1
    assert reversals([there, change("a", 7.1, 2, 1)]) == 0
    assert reversals([there, change("a", 3, 2, 3)]) == 0
    assert reversals([there, change("b", 3, 2, 1)]) == 0
    assert reversals([there, back, change("a", 9, 1, 2)]) == 2


def test_only_changes_between_segments_of_a_model_count() -> None:
    first, assigned, moved = change("a", 0, None, 0), change("a", 1, 0, 2), change("a", 2, 2, 1)
    assert moves([first, assigned, moved]) == [moved]
    assert moves([moved], START_US + 3 * DAY) == []


def test_an_account_that_left_and_came_back_is_kept_but_has_left() -> None:
    still = _Still({"a": 1, "b": 2}, {"a": 1, "b": 3}, [change("a", 1, 1, 2), change("a", 2, 2, 1)])
    assert (still.kept, still.never_left) == (0.5, 0.5)


@pytest.mark.parametrize(("versions", "reused"), [([{1, 2}, {1, 3}], 0), ([{1, 2}, {1}, {2}], 1)])
def test_an_id_that_comes_again_is_noticed(versions: list[set[int]], reused: int) -> None:
    assert _Still(versions=versions).reused == reused


def judged(why: Moved, model: Snapshot, now: dict[str, float]) -> bool:
    """Whether the reason of a move from segment 1 to 2 is true."""
    reasons = Reasons()
    vector = np.zeros(len(NAMES))
    for name, value in now.items():
        vector[NAMES.index(name)] = np.log1p(value)
    reasons.changes.append((change("a", 0, 1, 2, why), vector))
    (verdict,) = reasons.faithful({1: model}, 0.0)
    return verdict


def test_a_reason_is_true_when_putting_it_back_undoes_the_change() -> None:
    model = snapshot(1, {}, {"web_visits_28d": 20.0})
    now = {"web_visits_28d": 20.0, "contacts_28d": 1.0}
    pages = Moved(feature="web_visits_28d", label="", unit="", before=1.0, now=20.0)
    people = Moved(feature="contacts_28d", label="", unit="", before=0.0, now=1.0)
    assert judged(pages, model, now)
    assert not judged(people, model, now)


def test_a_change_into_the_first_model_has_no_reason_to_judge() -> None:
    reasons, effects = Reasons(), Effects(np.empty(0, np.int64))
    effects.changes.append(change("a", 0, 0, 1))
    reasons.observe(effects)
    assert (reasons.changes, reasons.passed_over) == ([], 0)


def test_a_target_is_met_or_missed() -> None:
    section = Section("One")
    section.add("share", 0.98, at_least=0.99, figure="share")
    section.add("count", 2.0, at_most=2.0)
    section.add("note", 1.0)
    assert [row.passed for row in section.rows] == [False, True, None]
    assert section.figures == {"share": 0.98}
