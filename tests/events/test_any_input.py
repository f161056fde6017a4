"""Whatever arrives: every record ends in exactly one list, and its neighbours do not notice."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.events.batch import Columns
from stream_app.events.decode import Decoded, Pseudonyms, Reason
from tests.events.records import (
    ANY,
    DOWNLOAD,
    EMAIL,
    TYPES,
    VALID,
    VISIT,
    Record,
    decode,
    encode,
    event_of,
    without,
)

topics = st.sampled_from([*TYPES, ANY])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["2026-03-02T11:00:00Z", "clicked", "decision", "website.visit", "", "a@b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [*{**VISIT, **DOWNLOAD, **EMAIL}, "specversion", "data", "time", "source"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid event with some fields replaced, removed or put into an envelope; or cut, or with a
    byte changed."""
    body: dict[str, Any] = dict(draw(st.sampled_from(list(VALID.values()))))
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        if draw(st.booleans()):
            body.pop(name, None)
        else:
            body[name] = draw(json_values)
    if draw(st.booleans()):
        body = {"specversion": "1.0", "type": body.pop("type", None), "id": "x", "data": body}
    text = json.dumps(body).encode("utf-8", "surrogatepass")
    damage = draw(st.sampled_from(["none", "none", "cut", "change"]))
    if damage == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if damage == "change":
        position = draw(st.integers(0, len(text) - 1))
        changed = draw(st.integers(0, 255))
        return text[:position] + bytes([changed]) + text[position + 1 :]
    return text


headers = st.lists(
    st.tuples(
        st.sampled_from(["ce_type", "ce_id", "ce_time", "ce_specversion", "content-type"]),
        st.binary(max_size=12) | st.sampled_from([b"website.visit", b"2026-03-02T11:00:00Z"]),
    ),
    max_size=3,
).map(tuple)
records = st.builds(Record, topics, st.none() | st.binary(max_size=200) | mutated(), headers)


def assert_complete(decoded: Decoded, count: int) -> None:
    """Every position occurs once, in one list; the accepted are fit to be used."""
    rejected = [rejection.index for rejection in decoded.rejections]
    assert sorted(decoded.indices + rejected) == list(range(count))
    assert decoded.indices == sorted(decoded.indices)
    assert rejected == sorted(rejected)
    assert len(decoded.events) == len(decoded.times_us) == len(decoded.indices)
    batch = Columns(Pseudonyms())(decoded.events, decoded.times_us)
    assert len(batch) == len(decoded.events)
    assert all(batch.accounts)


@given(st.lists(records, max_size=8))
@example([Record(ANY, b'{"type": ' + b"9" * 5_000 + b"}")])
@example([Record(ANY, b'{"type": "website.visit", "topics": ' + b"[" * 990 + b"]" * 990 + b"}")])
def test_every_record_ends_in_exactly_one_list(batch: list[Record]) -> None:
    assert_complete(decode(*batch), len(batch))


@given(st.lists(records, max_size=6), st.data())
def test_good_neighbours_of_any_record_are_unaffected(
    batch: list[Record], data: st.DataObject
) -> None:
    """A good record gives the same event alone and at any place among others."""
    topic = data.draw(st.sampled_from(list(VALID)))
    good = Record(topic, encode(VALID[topic]))
    at = data.draw(st.integers(0, len(batch)))
    mixed, others = decode(*batch[:at], good, *batch[at:]), decode(*batch)
    assert mixed.events[mixed.indices.index(at)] == event_of(topic, VALID[topic])
    before = [(r.reason, r.detail) for r in others.rejections]
    assert [(r.reason, r.detail) for r in mixed.rejections] == before
    assert len(mixed.events) == len(others.events) + 1


@given(st.lists(records, min_size=1, max_size=8))
def test_a_batch_gives_what_its_records_give_one_by_one(batch: list[Record]) -> None:
    together = decode(*batch)
    alone = [decode(record) for record in batch]
    assert together.events == [event for one in alone for event in one.events]
    assert together.times_us == [at for one in alone for at in one.times_us]
    assert [(r.reason, r.detail) for r in together.rejections] == [
        (r.reason, r.detail) for one in alone for r in one.rejections
    ]


SECRET = "Zq7-hunter2"
secret_text = st.tuples(st.text(max_size=8), st.text(max_size=8)).map(
    lambda around: around[0] + SECRET + around[1]
)


@given(
    body=st.sampled_from(list(VALID.values())),
    names=st.lists(st.sampled_from([*FIELDS, "mood"]), min_size=1, max_size=4, unique=True),
    value=secret_text,
    topic=topics,
    enveloped=st.booleans(),
    wrapped=st.booleans(),
)
@example(EMAIL, ["kind"], f"'{SECRET}", ANY, False, False)
@example(EMAIL, ["kind"], f"{SECRET}\n' - at `$.id`", ANY, False, False)
@example(DOWNLOAD, ["stage"], f"\"'{SECRET} missing required field `id`", ANY, False, False)
@example(VISIT, ["type"], SECRET, ANY, False, False)
@example(VISIT, ["occurred_at"], SECRET, ANY, False, False)
def test_no_detail_contains_a_value_of_the_record(
    body: dict[str, Any], names: list[str], value: str, topic: str, enveloped: bool, wrapped: bool
) -> None:
    """Details go to logs and headers; what is in a record may be personal."""
    broken = body | dict.fromkeys(names, [value] if wrapped else value)
    if enveloped:
        data = without(broken, "type")
        broken = {"specversion": "1.0", "type": broken["type"], "id": value, "data": data}
    text = encode(broken)
    for payload in (text, text[:-1], text + b",", text.replace(b'"', b"'")):
        for rejection in decode(Record(topic, payload)).rejections:
            assert "hunter2" not in rejection.detail
            assert "Zq7" not in rejection.detail


@given(st.text().filter(lambda kind: kind not in {"sent", "delivered", "opened", "clicked"}))
@example("'")
@example("\"'")
@example("x` - at `$.id")
@example("missing required field `account_id`")
def test_what_an_unknown_kind_says_does_not_change_its_reason(kind: str) -> None:
    if kind in {"replied", "bounced", "unsubscribed", "complained"}:
        return
    rejections = decode(Record(ANY, encode(EMAIL | {"kind": kind}))).rejections
    assert [(r.reason, r.detail) for r in rejections] == [
        (Reason.UNKNOWN_KIND, "Invalid value - at `$.kind`")
    ]
