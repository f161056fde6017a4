"""JSON Schema 2020-12 of every event, in and out.

Each schema is one document that needs no other. Inputs are tolerant: what we do not know may stand
beside what we do. Outputs are strict. `format` alone is only a remark in JSON Schema 2020-12, so
instants also have a pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec

from stream_app.changes.types import OUTPUT_TYPES, AccountSegment, DeadLetter, FeatureSample
from stream_app.events.control import CONTROL_TYPES
from stream_app.events.decode import Reason
from stream_app.events.types import EVENT_TYPES
from stream_app.features.catalogue import DERIVED, MODEL_VECTOR, ROLLING
from stream_app.schemas.examples import EXAMPLES, PRODUCER

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = 1
"""Last part of every `$id`. Raise it with a change that breaks readers or producers."""

_LOCAL_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?"
WITH_OFFSET = _LOCAL_TIME + "([Zz]|[+-][0-9]{2}:[0-9]{2})$"
"""RFC 3339. Not of the calendar: `format` says that the 31st of June is none."""
IN_UTC = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z$"


@dataclass(frozen=True, slots=True)
class EventSchema:
    """The schema of one event."""

    name: str
    """`website.visit`, `segment.change`, …"""
    document: Json

    @property
    def title(self) -> str:
        """What it is, for people."""
        return str(self.document["title"])


@cache
def event_schemas() -> Mapping[str, EventSchema]:
    """All schemas by name: inputs, then outputs, each in the order of its types."""
    found: list[EventSchema] = []
    inputs: Mapping[str, type[msgspec.Struct]] = {**EVENT_TYPES, **CONTROL_TYPES}
    for name, type_ in inputs.items():
        event = _input(name, type_)
        found += [event, _structured(event)]
    found += [_output(name_of(type_), type_) for type_ in OUTPUT_TYPES]
    return {schema.name: schema for schema in found}


def name_of(type_: type[msgspec.Struct]) -> str:
    """Name of an output's schema: its CloudEvents type without our prefix."""
    return OUTPUT_TYPES[type_].removeprefix("stream-app.")


def heading(name: str, title: str, description: str) -> Json:
    """What every document begins with."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:stream-app:schema:{name}:{VERSION}",
        "title": title,
        "description": description,
    }


def event_type(name: str) -> Json:
    """An event's type: ours, or ours behind a producer's own prefix."""
    pattern = name.replace(".", "\\.")
    return {
        "description": f"`{name}`; a producer may put its own name and a dot before it.",
        "type": "string",
        "pattern": f"^(.*\\.)?{pattern}$",
        "examples": [name, f"{PRODUCER}.{name}"],
    }


def instant(pattern: str, description: str) -> Json:
    """An RFC 3339 text."""
    return {
        "description": description,
        "type": "string",
        "format": "date-time",
        "pattern": pattern,
    }


def _input(name: str, type_: type[msgspec.Struct]) -> EventSchema:
    root, _ = _of_type(type_, WITH_OFFSET)
    description = root.pop("description") + " A bare JSON object. Unknown fields are ignored."
    root["properties"]["type"] = event_type(name)
    if name in EVENT_TYPES:
        description += (
            " `type` may be left out on the event's own topic; in a file for replay it is needed."
        )
        root["required"].remove("type")
    root["additionalProperties"] = True
    document = heading(name, _title(name), description) | root
    return EventSchema(name, document | {"examples": EXAMPLES[name]})


def _structured(event: EventSchema) -> EventSchema:
    """The same event in a CloudEvents envelope; its data may leave `id` and time to it."""
    name = f"{event.name}.cloudevent"
    ours = event.document
    data = {key: deepcopy(ours[key]) for key in ("type", "properties", "required")}
    data["required"] = [
        field for field in data["required"] if field not in {"id", "occurred_at", "type"}
    ]
    data = {
        "title": f"{event.title}, data of a CloudEvent",
        "description": "The event. `id` and `occurred_at` may be left out: then the CloudEvent's "
        "`id` and `time` count.",
        **data,
        "additionalProperties": True,
    }
    envelope: Json = {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "type": event_type(event.name),
            "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
            "id": ours["properties"]["id"],
            "time": instant(WITH_OFFSET, "When it happened: RFC 3339 with an offset."),
            "subject": {"type": "string", "minLength": 1},
            "datacontenttype": {"type": "string", "examples": ["application/json"]},
            "data": {"$ref": "#/$defs/data"},
        },
        "required": ["specversion", "type", "source", "id", "data"],
        "anyOf": [
            {"required": ["time"]},
            {"properties": {"data": {"required": ["occurred_at"]}}},
        ],
        "additionalProperties": True,
    }
    description = (
        "The event as a CloudEvent 1.0 in structured mode (`application/cloudevents+json`)."
    )
    document = heading(name, f"{event.title}, as a CloudEvent", description) | envelope
    return EventSchema(name, document | {"examples": EXAMPLES[name], "$defs": {"data": data}})


def _output(name: str, type_: type[msgspec.Struct]) -> EventSchema:
    root, parts = _of_type(type_, IN_UTC)
    if type_ is AccountSegment:
        root["properties"]["features"] |= _features()
    elif type_ is FeatureSample:
        dimensions = ", ".join(dimension.name for dimension in MODEL_VECTOR)
        width = len(MODEL_VECTOR)
        root["properties"]["vector"] |= {
            "description": f"log(1 + x) of: {dimensions}.",
            "minItems": width,
            "maxItems": width,
        }
    elif type_ is DeadLetter:
        root["properties"]["reason"]["enum"] = sorted(Reason)
    for part in (root, *parts.values()):
        part["additionalProperties"] = False
    description = root.pop("description")
    document = heading(name, _title(name), description) | root | {"examples": EXAMPLES[name]}
    return EventSchema(name, document | ({"$defs": parts} if parts else {}))


def _features() -> Json:
    """Every feature of the catalogue with its unit and meaning."""
    units = {f.name: (f.unit, f.meaning) for f in ROLLING} | {
        f.name: (f.unit, f.meaning) for f in DERIVED
    }
    return {
        "properties": {
            name: {"description": f"{meaning} Unit: {unit}.", "type": "number"}
            for name, (unit, meaning) in units.items()
        },
        "required": list(units),
        "additionalProperties": False,
    }


def _of_type(type_: type[msgspec.Struct], instants: str) -> tuple[Json, dict[str, Json]]:
    """Schema of a type, and of the types inside it by name."""
    _, components = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
    _tidy(components, instants)
    root = components.pop(type_.__name__)
    del root["title"]
    return root, dict(sorted(components.items()))


def _tidy(node: object, instants: str) -> None:
    """Docstrings on one line, and the pattern of instants."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = " ".join(cleandoc(node["description"]).split())
        if node.get("format") == "date-time":
            node["pattern"] = instants
        for value in node.values():
            _tidy(value, instants)
    elif isinstance(node, list):
        for value in node:
            _tidy(value, instants)


def _title(name: str) -> str:
    return name.replace(".", " ").replace("-", " ").capitalize()
