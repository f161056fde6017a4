"""From decisions to payloads: changes, spikes and training vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from stream_app.changes.accounts import Refs, standings
from stream_app.changes.reasons import why
from stream_app.changes.types import (
    FeatureSample,
    IntentSpike,
    ReasonCode,
    SegmentChange,
    Standing,
)
from stream_app.events.instants import to_rfc3339
from stream_app.features.values import Floats
from stream_app.intent.spikes import Spike
from stream_app.segments.decide import MODEL, Cause, Transition
from stream_app.segments.snapshot import NO_SEGMENT, Assigner

_REASONS: dict[Cause, ReasonCode] = {
    Cause.EVENT: "behaviour",
    Cause.SILENCE: "inactivity",
    Cause.MODEL: "model",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a batch is decided, and under which model."""

    assigner: Assigner | None
    refs: Refs
    now_us: int | None
    """None (replay): the instant of what caused it."""
    now: str

    @classmethod
    def of(cls, assigner: Assigner | None, now_us: int | None) -> Self:
        """`now_us` as text, once for all that is decided then."""
        return cls(assigner, Refs(assigner), now_us, "" if now_us is None else to_rfc3339(now_us))

    @property
    def model_version(self) -> int:
        """0: no model yet."""
        return self.assigner.snapshot.version if self.assigner else 0

    def lag_ms(self, occurred_us: int) -> float:
        """From an instant until now, as far as it lies before."""
        return 0.0 if self.now_us is None else max(self.now_us - occurred_us, 0) / 1_000


def segment_change(
    account_id: str,
    transition: Transition,
    vector: Floats,
    scores: Standing,
    occurred_us: int,
    moment: Moment,
) -> SegmentChange:
    """The payload of one transition."""
    previous, cause, assigner = transition.previous, transition.cause, moment.assigner
    occurred_at = to_rfc3339(occurred_us)
    return SegmentChange(
        account_id=account_id,
        sequence=transition.sequence,
        previous=None if previous == NO_SEGMENT else moment.refs[previous],
        current=moment.refs[transition.current],
        reason="first_seen" if previous == NO_SEGMENT else _REASONS[cause],
        why=why(assigner, previous, transition.before.astype(np.float64), vector)
        if assigner is not None and previous != NO_SEGMENT and cause != MODEL
        else [],
        margin=None if transition.margin is None else round(transition.margin, 4),
        evidence_since=to_rfc3339(transition.evidence_us) if transition.evidence_us else None,
        scores=scores,
        model_version=moment.model_version,
        occurred_at=occurred_at,
        decided_at=moment.now or occurred_at,
        lag_ms=moment.lag_ms(occurred_us),
    )


def erased(account_id: str, record: np.void, occurred_us: int, moment: Moment) -> SegmentChange:
    """The last change of an account that is erased. It says no more than that it is gone."""
    occurred_at = to_rfc3339(occurred_us)
    (scores,) = standings(np.zeros((1, 2)), np.zeros((1, 2), np.uint8))
    return SegmentChange(
        account_id=account_id,
        sequence=int(record["sequence"]) + 1,
        previous=moment.refs[int(record["segment"])],
        current=None,
        reason="erased",
        why=[],
        margin=None,
        evidence_since=None,
        scores=scores,
        model_version=moment.model_version,
        occurred_at=occurred_at,
        decided_at=moment.now or occurred_at,
        lag_ms=moment.lag_ms(occurred_us),
    )


def intent_spike(
    account_id: str,
    spike: Spike,
    topic: str,
    scores: Standing,
    segment: int,
    occurred_us: int,
    moment: Moment,
) -> IntentSpike:
    """The payload of one spike; `segment` is where the account was."""
    times = spike.visits / spike.expected
    occurred_at = to_rfc3339(occurred_us)
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
        segment=moment.refs[segment],
        scores=scores,
        occurred_at=occurred_at,
        decided_at=moment.now or occurred_at,
        lag_ms=moment.lag_ms(occurred_us),
    )


def feature_sample(account_id: str, vector: list[float], at_us: int) -> FeatureSample:
    """A training vector of one account."""
    return FeatureSample(account_id=account_id, at=to_rfc3339(at_us), vector=vector)
