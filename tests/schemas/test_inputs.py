"""The decoder and the schemas agree on what a good input is."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from stream_app.events.decode import Decoder, Reason
from stream_app.events.instants import parse
from stream_app.events.types import EVENT_TYPES
from stream_app.schemas import event_schemas
from stream_app.streams.topics import CONTENT_DOWNLOADS, EMAIL_EVENTS, WEBSITE_VISITS
from stream_app.traffic import Traffic, TrafficConfig
from tests.schemas.checks import is_valid, validator

NOW_US = parse("2026-06-01T00:00:00Z")
NAMES = {
    WEBSITE_VISITS.name: "website.visit",
    CONTENT_DOWNLOADS.name: "content.download",
    EMAIL_EVENTS.name: "email.engagement",
}
TOPICS = {name: topic for topic, name in NAMES.items()}
OF_THE_SCHEMA = {
    Reason.UNKNOWN_TYPE,
    Reason.UNKNOWN_KIND,
    Reason.NO_ACCOUNT,
    Reason.MISSING_FIELD,
    Reason.INVALID_FIELD,
    Reason.NOT_AN_OBJECT,
}
"""Reasons that a schema can see; the others are about bytes, size and the clock."""

DECODER = Decoder({topic: EVENT_TYPES[name] for topic, name in NAMES.items()})


class Sent(NamedTuple):
    topic: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def reason_for(topic: str, body: object) -> Reason | None:
    """Why the decoder refuses a body; None: it does not."""
    decoded = DECODER.decode([Sent(topic, msgspec.json.encode(body))], NOW_US)
    return decoded.rejections[0].reason if decoded.rejections else None


def example(name: str) -> dict[str, Any]:
    """The full example of a schema."""
    return dict(event_schemas()[name].document["examples"][0])


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


@pytest.mark.parametrize("name", NAMES.values())
def test_the_decoder_accepts_the_examples(name: str) -> None:
    for schema in (name, f"{name}.cloudevent"):
        for body in event_schemas()[schema].document["examples"]:
            assert reason_for(TOPICS[name], body) is None


WRONG = (
    {"id": ""},
    {"id": None},
    {"id": 7},
    {"id": "x" * 257},
    {"occurred_at": None},
    {"occurred_at": 1_767_600_000},
    {"occurred_at": "2026-01-05"},
    {"occurred_at": "2026-01-05T08:00:00"},
    {"occurred_at": "2026-02-30T08:00:00Z"},
    {"account_id": ""},
    {"account_id": None},
    {"account_id": ["a"]},
    {"contact_id": 12},
    {"contact_id": "x" * 257},
    {"topics": 42},
    {"topics": "pricing"},
    {"topics": [""]},
    {"topics": [None]},
    {"topics": ["x" * 129]},
    {"topics": ["x"] * 33},
    {"type": "teleported"},
    {"type": 7},
)
WRONG_OF: dict[str, tuple[dict[str, Any], ...]] = {
    "website.visit": (
        {"url": None},
        {"url": "x" * 4_097},
        {"page_category": 1},
        {"dwell_seconds": -1},
        {"dwell_seconds": "12"},
        {"dwell_seconds": True},
        {"session_id": None},
        {"referrer": 1},
        {"type": "content.download"},
    ),
    "content.download": (
        {"stage": "teleported"},
        {"stage": None},
        {"title": "x" * 1_025},
        {"asset_id": 5},
    ),
    "email.engagement": (
        {"kind": "teleported"},
        {"kind": ["opened"]},
        {"machine_open": 1},
        {"machine_open": "yes"},
        {"link_url": {}},
    ),
}
NEEDED = {
    "website.visit": ("id", "occurred_at", "account_id"),
    "content.download": ("id", "occurred_at", "account_id", "stage"),
    "email.engagement": ("id", "occurred_at", "account_id", "kind"),
}


@pytest.mark.parametrize(
    ("name", "fields"),
    [(name, fields) for name in NEEDED for fields in (*WRONG, *WRONG_OF[name])],
    ids=lambda value: str(value)[:60],
)
def test_both_refuse_a_field_that_does_not_fit(name: str, fields: dict[str, Any]) -> None:
    body = example(name) | fields
    assert reason_for(TOPICS[name], body) in OF_THE_SCHEMA
    assert not is_valid(name, body)


@pytest.mark.parametrize(
    ("name", "field"), [(n, f) for n, fields in NEEDED.items() for f in fields]
)
def test_both_refuse_a_missing_field(name: str, field: str) -> None:
    body = without(example(name), field)
    assert reason_for(TOPICS[name], body) in {Reason.MISSING_FIELD, Reason.NO_ACCOUNT}
    assert not is_valid(name, body)


@pytest.mark.parametrize("body", [None, [], "text", 1.5, True])
def test_both_refuse_what_is_no_object(body: object) -> None:
    for name, topic in TOPICS.items():
        assert reason_for(topic, body) is Reason.NOT_AN_OBJECT
        assert not is_valid(name, body)


GOOD: tuple[dict[str, Any], ...] = (
    {"type": "website.visit"},
    {"type": "com.example.website.visit"},
    {"occurred_at": "2026-01-05T08:00:00Z"},
    {"occurred_at": "2026-01-05t08:00:00.123456789+13:45"},
    {"dwell_seconds": 0},
    {"dwell_seconds": 1e12},
    {"topics": []},
    {"contact_id": None, "referrer": None, "campaign_id": None},
    {"url": "", "session_id": "", "page_category": ""},
    {"nested": {"deeply": [1, 2, {"x": None}]}},
)


@pytest.mark.parametrize("fields", GOOD, ids=str)
def test_both_accept_what_fits(fields: dict[str, Any]) -> None:
    body = example("website.visit") | fields
    assert reason_for(WEBSITE_VISITS.name, body) is None
    assert is_valid("website.visit", body)
    assert is_valid("website.visit", without(body, "type"))


TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["x" * n for n in (128, 129, 256, 257)]))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10_000),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.lists(TEXTS, max_size=3),
    st.sampled_from(["opened", "decision", "2026-01-05T08:00:00Z", "2026-01-05T08:00:00+01:00"]),
)


@given(st.data())
def test_they_agree_on_any_values(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(NEEDED)))
    body = without(example(name), "type")
    for field in data.draw(st.lists(st.sampled_from(sorted(body)), min_size=1, max_size=3)):
        body[field] = data.draw(VALUES)
    for field in data.draw(st.lists(st.sampled_from(sorted(body)), max_size=1)):
        del body[field]
    reason = reason_for(TOPICS[name], body)
    assert reason in OF_THE_SCHEMA | {None}
    assert is_valid(name, body) == (reason is None)


@pytest.mark.parametrize("name", NEEDED)
def test_they_agree_on_cloudevents(name: str) -> None:
    whole = example(f"{name}.cloudevent")
    topic, schema = TOPICS[name], f"{name}.cloudevent"
    bad = [
        without(whole, "id"),
        without(whole, "time"),
        whole | {"time": "2026-01-05T08:00:00"},
        whole | {"type": "com.example.teleported"},
        whole | {"data": 5},
        whole | {"data": without(whole["data"], "account_id")},
        whole | {"data": whole["data"] | {"topics": 42}},
    ]
    for body in bad:
        assert reason_for(topic, body) in OF_THE_SCHEMA
        assert not is_valid(schema, body)
    time = whole["time"]
    inside = without(whole, "time") | {"data": whole["data"] | {"occurred_at": time}}
    for body in (whole, inside, whole | {"added": "later"}):
        assert reason_for(topic, body) is None
        assert is_valid(schema, body)


@pytest.mark.parametrize("name", NEEDED)
def test_the_decoder_reads_what_the_official_library_writes(name: str) -> None:
    envelope = example(f"{name}.cloudevent")
    data = envelope["data"]
    event = CloudEvent({"type": envelope["type"], "source": "/website"}, data)
    for message in (
        kafka.to_binary(event, JSONFormat()),
        kafka.to_structured(event, JSONFormat()),
    ):
        sent = Sent(TOPICS[name], message.value, tuple(message.headers.items()))
        decoded = DECODER.decode([sent], parse("2200-01-01T00:00:00Z"))
        assert decoded.rejections == []
        assert decoded.events[0].id == event.get_id()
        assert decoded.events[0].account_id == data["account_id"]
    structured = msgspec.json.decode(message.value)
    validator(f"{name}.cloudevent").validate(structured)


def test_synthetic_traffic() -> None:
    """Every good record fits its schema; of the bad ones, those whose fault a schema can see."""
    config = TrafficConfig(accounts=80, malformed_rate=0.2, email_contact_share=0.3)
    records = list(Traffic(config).records(days=3))
    decoded = DECODER.decode([Sent(r.topic, r.value) for r in records], NOW_US)
    reasons = {rejection.index: rejection.reason for rejection in decoded.rejections}
    seen = set()
    for index, record in enumerate(records):
        name = NAMES[record.topic]
        if record.flaw != "malformed":
            assert index not in reasons
            validator(name).validate(msgspec.json.decode(record.value))
        elif reasons[index] in OF_THE_SCHEMA:
            assert not is_valid(name, msgspec.json.decode(record.value))
            seen.add((name, reasons[index]))
    assert {name for name, _ in seen} == set(NAMES.values())
    assert {reason for _, reason in seen} >= OF_THE_SCHEMA - {Reason.NO_ACCOUNT}
