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
Band = Annotated[
    Literal["cold", "warm", "engaged", "hot"],
    Meta(description="Level of the score, from cold over warm and engaged to hot."),
]
Score = Annotated[float, Meta(ge=0, le=100)]
AccountId = Annotated[str, Meta(min_length=1, description="The company. Also the record's key.")]


class _Payload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    events: Annotated[float, Meta(description="Decayed events on the topic, 1-day half-life.")]
    expected: Annotated[float, Meta(description="What the account's own baseline explains.")]
    surprise: Annotated[float, Meta(description="Evidence, in nats of the Poisson deviance.")]
    people: Annotated[int, Meta(ge=1, description="Distinct contacts, today and yesterday.")]
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
    features: Annotated[dict[str, float], Meta(description="All features, by name.")]
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


OUTPUT_TYPES: Mapping[type[Struct], str] = {
    SegmentChange: "stream-app.segment.change",
    IntentSpike: "stream-app.intent.spike",
    AccountSegment: "stream-app.account.segment",
    Snapshot: "stream-app.segment.model",
    FeatureSample: "stream-app.feature.sample",
    DeadLetter: "stream-app.dead-letter",
}
"""CloudEvents type of each payload that we publish."""
