"""Every way in which a record can be bad ends in its own reason code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.events.decode import Reason, Rejection
from stream_app.events.instants import SECOND, to_rfc3339
from tests.events.records import (
    ANY,
    DOWNLOAD,
    DOWNLOADS,
    EMAIL,
    EMAILS,
    NOW_US,
    TYPES,
    VISIT,
    VISITS,
    Record,
    decode,
    decoder,
    encode,
    rejection_of,
    without,
)


def visit(**fields: object) -> bytes:
    return encode(VISIT | fields)


def visit_with(raw: str | bytes) -> bytes:
    """A visit whose JSON text ends in a raw piece, which need not be JSON."""
    head = json.dumps(VISIT).encode()[:-1]
    return head + b", " + (raw.encode() if isinstance(raw, str) else raw) + b"}"


EMPTY = [None, b""]
NOT_JSON = {
    "prose": b"hello",
    "blank": b"   ",
    "cut off": encode(VISIT)[:-10],
    "two values": b"{}{}",
    "NaN": visit_with('"dwell_seconds": NaN'),
    "Infinity": visit_with('"dwell_seconds": Infinity'),
    "minus Infinity": visit_with('"dwell_seconds": -Infinity'),
    "NaN in a field that nobody reads": visit_with('"mood": NaN'),
    "single quotes": b"{'id': 'e-1'}",
    "a comment": b'{"id": "e-1" /* first */}',
    "zero bytes": bytes(100),
    "byte order mark": b"\xef\xbb\xbf" + encode(VISIT),
}
INVALID_ENCODING = {
    "raw surrogate": visit_with(b'"url": "\xed\xa0\x80"'),
    "Latin-1": visit_with('"title": "é", "url": "é"'.encode("latin-1")),
    "UTF-16": json.dumps(VISIT).encode("utf-16"),
    "no text at all": b"\xff\xfe\xfd",
    "a text that is no object": b'"\xff"',
    "a list that is no object": b'[{"mood": "\xff"}]',
    "escaped high surrogate": visit_with(r'"url": "\ud800"'),
    "escaped high surrogate before text": visit_with(r'"url": "\ud800 and more text"'),
    "escaped low surrogate": visit_with(r'"url": "\udc00"'),
    "two high surrogates": visit_with(r'"url": "\ud800\ud800"'),
    "the wrong way round": visit_with(r'"url": "\udc00\ud800"'),
    "in the account": encode(VISIT).replace(b'"acme"', rb'"\udfff"'),
    "in a field that nobody reads": visit_with(r'"mood": "\ud800"'),
    "in the name of a field": visit_with(r'"\ud800": 1'),
}
NOT_AN_OBJECT: dict[str, bytes] = {
    "array": b"[]",
    "array of events": encode([VISIT]),
    "string": b'"hello"',
    "number": b"12",
    "true": b"true",
    "null": b"null",
    "CloudEvent whose data is a list": encode(
        {"specversion": "1.0", "type": "website.visit", "data": [VISIT]}
    ),
    "CloudEvent whose data is text": encode(
        {"specversion": "1.0", "type": "website.visit", "data": json.dumps(VISIT)}
    ),
    "CloudEvent without data": encode(
        {"specversion": "1.0", "type": "website.visit", "data": None}
    ),
}
INVALID_FIELD: dict[str, bytes] = {
    "id is a number": visit(id=7),
    "id is empty": visit(id=""),
    "id is too long": visit(id="x" * 257),
    "id is null": visit(id=None),
    "url is a list": visit(url=["https://example.com"]),
    "url is too long": visit(url="x" * 4097),
    "dwell is text": visit(dwell_seconds="90"),
    "dwell is negative": visit(dwell_seconds=-1),
    "dwell is true": visit(dwell_seconds=True),
    "dwell is beyond any float": visit_with('"dwell_seconds": 1e400'),
    "dwell has 5,000 digits": visit_with('"dwell_seconds": ' + "9" * 5_000),
    "topics is text": visit(topics="pricing"),
    "topics has a number": visit(topics=["pricing", 1]),
    "topics has an empty name": visit(topics=[""]),
    "topics is too long": visit(topics=["t"] * 33),
    "contact is an object": visit(contact_id={"email": "x"}),
    "time without an offset": visit(occurred_at="2026-03-02T11:00:00"),
    "a date alone": visit(occurred_at="2026-03-02"),
    "a time that is a number": visit(occurred_at=1_772_449_200),
    "a leap second": visit(occurred_at="2016-12-31T23:59:60Z"),
    "the 30th of February": visit(occurred_at="2026-02-30T00:00:00Z"),
    "hour 24": visit(occurred_at="2026-03-02T24:00:00Z"),
    "no time": visit(occurred_at=""),
    "time is null": visit(occurred_at=None),
}
NO_ACCOUNT = {
    "missing": encode(without(VISIT, "account_id")),
    "empty": visit(account_id=""),
    "null": visit(account_id=None),
    "a number": visit(account_id=7),
    "too long": visit(account_id="x" * 257),
}
CASES = [
    *(pytest.param(Reason.NOT_JSON, value, id=f"not JSON: {n}") for n, value in NOT_JSON.items()),
    *(
        pytest.param(Reason.INVALID_ENCODING, value, id=f"encoding: {name}")
        for name, value in INVALID_ENCODING.items()
    ),
    *(
        pytest.param(Reason.NOT_AN_OBJECT, value, id=f"no object: {name}")
        for name, value in NOT_AN_OBJECT.items()
    ),
    *(
        pytest.param(Reason.INVALID_FIELD, value, id=f"field: {name}")
        for name, value in INVALID_FIELD.items()
    ),
    *(
        pytest.param(Reason.NO_ACCOUNT, value, id=f"account: {name}")
        for name, value in NO_ACCOUNT.items()
    ),
]


@pytest.mark.parametrize(("reason", "value"), CASES)
@pytest.mark.parametrize("topic", [VISITS, ANY])
def test_a_bad_record_has_its_own_reason(reason: Reason, value: bytes, topic: str) -> None:
    assert rejection_of(topic, value).reason is reason


@pytest.mark.parametrize("value", EMPTY)
def test_a_tombstone_or_an_empty_value_is_empty(value: bytes | None) -> None:
    assert rejection_of(VISITS, value).reason is Reason.EMPTY


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [2_000, 40_000])
def test_deep_nesting_is_refused_and_not_a_crash(opening: bytes, depth: int) -> None:
    closing = b"]" if opening == b"[" else b"}"
    nested = opening * depth + b"1" + closing * depth
    assert rejection_of(VISITS, nested).reason is Reason.TOO_DEEP
    assert rejection_of(VISITS, visit_with(b'"mood": ' + nested)).reason is Reason.TOO_DEEP


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("name", ["type", "mood"])
@pytest.mark.parametrize("enveloped", [False, True])
def test_any_depth_ends_in_a_decision(
    opening: bytes, closing: bytes, name: str, enveloped: bool
) -> None:
    """The limit lies somewhere below 1,500. At every depth around it the stream goes on: at none
    does one part of the decoder go on where the next one gives up."""
    values = []
    for depth in [50, *range(800, 1_100), 1_500]:
        value = visit_with(
            b'"%s": %s1%s' % (name.encode(), opening * depth, closing * depth),
        )
        values.append(b'{"specversion": "1.0", "data": %s}' % value if enveloped else value)
    decoded = decode(*(Record(ANY, value) for value in values))
    assert len(decoded.events) + len(decoded.rejections) == len(values)
    assert decoded.rejections[-1] == Rejection(
        len(values) - 1, Reason.TOO_DEEP, "the value is nested too deeply"
    )
    first = Reason.UNKNOWN_TYPE if name == "type" else None
    assert [r.reason for r in decoded.rejections[:1] if r.index == 0] == ([first] if first else [])


@pytest.mark.parametrize("number", ["1e308", "5e-324", "9" * 5_000, "1e400", "-0.0e-0"])
@pytest.mark.parametrize("enveloped", [False, True])
def test_numbers_that_nobody_reads_do_not_matter(number: str, enveloped: bool) -> None:
    value = visit_with(f'"mood": {number}')
    enveloped_value = b'{"specversion": "1.0", "mood": %s, "data": %s}' % (number.encode(), value)
    decoded = decode(Record(ANY, enveloped_value if enveloped else value))
    assert not decoded.rejections


def test_a_record_of_two_megabytes_is_too_large() -> None:
    assert rejection_of(VISITS, visit(url="x" * 2_000_000)).reason is Reason.TOO_LARGE
    assert rejection_of(VISITS, b"x" * 2_000_000).reason is Reason.TOO_LARGE


def test_the_size_limit_is_a_setting_and_inclusive() -> None:
    value = encode(VISIT)
    fits = decoder(max_bytes=len(value)).decode([Record(VISITS, value)], NOW_US)
    assert len(fits.events) == 1
    too_large = decoder(max_bytes=len(value) - 1).decode([Record(VISITS, value)], NOW_US)
    assert [r.reason for r in too_large.rejections] == [Reason.TOO_LARGE]


@pytest.mark.parametrize("field", ["id", "occurred_at"])
@pytest.mark.parametrize("topic", [VISITS, ANY])
def test_a_missing_field_is_named(field: str, topic: str) -> None:
    rejection = rejection_of(topic, without(VISIT, field))
    assert rejection.reason is Reason.MISSING_FIELD
    assert field in rejection.detail


@pytest.mark.parametrize(
    ("topic", "body", "field"), [(DOWNLOADS, DOWNLOAD, "stage"), (EMAILS, EMAIL, "kind")]
)
def test_fields_of_a_type_may_be_missing_too(topic: str, body: dict[str, Any], field: str) -> None:
    rejection = rejection_of(topic, without(body, field))
    assert (rejection.reason, field in rejection.detail) == (Reason.MISSING_FIELD, True)


def test_an_object_without_anything_misses_fields() -> None:
    assert rejection_of(VISITS, b"{}").reason is Reason.MISSING_FIELD


@pytest.mark.parametrize("kind", ["forwarded", "", "CLICKED", 3, None, ["clicked"]])
def test_an_email_of_an_unknown_kind(kind: object) -> None:
    assert rejection_of(EMAILS, EMAIL | {"kind": kind}).reason is Reason.UNKNOWN_KIND


def test_a_download_of_an_unknown_stage_is_an_invalid_field() -> None:
    assert rejection_of(DOWNLOADS, DOWNLOAD | {"stage": "later"}).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("type_", ["website", "website.visit.2", "WEBSITE.VISIT", 5, {}, ["x"]])
@pytest.mark.parametrize("topic", [VISITS, ANY])
def test_an_unknown_type(type_: object, topic: str) -> None:
    assert rejection_of(topic, VISIT | {"type": type_}).reason is Reason.UNKNOWN_TYPE


def test_an_event_without_a_type_is_unknown_where_the_topic_does_not_say_it() -> None:
    assert rejection_of(ANY, without(VISIT, "type")).reason is Reason.UNKNOWN_TYPE
    assert decode(Record(VISITS, encode(without(VISIT, "type")))).events


@pytest.mark.parametrize("topic", list(TYPES))
@pytest.mark.parametrize("body", [VISIT, DOWNLOAD, EMAIL])
def test_a_known_type_on_the_wrong_topic_is_unknown_there(topic: str, body: dict[str, Any]) -> None:
    decoded = decode(Record(topic, encode(body)))
    if type(decode(Record(ANY, encode(body))).events[0]) is TYPES[topic]:
        assert decoded.events
    else:
        assert [r.reason for r in decoded.rejections] == [Reason.UNKNOWN_TYPE]


@pytest.mark.parametrize(
    ("occurred_at", "reason"),
    [
        ("9999-12-31T23:59:59Z", Reason.IN_THE_FUTURE),
        ("9999-12-31T23:59:59-23:59", Reason.IN_THE_FUTURE),
        ("2026-03-02T12:10:00.000001Z", Reason.IN_THE_FUTURE),
        ("2026-03-02T12:10:00Z", None),
        ("2026-03-02T13:10:00+01:00", None),
        ("2000-01-01T00:00:00Z", None),
        ("1999-12-31T23:59:59.999999Z", Reason.TOO_OLD),
        ("1970-01-01T00:00:00Z", Reason.TOO_OLD),
        ("0001-01-01T00:00:00+23:59", Reason.TOO_OLD),
    ],
)
def test_the_clock_bounds_when_an_event_may_have_happened(
    occurred_at: str, reason: Reason | None
) -> None:
    """Ten minutes ahead of the clock is the last instant that is accepted."""
    decoded = decode(Record(VISITS, visit(occurred_at=occurred_at)))
    assert [r.reason for r in decoded.rejections] == ([reason] if reason else [])


def test_the_tolerance_for_the_future_is_a_setting() -> None:
    record = Record(VISITS, visit(occurred_at=to_rfc3339(NOW_US + 5 * SECOND)))
    assert decoder(future_tolerance_seconds=5).decode([record], NOW_US).events
    late = decoder(future_tolerance_seconds=4).decode([record], NOW_US)
    assert [r.reason for r in late.rejections] == [Reason.IN_THE_FUTURE]


def test_every_reason_is_reached_by_a_test_above() -> None:
    """A new reason needs a record that leads to it."""
    shown = {
        rejection_of(VISITS, value).reason
        for values in (NOT_JSON, INVALID_ENCODING, NOT_AN_OBJECT, INVALID_FIELD, NO_ACCOUNT)
        for value in values.values()
    }
    shown |= {
        rejection_of(VISITS, None).reason,
        rejection_of(VISITS, b"[" * 100_000).reason,
        rejection_of(VISITS, b"x" * 2_000_000).reason,
        rejection_of(VISITS, b"{}").reason,
        rejection_of(VISITS, VISIT | {"type": "x"}).reason,
        rejection_of(EMAILS, EMAIL | {"kind": "x"}).reason,
        rejection_of(VISITS, VISIT | {"occurred_at": "9999-01-01T00:00:00Z"}).reason,
        rejection_of(VISITS, VISIT | {"occurred_at": "1970-01-01T00:00:00Z"}).reason,
    }
    assert shown == set(Reason) - {Reason.UNPROCESSABLE}  # not the decoder's to give


def test_codes_are_a_contract() -> None:
    """Consumers of dead letters compare these words; a renamed one breaks them."""
    assert {reason.value for reason in Reason} == {
        "empty",
        "too_large",
        "invalid_encoding",
        "not_json",
        "too_deep",
        "not_an_object",
        "unknown_type",
        "unknown_kind",
        "no_account",
        "missing_field",
        "invalid_field",
        "in_the_future",
        "too_old",
        "unprocessable",
    }
