"""Schemas of the Kafka headers: CloudEvents 1.0 in binary mode.

A header's value is bytes; the schemas describe the text that they are in UTF-8.
"""

from __future__ import annotations

from typing import Any

from stream_app.changes.types import (
    MODEL_TYPES,
    OUTPUT_TYPES,
    SEGMENT_STEPS,
    AccountSegment,
    DeadLetter,
    FeatureSample,
    IntentSpike,
    ModelActivated,
    SegmentChange,
)
from stream_app.events.cloudevents import SOURCE
from stream_app.events.decode import Reason
from stream_app.schemas.events import IN_UTC, WITH_OFFSET, event_type, heading, instant
from stream_app.segments.snapshot import Snapshot

Json = dict[str, Any]

DEAD_LETTER = OUTPUT_TYPES[DeadLetter]
DEAD_LETTER_NAME = "dead-letter.headers"
ORIGINAL = "original-"
"""Stands before the name of each header that a refused record came with."""

_TEXT = {"type": "string", "minLength": 1}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}

_MEANING = {
    OUTPUT_TYPES[SegmentChange]: ("`<account>:<sequence>`.", "`occurred_at`."),
    OUTPUT_TYPES[IntentSpike]: ("`<account>:spike:<number>`.", "`occurred_at`."),
    OUTPUT_TYPES[AccountSegment]: ("`<account>:<sequence>@<as_of>`.", "`as_of`."),
    OUTPUT_TYPES[FeatureSample]: ("`<account>@<at>`.", "`at`."),
    OUTPUT_TYPES[Snapshot]: ("`model:<version>`.", "`created_at`."),
    OUTPUT_TYPES[ModelActivated]: ("`model:activated:<number>`.", "`occurred_at`."),
    **{
        OUTPUT_TYPES[step]: (f"`model:<version>:{kind}:<segment>`.", "`occurred_at`.")
        for kind, step in SEGMENT_STEPS.items()
    },
}
"""By type, what `ce_id` is made of, so that the same event has the same id, and `ce_time`."""

_OF_MODEL = {OUTPUT_TYPES[type_] for type_ in MODEL_TYPES}


def headers_schema(type_: str) -> Json:
    """Headers of a record that we publish, by its CloudEvents type.

    >>> headers_schema("stream-app.segment.change")["properties"]["ce_type"]
    {'const': 'stream-app.segment.change'}
    """
    if type_ == DEAD_LETTER:
        return dead_letter_headers()
    headers = _ours(type_, "application/json", *_MEANING[type_])
    subject = "`model`." if type_ in _OF_MODEL else "The account's id."
    headers["properties"]["ce_subject"] = {"description": subject, **_TEXT}
    headers["required"].append("ce_subject")
    return headers


def input_headers(name: str) -> Json:
    """Headers of an input event in binary mode. Other headers may stand beside them."""
    return {
        "type": "object",
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_type": event_type(name),
            "ce_source": _TEXT,
            "ce_id": {"description": "Counts as `id` when the value has none.", **_TEXT},
            "ce_time": instant(WITH_OFFSET, "Counts as `occurred_at` when the value has none."),
            "ce_subject": _TEXT,
            "content-type": {"type": "string", "examples": ["application/json"]},
        },
        "required": ["ce_specversion", "ce_type", "ce_source", "ce_id"],
    }


def dead_letter_headers() -> Json:
    """Headers of a record on `dead-letters`; its key and value are the refused record's own."""
    ours = _ours(
        DEAD_LETTER,
        "application/octet-stream",
        "`<topic>:<partition>:<offset>` of the record.",
        "When it was refused.",
    )
    ours["properties"]["ce_id"]["pattern"] = "^[^:]+:[0-9]+:[0-9]+$"
    ours["properties"] |= {
        "ce_reason": {"description": "Why it was refused.", "enum": sorted(Reason)},
        "ce_detail": {"description": "One sentence for a person.", "type": "string"},
        "ce_sourcetopic": {"description": "Where it was read.", **_TEXT},
        "ce_sourcepartition": _NUMBER,
        "ce_sourceoffset": _NUMBER,
        "ce_cut": {
            "description": "Parts of the record that were too large to be kept whole: `key`, "
            "`headers`, `value`.",
            **_TEXT,
        },
    }
    names = ("reason", "detail", "sourcetopic", "sourcepartition", "sourceoffset")
    ours["required"] += [f"ce_{name}" for name in names]
    ours["patternProperties"] = {
        f"^{ORIGINAL}": {"description": "A header that the record came with, as it was; any bytes."}
    }
    start = heading(
        DEAD_LETTER_NAME,
        "Dead letter, headers",
        "Kafka headers of a record that was refused. Its key and value are the original bytes.",
    )
    return start | ours | {"examples": [_EXAMPLE]}


def _ours(type_: str, content_type: str, id_: str, time: str) -> Json:
    return {
        "type": "object",
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_type": {"const": type_},
            "ce_source": {"const": SOURCE},
            "ce_id": {"description": id_, **_TEXT},
            "ce_time": instant(IN_UTC, time),
            "content-type": {"const": content_type},
        },
        "required": [
            "ce_specversion",
            "ce_type",
            "ce_source",
            "ce_id",
            "ce_time",
            "content-type",
        ],
        "additionalProperties": False,
    }


_EXAMPLE = {
    "ce_specversion": "1.0",
    "ce_type": DEAD_LETTER,
    "ce_source": SOURCE,
    "ce_id": "website-visits:3:1207",
    "ce_time": "2026-03-02T09:41:07.418000Z",
    "ce_reason": Reason.NOT_JSON.value,
    "ce_detail": "JSON is malformed: invalid character (byte 4)",
    "ce_sourcetopic": "website-visits",
    "ce_sourcepartition": "3",
    "ce_sourceoffset": "1207",
    "original-trace-id": "8f3a",
    "content-type": "application/octet-stream",
}
