"""Material for reports, small enough to check by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from stream_app.changes.types import (
    AccountSegment,
    IntentSpike,
    Moved,
    ReasonCode,
    SegmentRef,
    Standing,
)
from stream_app.events.instants import DAY, to_rfc3339
from stream_app.features.catalogue import DERIVED, ROLLING
from stream_app.report.material import Change, Material
from stream_app.segments.snapshot import Snapshot
from tests.engine.scenario import QUIET_OR_BUSY
from tests.features.build import START_US

END_US = START_US + 50 * DAY
SCORES = Standing(engagement=40.0, engagement_band="warm", intent=10.0, intent_band="cold")
MOVED = Moved(feature="web_visits_7d", label="page views this week", unit="pages", before=1, now=9)


def ref(segment: int | None) -> SegmentRef | None:
    return None if segment is None else SegmentRef(id=segment, name=f"Segment number {segment}")


def change(
    account: str,
    sequence: int,
    day: float,
    previous: int | None,
    current: int | None,
    reason: ReasonCode = "behaviour",
    engagement: float = 40.0,
) -> Change:
    """A change at so many days after the start."""
    at_us = START_US + round(day * DAY)
    segments = ref(previous), ref(current)
    return Change(account, sequence, at_us, *segments, reason, engagement, MOVED)


def account(account_id: str, segment: int, **features: float) -> AccountSegment:
    """An account with some features; the others are 0."""
    names = [feature.name for feature in (*ROLLING, *DERIVED)]
    return AccountSegment(
        account_id=account_id,
        sequence=1,
        segment=SegmentRef(id=segment, name=f"Segment number {segment}"),
        since="2025-01-06T00:00:00Z",
        scores=SCORES,
        interests=[],
        features=dict.fromkeys(names, 0.0) | features,
        model_version=1,
        as_of=to_rfc3339(END_US),
    )


def spike(account_id: str, number: int, day: float, surprise: float = 9.0, topic: str = "x") -> Any:
    at = to_rfc3339(START_US + round(day * DAY))
    return IntentSpike(
        account_id=account_id,
        number=number,
        topic=topic,
        visits=12.0,
        expected=2.0,
        surprise=surprise,
        people=3,
        summary="",
        segment=SegmentRef(id=1, name="Segment number 1"),
        scores=SCORES,
        occurred_at=at,
        decided_at=at,
        lag_ms=0.0,
    )


def material(
    changes: Iterable[Change] = (),
    *,
    models: tuple[Snapshot, ...] = (QUIET_OR_BUSY,),
    sizes: dict[int, int] | None = None,
    **others: Any,
) -> Material:
    """Material up to day 50. Unless `sizes` are given, accounts are those that have changes."""
    changes = tuple(changes)
    last = {each.account: each.current.id for each in changes if each.current}
    given: dict[str, Any] = {
        "source": "a test",
        "as_of_us": END_US,
        "events": 100,
        "models": models,
        "sizes": Counter(last.values()) if sizes is None else sizes,
        "accounts": (),
        "changes": changes,
        "changes_cut": False,
        "spikes": (),
        "letters": {},
    }
    return Material(**(given | others))


def renamed(model: Snapshot, segment: int, **fields: Any) -> Snapshot:
    """The model with other fields of one segment."""
    segments = [
        msgspec.structs.replace(each, **fields) if each.id == segment else each
        for each in model.segments
    ]
    return msgspec.structs.replace(model, segments=segments)
