"""Records as a log delivers them, and the decoder that the worker uses."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from stream_app.events.decode import Decoded, Decoder, Rejection
from stream_app.events.instants import parse
from stream_app.events.types import ContentDownload, EmailEngagement, Event, WebsiteVisit

NOW = "2026-03-02T12:00:00Z"
NOW_US = parse(NOW)
VISITS, DOWNLOADS, EMAILS = "website-visits", "content-downloads", "email-events"
ANY = "engagement"
"""A topic on which events name their own type."""
TYPES = {VISITS: WebsiteVisit, DOWNLOADS: ContentDownload, EMAILS: EmailEngagement}

COMMON = {"id": "e-1", "occurred_at": "2026-03-02T11:00:00Z", "account_id": "acme"}
VISIT = {
    **COMMON,
    "type": "website.visit",
    "contact_id": "c-1",
    "topics": ["pricing", "security"],
    "url": "https://example.com/pricing",
    "page_category": "pricing",
    "dwell_seconds": 90.0,
    "session_id": "s-1",
    "referrer": "https://search.example",
    "campaign_id": "spring",
}
DOWNLOAD = {
    **COMMON,
    "type": "content.download",
    "asset_id": "a-1",
    "asset_type": "whitepaper",
    "stage": "decision",
    "title": "How to choose",
}
EMAIL = {**COMMON, "type": "email.engagement", "kind": "clicked", "link_url": "https://example.com"}
VALID = {VISITS: VISIT, DOWNLOADS: DOWNLOAD, EMAILS: EMAIL}


class Record(NamedTuple):
    """What the decoder needs of a record."""

    topic: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def encode(body: object) -> bytes:
    """JSON of a body."""
    return json.dumps(body, ensure_ascii=False).encode()


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """A body that lacks some fields."""
    return {name: value for name, value in body.items() if name not in names}


def decoder(**limits: Any) -> Decoder:
    """The decoder as the worker sets it up."""
    return Decoder(TYPES, **limits)


def decode(*records: Record, now_us: int = NOW_US) -> Decoded:
    """Decode one batch."""
    return decoder().decode(records, now_us)


def event_of(topic: str, body: object, headers: tuple[tuple[str, bytes], ...] = ()) -> Event:
    """The event in a record that must be accepted."""
    decoded = decode(Record(topic, encode(body), headers))
    assert not decoded.rejections, decoded.rejections
    return decoded.events[0]


def rejection_of(
    topic: str,
    value: bytes | dict[str, Any] | None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Rejection:
    """The rejection of a record that must be refused."""
    decoded = decode(Record(topic, encode(value) if isinstance(value, dict) else value, headers))
    assert not decoded.events, decoded.events
    return decoded.rejections[0]
