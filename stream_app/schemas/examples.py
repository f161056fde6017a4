"""One or two examples of every event, part of its schema. All of it is invented."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from stream_app.changes.types import (
    AccountSegment,
    DeadLetter,
    FeatureSample,
    IntentSpike,
    Interest,
    ModelActivated,
    Moved,
    SegmentChange,
    SegmentCreated,
    SegmentMerged,
    SegmentRef,
    SegmentRenamed,
    SegmentRetired,
    SegmentSplit,
    Standing,
)
from stream_app.events.control import EraseAccount, EraseContact, RestateAccount
from stream_app.events.types import ContentDownload, EmailEngagement, WebsiteVisit
from stream_app.features.catalogue import DERIVED, MODEL_VECTOR, ROLLING, catalogue_hash
from stream_app.segments.snapshot import SegmentModel, Snapshot

PRODUCER = "com.example.web"

_AT = datetime(2026, 3, 2, 9, 41, 7, 250_000, tzinfo=UTC)
_AT_TEXT = "2026-03-02T09:41:07.250000Z"
_ACCOUNT = "acme-gmbh"
_READERS = SegmentRef(id=2, name="Newsletter readers")
_RESEARCHERS = SegmentRef(id=1, name="Pricing researchers")
_SCORES = Standing(engagement=61.4, engagement_band="engaged", intent=48.2, intent_band="engaged")
_WIDTH = len(MODEL_VECTOR)

_VISIT = WebsiteVisit(
    id="v-1001",
    occurred_at=_AT,
    account_id=_ACCOUNT,
    contact_id="c-77",
    topics=["pricing", "integrations"],
    url="https://www.example.com/pricing",
    page_category="pricing",
    dwell_seconds=42.5,
    session_id="s-5",
    referrer="https://search.example.com/",
    campaign_id="spring",
)
_DOWNLOAD = ContentDownload(
    id="d-2001",
    occurred_at=_AT,
    account_id=_ACCOUNT,
    contact_id="c-78",
    topics=["integrations"],
    asset_id="a-12",
    asset_type="whitepaper",
    stage="consideration",
    title="How to connect what you have",
)
_EMAIL = EmailEngagement(
    id="e-3001",
    occurred_at=_AT,
    account_id=_ACCOUNT,
    contact_id="c-79",
    topics=["integrations"],
    kind="clicked",
    campaign_id="spring",
    link_url="https://www.example.com/integrations",
)

_ERASE = EraseAccount(id="erase-501", occurred_at=_AT, account_id=_ACCOUNT)
_ERASE_CONTACT = EraseContact(
    id="erase-502", occurred_at=_AT, account_id=_ACCOUNT, contact_id="c-77"
)
_RESTATE = RestateAccount(id="restate-503", occurred_at=_AT, account_id=_ACCOUNT)

_CHANGE = SegmentChange(
    account_id=_ACCOUNT,
    sequence=3,
    previous=_READERS,
    current=_RESEARCHERS,
    reason="behaviour",
    why=[
        Moved(
            feature="pricing_pages_28d", label="pricing pages", unit="pages", before=0.0, now=6.81
        )
    ],
    evidence_since=None,
    margin=0.3127,
    scores=_SCORES,
    model_version=4,
    occurred_at=_AT_TEXT,
    decided_at="2026-03-02T09:41:07.418000Z",
    lag_ms=168.0,
)
_SPIKE = IntentSpike(
    account_id=_ACCOUNT,
    number=1,
    topic="integrations",
    visits=3.66,
    expected=0.28,
    surprise=7.27,
    people=3,
    summary="Unusual interest in integrations: 13.1 times this account's usual level, by about "
    "3 people.",
    segment=_RESEARCHERS,
    scores=_SCORES,
    occurred_at=_AT_TEXT,
    decided_at="2026-03-02T09:41:07.418000Z",
    lag_ms=168.0,
)
_ACCOUNT_SEGMENT = AccountSegment(
    account_id=_ACCOUNT,
    sequence=3,
    segment=_RESEARCHERS,
    since=_AT_TEXT,
    scores=_SCORES,
    interests=[Interest(topic="integrations", recent=7.94, usual=12.3)],
    features={feature.name: 0.0 for feature in (*ROLLING, *DERIVED)}
    | {"web_visits_7d": 11.4, "web_visits_28d": 19.2, "contacts_28d": 3.0, "momentum": 1.8},
    model_version=4,
    as_of=_AT_TEXT,
)
_MODEL = Snapshot(
    version=4,
    created_at=_AT_TEXT,
    catalogue=catalogue_hash(),
    dimensions=[dimension.name for dimension in MODEL_VECTOR],
    mean=[1.5] * _WIDTH,
    scale=[0.75] * _WIDTH,
    segments=[
        SegmentModel(
            id=1,
            name=_RESEARCHERS.name,
            description="More pricing pages than others.",
            centre=[0.8] * _WIDTH,
            share=0.25,
        ),
        SegmentModel(
            id=2,
            name=_READERS.name,
            description="Mostly opens e-mails.",
            centre=[-0.4] * _WIDTH,
            share=0.75,
        ),
    ],
    vectors=4_200,
    trained_from="2026-01-05T00:00:12Z",
    trained_until=_AT_TEXT,
)
_ACTIVATED = ModelActivated(
    number=7,
    model_version=4,
    previous=3,
    why="activated",
    by="maria",
    segments=[_RESEARCHERS, _READERS],
    occurred_at=_AT_TEXT,
)
_STEP: dict[str, Any] = {"model_version": 4, "parent": 3, "occurred_at": _AT_TEXT}
_QUIET = SegmentRef(id=5, name="Gone quiet")
_SAMPLE = FeatureSample(account_id=_ACCOUNT, at=_AT_TEXT, vector=[1.25] * _WIDTH)
_LETTER = DeadLetter(
    reason="missing_field",
    detail="the field occurred_at is missing",
    file="events.jsonl",
    line=17,
    value='{"id": "v-1002", "account_id": "acme-gmbh"}',
)


def _json(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _smallest(event: msgspec.Struct, *names: str) -> dict[str, Any]:
    """The least that a producer can send."""
    fields = _json(event)
    return {name: fields[name] for name in ("id", "occurred_at", "account_id", *names)}


def _cloudevent(event: msgspec.Struct) -> dict[str, Any]:
    data = _json(event)
    type_ = f"{PRODUCER}.{data.pop('type')}"
    id_, time = data.pop("id"), data.pop("occurred_at")
    return {
        "specversion": "1.0",
        "type": type_,
        "source": "/website",
        "id": id_,
        "time": time,
        "subject": _ACCOUNT,
        "datacontenttype": "application/json",
        "data": data,
    }


EXAMPLES: dict[str, list[Any]] = {
    "website.visit": [_json(_VISIT), _smallest(_VISIT)],
    "website.visit.cloudevent": [_cloudevent(_VISIT)],
    "content.download": [_json(_DOWNLOAD), _smallest(_DOWNLOAD, "stage")],
    "content.download.cloudevent": [_cloudevent(_DOWNLOAD)],
    "email.engagement": [_json(_EMAIL), _smallest(_EMAIL, "kind")],
    "email.engagement.cloudevent": [_cloudevent(_EMAIL)],
    "account.erase": [_json(_ERASE)],
    "account.erase.cloudevent": [_cloudevent(_ERASE)],
    "contact.erase": [_json(_ERASE_CONTACT)],
    "contact.erase.cloudevent": [_cloudevent(_ERASE_CONTACT)],
    "account.restate": [_json(_RESTATE)],
    "account.restate.cloudevent": [_cloudevent(_RESTATE)],
    "segment.change": [_json(_CHANGE)],
    "intent.spike": [_json(_SPIKE)],
    "account.segment": [_json(_ACCOUNT_SEGMENT)],
    "segment.model": [_json(_MODEL)],
    "model.activated": [_json(_ACTIVATED)],
    "segment.created": [_json(SegmentCreated(segment=_RESEARCHERS, **_STEP))],
    "segment.retired": [_json(SegmentRetired(segment=_QUIET, **_STEP))],
    "segment.split": [_json(SegmentSplit(segment=_READERS, into=[_RESEARCHERS], **_STEP))],
    "segment.merged": [_json(SegmentMerged(segment=_QUIET, into=[_READERS], **_STEP))],
    "segment.renamed": [_json(SegmentRenamed(segment=_READERS, before="Content readers", **_STEP))],
    "feature.sample": [_json(_SAMPLE)],
    "dead-letter": [_json(_LETTER)],
}
"""Examples by the name of the schema. The first is the fullest."""
