"""The payloads we publish. Writers are strict: these types are the schemas."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream_app.events.decode import Rejection
from stream_app.segments.snapshot import Instant, Snapshot

ReasonCode = Annotated[
    Literal["first_seen", "behaviour", "inactivity", "model", "definition", "erased"],
    Meta(
        description="first_seen: its first event. behaviour: its events. inactivity: silence. "
        "model: a new version of the model. definition: a segment was defined anew. "
        "erased: the account was deleted."
    ),
]
Why = Annotated[
    Literal["trained", "moved", "renamed", "activated", "rolled_back"],
    Meta(
        description="trained: the trainer chose the segments anew. moved: the trainer moved the "
        "centres a little. renamed: a person named a segment. activated: a person chose the "
        "version. rolled_back: a person went back to it."
    ),
]
Band = Annotated[
    Literal["cold", "warm", "engaged", "hot"],
    Meta(description="Level of the score, from cold over warm and engaged to hot."),
]
Score = Annotated[float, Meta(ge=0, le=100)]
AccountId = Annotated[str, Meta(min_length=1, description="The company. Also the record's key.")]


class _Payload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    pass


class SegmentRef(_Payload, frozen=True, kw_only=True):
    """A segment by id and name."""

    id: Annotated[int, Meta(ge=0, description="Stable. 0: unsegmented, before there is a model.")]
    name: str


class Moved(_Payload, frozen=True, kw_only=True):
    """One feature that moved the account."""

    feature: Annotated[str, Meta(description="Name of the model's dimension.")]
    label: Annotated[str, Meta(description="What it is, in plain words.")]
    unit: str
    before: Annotated[
        float,
        Meta(description="When the previous segment was entered, or a new model redrew it."),
    ]
    now: Annotated[float, Meta(description="At the decision.")]


class Standing(_Payload, frozen=True, kw_only=True):
    """Scores and bands."""

    engagement: Score
    engagement_band: Band
    intent: Score
    intent_band: Band


class SegmentChange(_Payload, frozen=True, kw_only=True):
    """An account moved from one segment to another."""

    account_id: AccountId
    sequence: Annotated[int, Meta(ge=1, description="Per account, without gaps.")]
    previous: Annotated[SegmentRef | None, Meta(description="null: the account is new.")]
    current: Annotated[SegmentRef | None, Meta(description="null: the account was erased.")]
    reason: ReasonCode
    why: Annotated[list[Moved], Meta(description="The features that decided, strongest first.")]
    margin: Annotated[
        float | None,
        Meta(description="0: on the border, 1: at the centre. null: there is no model yet."),
    ]
    evidence_since: Annotated[
        Instant | None,
        Meta(
            description="Weak evidence must last before it decides: since when it has. null: "
            "decided at once."
        ),
    ]
    scores: Standing
    model_version: Annotated[int, Meta(ge=0, description="0: no model yet.")]
    occurred_at: Annotated[
        Instant, Meta(description="When what caused it happened: the event, or the silence.")
    ]
    decided_at: Annotated[Instant, Meta(description="When it was decided.")]
    lag_ms: Annotated[float, Meta(ge=0, description="From `occurred_at` to `decided_at`.")]


class Interest(_Payload, frozen=True, kw_only=True):
    """Interest of an account in a topic."""

    topic: str
    recent: Annotated[float, Meta(description="Decayed events, 1-day half-life.")]
    usual: Annotated[float, Meta(description="Decayed events, 28-day half-life.")]


class IntentSpike(_Payload, frozen=True, kw_only=True):
    """Unusual interest of an account in a topic. It does not say that the account will buy."""

    account_id: AccountId
    number: Annotated[int, Meta(ge=1, description="Counts the account's spikes, without gaps.")]
    topic: str
    visits: Annotated[
        float,
        Meta(
            description="Decayed visits to the topic (a person within an hour), 3-hour half-life."
        ),
    ]
    expected: Annotated[float, Meta(description="Of these, what the account's habit explains.")]
    surprise: Annotated[float, Meta(description="Evidence, in nats of the Poisson deviance.")]
    people: Annotated[
        int, Meta(ge=1, description="Distinct contacts within the last 12 to 24 hours (estimate).")
    ]
    summary: Annotated[str, Meta(description="One sentence.")]
    segment: SegmentRef
    scores: Standing
    occurred_at: Annotated[Instant, Meta(description="When the event that raised it happened.")]
    decided_at: Annotated[Instant, Meta(description="When it was decided.")]
    lag_ms: Annotated[float, Meta(ge=0, description="From `occurred_at` to `decided_at`.")]


class AccountSegment(_Payload, frozen=True, kw_only=True):
    """Where an account stands: the newest per account, on a compacted topic.

    Published when its segment or a band changes, and with each spike.
    """

    account_id: AccountId
    sequence: Annotated[int, Meta(ge=0, description="Of the account's latest change.")]
    segment: SegmentRef
    since: Annotated[Instant, Meta(description="When it entered the segment.")]
    scores: Standing
    interests: Annotated[list[Interest], Meta(description="Strongest first.")]
    features: Annotated[
        dict[str, float], Meta(description="All features, by name, to seven digits.")
    ]
    model_version: Annotated[int, Meta(ge=0)]
    as_of: Annotated[Instant, Meta(description="Instant that scores and features refer to.")]


class FeatureSample(_Payload, frozen=True, kw_only=True):
    """Model vector of an account, for the trainer. May be lost."""

    account_id: AccountId
    at: Annotated[Instant, Meta(description="Instant that the vector refers to.")]
    vector: Annotated[list[float], Meta(description="In the snapshot's `dimensions` order.")]


class DeadLetter(_Payload, frozen=True, kw_only=True):
    """A line of a replay that was rejected. On Kafka the same facts are headers, and the value is
    the original record's."""

    reason: Annotated[str, Meta(description="Code of a rejection.")]
    detail: Annotated[str, Meta(description="One sentence for a person.")]
    file: Annotated[str, Meta(description="Where the line was read; `-`: standard input.")]
    line: Annotated[int, Meta(ge=1)]
    value: Annotated[str, Meta(description="The line, as text or base64.")]
    encoding: Literal["text", "base64"] = "text"

    @classmethod
    def of(cls, value: bytes, rejection: Rejection, file: str, line: int) -> DeadLetter:
        """The letter for a rejected line."""
        try:
            text, encoding = value.decode(), "text"
        except UnicodeDecodeError:
            text, encoding = b64encode(value).decode(), "base64"
        return cls(
            reason=rejection.reason.value,
            detail=rejection.detail,
            file=file,
            line=line,
            value=text,
            encoding=encoding,  # type: ignore[arg-type]
        )


class _SegmentStep(_Payload, frozen=True, kw_only=True):
    segment: SegmentRef
    model_version: Annotated[int, Meta(ge=1, description="The version that did it.")]
    parent: Annotated[
        int, Meta(ge=0, description="The version that it was made from; 0: none, it is the first.")
    ]
    occurred_at: Annotated[Instant, Meta(description="When the version came into use.")]


class SegmentCreated(_SegmentStep, frozen=True, kw_only=True):
    """There is a new segment."""


class SegmentRetired(_SegmentStep, frozen=True, kw_only=True):
    """A segment is gone, and no other took it over. Its id is never used again."""


class SegmentSplit(_SegmentStep, frozen=True, kw_only=True):
    """Some accounts of a segment went to new ones. It may stay itself."""

    into: Annotated[
        list[SegmentRef], Meta(min_length=1, description="The segments that took its accounts.")
    ]


class SegmentMerged(_SegmentStep, frozen=True, kw_only=True):
    """A segment is gone, and another one that stays took it over."""

    into: Annotated[list[SegmentRef], Meta(min_length=1, description="What took it over.")]


class SegmentRenamed(_SegmentStep, frozen=True, kw_only=True):
    """A segment has another name. It is the same segment."""

    before: Annotated[str, Meta(description="The name until then.")]


class ModelActivated(_Payload, frozen=True, kw_only=True):
    """A version of the model came into use."""

    number: Annotated[int, Meta(ge=1, description="Counts the activations, without gaps.")]
    model_version: Annotated[int, Meta(ge=1, description="May be lower than the one before.")]
    previous: Annotated[int, Meta(ge=0, description="The version in use before; 0: none.")]
    why: Why
    by: Annotated[str, Meta(description="`trainer`, or who did it.")]
    segments: Annotated[
        list[SegmentRef], Meta(min_length=1, description="All that there are from now on.")
    ]
    occurred_at: Instant


SEGMENT_STEPS: Mapping[str, type[_SegmentStep]] = {
    "created": SegmentCreated,
    "retired": SegmentRetired,
    "split": SegmentSplit,
    "merged": SegmentMerged,
    "renamed": SegmentRenamed,
}
"""Payload of each kind of `Lineage`."""
MODEL_TYPES: tuple[type[Struct], ...] = (Snapshot, ModelActivated, *SEGMENT_STEPS.values())
"""What is about the model and not about one account: all of it has the key `model`."""

OUTPUT_TYPES: Mapping[type[Struct], str] = {
    SegmentChange: "stream-app.segment.change",
    IntentSpike: "stream-app.intent.spike",
    AccountSegment: "stream-app.account.segment",
    Snapshot: "stream-app.segment.model",
    ModelActivated: "stream-app.model.activated",
    **{step: f"stream-app.segment.{kind}" for kind, step in SEGMENT_STEPS.items()},
    FeatureSample: "stream-app.feature.sample",
    DeadLetter: "stream-app.dead-letter",
}
"""CloudEvents type of each payload that we publish."""
