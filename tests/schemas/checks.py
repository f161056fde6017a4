"""Checks that any test can apply to what it publishes: our schemas, and the official library."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator, FormatChecker

from stream_app.changes.types import OUTPUT_TYPES, DeadLetter
from stream_app.schemas import documents, event_schemas, headers_schema

FORMATS = FormatChecker(())
NAMES = {ce_type: ce_type.removeprefix("stream-app.") for ce_type in OUTPUT_TYPES.values()}


@FORMATS.checks("date-time", ValueError)
def _is_date_time(value: object) -> bool:
    """RFC 3339; without this, jsonschema checks `date-time` only if a further package is there."""
    if isinstance(value, str):
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.upper()))
    return True


@cache
def validator(name: str) -> Draft202012Validator:
    """Validator of a schema by its name."""
    return validator_of(documents()[name].content)


@cache
def _headers_validator(ce_type: str) -> Draft202012Validator:
    return validator_of(headers_schema(ce_type))


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Validator of a schema, with formats."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FORMATS)


def check_published(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
) -> BaseCloudEvent:
    """A record of an output topic: valid headers and payload, and a CloudEvent to the official
    library, which returns it."""
    texts = {n: "" if n.startswith("original-") else v.decode() for n, v in headers}
    ce_type = texts["ce_type"]
    _headers_validator(ce_type).validate(texts)
    # The library reads every header and the key as UTF-8; a refused record's may be any bytes.
    refused = ce_type == OUTPUT_TYPES[DeadLetter]
    ours = [(n, v) for n, v in headers if not n.startswith("original-")]
    assert len(dict(ours)) == len(ours), "a header stands twice"
    message = KafkaMessage(headers=dict(ours), key=None if refused else key, value=value or b"")
    event = from_binary(message, JSONFormat())
    assert event.get_type() == ce_type
    if not refused:
        assert value is not None
        assert key == texts["ce_subject"].encode()
        payload = msgspec.json.decode(value)
        validator(NAMES[ce_type]).validate(payload)
        assert event.get_data() == payload
    return event


def is_valid(name: str, instance: object) -> bool:
    """Whether an instance fits the schema of this name."""
    return bool(validator(name).is_valid(instance))


def all_schemas() -> dict[str, Mapping[str, Any]]:
    """Every JSON Schema by name, those of headers included."""
    found: dict[str, Mapping[str, Any]] = {n: s.document for n, s in event_schemas().items()}
    return found | {f"{ce_type} headers": headers_schema(ce_type) for ce_type in NAMES}
