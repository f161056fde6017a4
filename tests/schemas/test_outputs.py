"""What the engine really publishes fits the schemas and is a CloudEvent to the official library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from stream_app.changes.types import OUTPUT_TYPES, DeadLetter, SegmentChange
from stream_app.engine import Engine
from stream_app.events.batch import Columns
from stream_app.events.decode import Decoder, Pseudonyms, Reason, Rejection
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.features.table import FeatureTable
from stream_app.schemas import documents
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Lineage, SegmentModel, Snapshot
from stream_app.settings import Settings
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Message
from stream_app.streams.registry import Activation
from stream_app.traffic import Traffic, TrafficConfig
from tests.schemas.checks import NAMES, check_published, is_valid, validator

AT = "2026-01-20T00:00:00Z"


@dataclass
class Refused:
    topic: str = "website-visits"
    partition: int = 3
    offset: int = 1_207
    key: bytes | None = b"acme"
    value: bytes | None = b"{not json"
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    timestamp: int = 0


def model(version: int, *heights: float) -> Snapshot:
    """Centres on the diagonal, so that activity alone decides."""
    width = len(MODEL_VECTOR)
    return Snapshot(
        version=version,
        created_at=AT,
        catalogue=catalogue_hash(),
        dimensions=[dimension.name for dimension in MODEL_VECTOR],
        mean=[0.0] * width,
        scale=[1.0] * width,
        segments=[
            SegmentModel(
                id=i, name=f"Level {i}", description="By hand.", centre=[h] * width, share=0.5
            )
            for i, h in enumerate(heights, 1)
        ],
        vectors=500,
        trained_from=AT,
        trained_until=AT,
    )


@pytest.fixture(scope="module")
def published() -> list[Message]:
    """Three weeks of traffic, without a model, with one, with another; then four quiet weeks."""
    config = TrafficConfig(accounts=60, surges_per_account_day=0.03, with_type=True)
    pseudonyms = Pseudonyms()
    decoder, columns, engine = Decoder({}), Columns(pseudonyms), Engine(Settings())
    table, messages = FeatureTable(), Messages("", pseudonyms)
    models = [
        Assigner(model(1, 0.2, 1.0), Hysteresis(0.2)),
        Assigner(model(2, 0.1, 0.6, 1.4), Hysteresis(0.2)),
    ]
    out, latest, end = list(of_models(messages, models)), 0, config.start_us
    records = [r._replace(topic="") for r in Traffic(config).records(days=21)]
    for start in range(0, len(records), 2_000):
        part = records[start : start + 2_000]
        assigner = [None, *models][min(3 * start // len(records), 2)]
        end = part[-1].delivered_at_us
        decoded = decoder.decode([_Line(r.value) for r in part], end)
        batch = columns(decoded.events, decoded.times_us)
        for effects in (
            engine.step(table, batch, assigner, end),
            engine.sweep(table, end, assigner, end, 10_000),
        ):
            out += messages.of(effects)
            out += [messages.sample(sample) for sample in effects.samples]
        latest = max(latest, *decoded.times_us)
    until = latest + 28 * 86_400_000_000
    while True:
        effects = engine.sweep(table, until, models[1], until, 10_000)
        out += messages.of(effects)
        if not len(effects.touched):
            return out


def of_models(messages: Messages, models: list[Assigner]) -> Iterator[Message]:
    """All that is published of two versions that came into use."""
    for number, snapshot in enumerate((a.snapshot for a in models), 1):
        activation = Activation(
            number=number, version=number, previous=number - 1, at=AT, by="trainer", why="trained"
        )
        steps = [
            Lineage(kind="created", segment=1, name="new"),
            Lineage(kind="retired", segment=7, name="old"),
            Lineage(kind="split", segment=7, name="old", others=[1, 2]),
            Lineage(kind="merged", segment=7, name="old", others=[1]),
            Lineage(kind="renamed", segment=1, name="new", before="old"),
        ]
        yield messages.model(snapshot)
        yield from messages.lineage(msgspec.structs.replace(snapshot, lineage=steps), AT)
        yield messages.activation(activation, snapshot)


@dataclass(frozen=True)
class _Line:
    value: bytes
    topic: str = ""
    headers: tuple[()] = ()


def test_every_message_fits_its_schemas(published: list[Message]) -> None:
    seen = Counter(
        check_published(message.key, message.value, message.headers).get_type()
        for message in published
    )
    assert set(seen) == set(OUTPUT_TYPES.values()) - {OUTPUT_TYPES[DeadLetter]}
    assert min(seen.values()) >= 2


def test_the_traffic_covers_the_forms_of_a_change(published: list[Message]) -> None:
    changes = [
        msgspec.json.decode(message.value or b"", type=SegmentChange)
        for message in published
        if message.topic == "segment-changes"
    ]
    assert {c.reason for c in changes} == {"first_seen", "behaviour", "inactivity", "model"}
    assert any(c.why for c in changes)
    assert {c.margin is None for c in changes} == {True, False}


def test_a_broken_payload_is_noticed(published: list[Message]) -> None:
    for message in published[:1] + published[-1:]:
        name = NAMES[dict(message.headers)["ce_type"].decode()]
        payload = msgspec.json.decode(message.value or b"")
        assert is_valid(name, payload)
        for key in payload:
            assert not is_valid(name, payload | {key: object()})


@pytest.mark.parametrize("reason", Reason)
def test_dead_letters(reason: Reason) -> None:
    trace = [("trace", b"\xff\x00"), ("trace", b"2")]
    record = Refused(headers=[*trace, ("ce_type", b"website.visit")])
    letter = Messages("", Pseudonyms()).dead_letter(record, Rejection(0, reason, "why"), 10**15)
    event = check_published(letter.key, letter.value, letter.headers)
    assert (letter.key, letter.value) == (record.key, record.value)
    assert event.get_id() == "website-visits:3:1207"
    assert event.get_extension("sourceoffset") == "1207"
    assert event.get_extension("reason") == reason.value
    originals = [(n, v) for n, v in letter.headers if n.startswith("original-")]
    assert originals == [(f"original-{n}", v) for n, v in record.headers]


def test_a_dead_letter_of_a_tombstone_without_a_key() -> None:
    record = Refused(key=None, value=None)
    letter = Messages("", Pseudonyms()).dead_letter(
        record, Rejection(0, Reason.EMPTY, "the record has no value"), 10**15
    )
    assert check_published(letter.key, letter.value, letter.headers).get_data() is None


@pytest.mark.parametrize("value", [b"{not json", b"\xff\xfe", "snö".encode()])
def test_dead_letters_of_a_replay(value: bytes) -> None:
    letter = DeadLetter.of(value, Rejection(0, Reason.NOT_JSON, "malformed"), "events.jsonl", 3)
    validator("dead-letter").validate(msgspec.to_builtins(letter))


def test_the_headers_example_of_a_dead_letter_parses() -> None:
    example = documents()["dead-letter.headers"].content["examples"][0]
    check_published(None, b"{not json", [(name, text.encode()) for name, text in example.items()])


def test_numbers_that_are_none_do_not_pass() -> None:
    """msgspec writes NaN as null; the schemas allow null only where it has a meaning."""
    sample = documents()["feature.sample"].content["examples"][0]
    vector = [float("nan"), *sample["vector"][1:]]
    written = msgspec.json.decode(msgspec.json.encode(sample | {"vector": vector}))
    assert not is_valid("feature.sample", written)
