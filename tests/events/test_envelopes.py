"""The same event is the same event, bare or in a CloudEvent of either mode."""

from __future__ import annotations

from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from stream_app.events import cloudevents
from stream_app.events.decode import Reason
from stream_app.events.instants import parse
from stream_app.events.types import WebsiteVisit
from tests.events.records import (
    ANY,
    TYPES,
    VALID,
    VISIT,
    VISITS,
    encode,
    event_of,
    rejection_of,
    without,
)

TOPICS = list(TYPES)


def structured(body: dict[str, Any], **envelope: object) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": body["type"],
        "source": "/crm",
        "id": "envelope-id",
        "time": "2026-03-01T00:00:00+01:00",
        "datacontenttype": "application/json",
        "data": without(body, "type"),
    } | envelope


def binary(body: dict[str, Any], **envelope: str) -> tuple[tuple[str, bytes], ...]:
    attributes = {
        "specversion": "1.0",
        "type": body["type"],
        "source": "/crm",
        "id": "envelope-id",
        "time": "2026-03-01T00:00:00+01:00",
    } | envelope
    return tuple((f"ce_{name}", value.encode()) for name, value in attributes.items())


def test_a_bare_event_is_read_field_by_field() -> None:
    event = event_of(VISITS, VISIT)
    assert isinstance(event, WebsiteVisit)
    fields = without(VISIT, "type", "occurred_at")
    assert {name: getattr(event, name) for name in fields} == fields
    assert event.occurred_at.isoformat() == "2026-03-02T11:00:00+00:00"


def test_only_a_few_fields_are_required() -> None:
    assert event_of(VISITS, {"id": "1", "occurred_at": "2026-03-01T00:00:00Z", "account_id": "a"})


@pytest.mark.parametrize(("topic", "type_"), list(TYPES.items()))
@pytest.mark.parametrize("named", [True, False])
def test_the_topic_or_the_event_names_the_type(topic: str, type_: type, named: bool) -> None:
    body = VALID[topic]
    assert type(event_of(topic, body if named else without(body, "type"))) is type_
    assert type(event_of(ANY, body)) is type_


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("arrives_on", ["its own topic", "any"])
def test_structured_and_binary_mode_carry_the_same_event(topic: str, arrives_on: str) -> None:
    body = VALID[topic]
    to = topic if arrives_on == "its own topic" else ANY
    bare = event_of(to, body)
    assert event_of(to, structured(body)) == bare
    assert event_of(to, without(body, "type"), binary(body)) == bare


@pytest.mark.parametrize("topic", TOPICS)
def test_id_and_time_default_to_the_envelopes(topic: str) -> None:
    body = without(VALID[topic], "id", "occurred_at")
    for event in (
        event_of(topic, structured(body)),
        event_of(topic, without(body, "type"), binary(body)),
    ):
        assert event.id == "envelope-id"
        assert event.occurred_at.isoformat() == "2026-03-01T00:00:00+01:00"


def test_the_datas_own_id_and_time_win() -> None:
    event = event_of(VISITS, structured(VISIT))
    assert event.id == VISIT["id"]


@pytest.mark.parametrize("name", ["com.example.website.visit", "website.visit"])
def test_a_type_may_have_a_reverse_dns_name_before_it(name: str) -> None:
    assert type(event_of(ANY, structured(VISIT, type=name))) is WebsiteVisit
    assert type(event_of(ANY, without(VISIT, "type"), binary(VISIT, type=name))) is WebsiteVisit


def test_a_name_that_only_ends_alike_is_another_type() -> None:
    rejection = rejection_of(ANY, structured(VISIT, type="mywebsite.visit"))
    assert rejection.reason is Reason.UNKNOWN_TYPE


def test_an_envelope_of_the_wrong_type_is_refused_on_a_typed_topic() -> None:
    rejection = rejection_of(VISITS, structured(VISIT, type="email.engagement"))
    assert rejection.reason is Reason.UNKNOWN_TYPE


def test_an_envelope_does_not_stand_in_for_the_account() -> None:
    envelope = structured(without(VISIT, "account_id"), subject="acme")
    assert rejection_of(VISITS, envelope).reason is Reason.NO_ACCOUNT


def test_unknown_fields_are_ignored_everywhere() -> None:
    extra = VISIT | {"mood": "good", "nested": {"a": [1, {"b": None}]}}
    bare = event_of(VISITS, VISIT)
    assert event_of(VISITS, extra) == bare
    assert event_of(VISITS, structured(extra, traceparent="00-1-2-03")) == bare
    assert event_of(VISITS, without(extra, "type"), binary(VISIT, traceparent="x")) == bare


def test_headers_that_are_not_text_are_left_out() -> None:
    headers = (*binary(VISIT), ("ce_broken", b"\xff"), ("trace", b"\xff"))
    assert event_of(ANY, without(VISIT, "type"), headers).id == VISIT["id"]
    assert "broken" not in cloudevents.attributes_of(headers)


def test_published_headers_are_a_cloudevent_to_the_official_library() -> None:
    headers = cloudevents.headers(
        "segment.change", "acme:1", parse("2026-03-02T11:00:00.5Z"), "acme", modelversion="3"
    )
    event = from_binary_event(KafkaMessage(headers=dict(headers), key=b"acme", value=encode({})))
    assert event.get_type() == "segment.change"
    assert event.get_id() == "acme:1"
    assert event.get_source() == "/stream-app"
    assert event.get_subject() == "acme"
    assert event.get_specversion() == "1.0"
    time = event.get_time()
    assert time is not None
    assert time.isoformat() == "2026-03-02T11:00:00.500000+00:00"
    assert event.get_extension("modelversion") == "3"
    assert dict(headers)["content-type"] == b"application/json"


def test_an_event_about_no_one_has_no_subject() -> None:
    headers = dict(cloudevents.headers("model", "7", 0, None))
    assert "ce_subject" not in headers


def test_attributes_survive_headers() -> None:
    headers = cloudevents.headers("a.b", "ü:1", 0, "konto-ß")
    attributes = cloudevents.attributes_of(headers)
    assert attributes == {
        "specversion": "1.0",
        "type": "a.b",
        "source": "/stream-app",
        "id": "ü:1",
        "time": "1970-01-01T00:00:00Z",
        "subject": "konto-ß",
    }
