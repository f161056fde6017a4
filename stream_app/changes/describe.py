"""From decisions to payloads: changes, spikes, and where an account stands."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from stream_app.changes.reasons import why
from stream_app.changes.types import (
    AccountSegment,
    Band,
    FeatureSample,
    IntentSpike,
    Interest,
    ReasonCode,
    SegmentChange,
    SegmentRef,
    Standing,
)
from stream_app.events.instants import to_rfc3339
from stream_app.features import decay
from stream_app.features.table import Records
from stream_app.features.values import Floats, Values, values_at
from stream_app.intent.scores import BANDS, bands_of, scores_of
from stream_app.intent.spikes import Spike
from stream_app.segments.decide import Cause, Transition
from stream_app.segments.snapshot import (
    NO_SEGMENT,
    UNSEGMENTED,
    UNSEGMENTED_NAME,
    Assigner,
    retired_name,
)
from stream_app.settings import ScoreSettings

_REASONS: dict[Cause, ReasonCode] = {
    Cause.EVENT: "behaviour",
    Cause.SILENCE: "inactivity",
    Cause.MODEL: "model",
}


def segment_ref(segment: int, assigner: Assigner | None) -> SegmentRef:
    """Id and name; a segment that the model no longer has keeps a name that says so."""
    if segment in (UNSEGMENTED, NO_SEGMENT) or assigner is None:
        return SegmentRef(id=max(segment, UNSEGMENTED), name=UNSEGMENTED_NAME)
    name = assigner.names.get(segment) or retired_name(segment, assigner.snapshot)
    return SegmentRef(id=segment, name=name)


def standing(scores: Floats, bands: npt.NDArray[np.uint8]) -> Standing:
    """Scores and bands of one account."""
    engagement, intent = (round(float(score), 2) for score in scores)
    return Standing(
        engagement=engagement,
        engagement_band=cast(Band, BANDS[bands[0]]),
        intent=intent,
        intent_band=cast(Band, BANDS[bands[1]]),
    )


def segment_change(
    account_id: str,
    transition: Transition,
    vector: Floats,
    scores: Standing,
    assigner: Assigner | None,
    occurred_us: int,
    now_us: int | None,
) -> SegmentChange:
    """The payload of one transition."""
    previous, cause = transition.previous, transition.cause
    explained = assigner is not None and previous != NO_SEGMENT and cause != Cause.MODEL
    return SegmentChange(
        account_id=account_id,
        sequence=transition.sequence,
        previous=None if previous == NO_SEGMENT else segment_ref(previous, assigner),
        current=segment_ref(transition.current, assigner),
        reason="first_seen" if previous == NO_SEGMENT else _REASONS[cause],
        why=why(assigner, previous, transition.before.astype(np.float64), vector)
        if explained and assigner is not None
        else [],
        margin=None if transition.margin is None else round(transition.margin, 4),
        evidence_since=to_rfc3339(transition.evidence_us) if transition.evidence_us else None,
        scores=scores,
        model_version=assigner.snapshot.version if assigner else 0,
        occurred_at=to_rfc3339(occurred_us),
        decided_at=to_rfc3339(occurred_us if now_us is None else now_us),
        lag_ms=_lag_ms(occurred_us, now_us),
    )


def erased(
    account_id: str,
    record: np.void,
    assigner: Assigner | None,
    occurred_us: int,
    now_us: int | None,
) -> SegmentChange:
    """The last change of an account that is erased. It says no more than that it is gone."""
    return SegmentChange(
        account_id=account_id,
        sequence=int(record["sequence"]) + 1,
        previous=segment_ref(int(record["segment"]), assigner),
        current=None,
        reason="erased",
        why=[],
        margin=None,
        evidence_since=None,
        scores=standing(np.zeros(2), np.zeros(2, np.uint8)),
        model_version=assigner.snapshot.version if assigner else 0,
        occurred_at=to_rfc3339(occurred_us),
        decided_at=to_rfc3339(occurred_us if now_us is None else now_us),
        lag_ms=_lag_ms(occurred_us, now_us),
    )


def intent_spike(
    account_id: str,
    spike: Spike,
    topic: str,
    scores: Standing,
    segment: SegmentRef,
    occurred_us: int,
    now_us: int | None,
) -> IntentSpike:
    """The payload of one spike."""
    times = spike.visits / spike.expected
    return IntentSpike(
        account_id=account_id,
        number=spike.number,
        topic=topic,
        visits=round(spike.visits, 2),
        expected=round(spike.expected, 4),
        surprise=round(spike.surprise, 2),
        people=spike.people,
        summary=f"Unusual interest in {topic}: {times:.1f} times this account's usual level, "
        f"by about {spike.people} people.",
        segment=segment,
        scores=scores,
        occurred_at=to_rfc3339(occurred_us),
        decided_at=to_rfc3339(occurred_us if now_us is None else now_us),
        lag_ms=_lag_ms(occurred_us, now_us),
    )


def account_segment(
    account_id: str,
    record: np.void,
    values: Values,
    i: int,
    scores: Standing,
    assigner: Assigner | None,
    topic_names: dict[int, str],
    at_us: int,
) -> AccountSegment:
    """Where an account stands, from its record and features `i` of `values`, as of `at_us`."""
    return AccountSegment(
        account_id=account_id,
        sequence=int(record["sequence"]),
        segment=segment_ref(int(record["segment"]), assigner),
        since=to_rfc3339(int(record["since_us"])),
        scores=scores,
        interests=interests(record, topic_names, at_us),
        features=values.named(i),
        model_version=int(record["model"]),
        as_of=to_rfc3339(at_us),
    )


def account_at(
    account_id: str,
    records: Records,
    assigner: Assigner | None,
    topic_names: dict[int, str],
    at_us: int,
    settings: ScoreSettings,
) -> AccountSegment:
    """Where the account of the single record in `records` stands as of `at_us`."""
    values = values_at(records, np.array([at_us]))
    scores = scores_of(values, settings)
    bands = bands_of(scores, records["bands"], settings)
    return account_segment(
        account_id,
        records[0],
        values,
        0,
        standing(scores[0], bands[0]),
        assigner,
        topic_names,
        at_us,
    )


def interests(record: np.void, topic_names: dict[int, str], at_us: int) -> list[Interest]:
    """Topics that the account follows, by recent, then usual interest."""
    fading = decay.fading(np.array([at_us]), np.array([record["period"]]))[0]
    found = [
        Interest(
            topic=topic_names.get(int(slot["topic"]), "(other)"),
            recent=round(float(slot["fast"] * fading[0]), 3),
            usual=round(float(slot["slow"] * fading[2]), 3),
        )
        for slot in record["topics"]
        if slot["topic"]
    ]
    return sorted(found, key=lambda i: (-i.recent, -i.usual, i.topic))


def feature_sample(account_id: str, vector: Floats, at_us: int) -> FeatureSample:
    """A training vector of one account."""
    return FeatureSample(account_id=account_id, at=to_rfc3339(at_us), vector=vector.tolist())


def _lag_ms(occurred_us: int, now_us: int | None) -> float:
    return 0.0 if now_us is None else max(now_us - occurred_us, 0) / 1_000
