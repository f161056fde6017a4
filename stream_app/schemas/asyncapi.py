"""The AsyncAPI 3.0 document: every topic, who writes and reads it, and what its records are."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from stream_app.changes.types import (
    MODEL_TYPES,
    OUTPUT_TYPES,
    AccountSegment,
    DeadLetter,
    FeatureSample,
    IntentSpike,
    SegmentChange,
)
from stream_app.events.control import CONTROL_TYPES
from stream_app.events.types import EVENT_TYPES
from stream_app.schemas.events import VERSION, event_schemas, name_of
from stream_app.schemas.headers import DEAD_LETTER_NAME, headers_schema, input_headers
from stream_app.streams import topics
from stream_app.streams.topics import Topic

Json = dict[str, Any]

_BINDING = "0.5.0"
"""Version of the Kafka bindings that this document follows."""

_JSON = "application/json"
_ACCOUNT_KEY = {"type": "string", "description": "The account's id."}

_INPUTS = {
    topics.WEBSITE_VISITS: "website.visit",
    topics.CONTENT_DOWNLOADS: "content.download",
    topics.EMAIL_EVENTS: "email.engagement",
}
_OUTPUTS: dict[Topic, tuple[type[Struct], ...]] = {
    topics.ACCOUNT_FEATURES: (FeatureSample,),
    topics.SEGMENT_CHANGES: (SegmentChange,),
    topics.INTENT_SPIKES: (IntentSpike,),
    topics.ACCOUNT_SEGMENTS: (AccountSegment,),
    topics.SEGMENT_MODELS: MODEL_TYPES,
    topics.DEAD_LETTERS: (DeadLetter,),
}

_OF_MODEL = {OUTPUT_TYPES[type_] for type_ in MODEL_TYPES}


def asyncapi() -> Json:
    """The whole document. Payloads are references to the schema files beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "stream-app",
            "version": f"{VERSION}.0.0",
            "description": "Live account segments from a stream of behavioural events. Names of "
            "topics are those without `kafka.topic_prefix`; partitions and retention are what "
            "`stream-app topics create` sets unless told otherwise.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "channels": {topic.name: _channel(topic) for topic in topics.TOPICS},
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _channel(topic: Topic) -> Json:
    config = topic.config
    return {
        "address": topic.name,
        "title": topic.name.replace("-", " ").capitalize(),
        "description": topic.meaning,
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in _messages_of(topic)
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    **config,
                    "cleanup.policy": config["cleanup.policy"].split(","),
                    "retention.ms": int(config["retention.ms"]),
                    "max.message.bytes": int(config["max.message.bytes"]),
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _messages_of(topic: Topic) -> list[str]:
    """Messages of a topic, by name."""
    if topic in _INPUTS:
        return _forms(_INPUTS[topic])
    if topic.role == "control":
        return [form for name in CONTROL_TYPES for form in _forms(name)]
    if topic.role == "forwarded":
        return list(EVENT_TYPES)
    return [name_of(type_) for type_ in _OUTPUTS[topic]]


def _forms(name: str) -> list[str]:
    return [name, f"{name}.binary", f"{name}.cloudevent"]


def _operations() -> Json:
    """What this application does, per topic."""
    receive = {
        "input": "The workers apply these events to their accounts.",
        "forwarded": "The workers apply these events to their accounts.",
        "control": "The workers do with the account what is asked for.",
        "training": "The trainer learns from these vectors.",
    }
    send = {
        "forwarded": "A worker passes on an event that came to a partition of other accounts.",
        "control": "A worker passes on what came with another key than its account's id.",
        "training": "The workers sample the accounts that were active.",
        "output": "The workers publish what they decided: at least once, with stable ids.",
        "model": "The trainer publishes each version of the model, and what it does to the "
        "segments when it comes into use; so does a command that changes the model.",
        "refused": "The workers put aside what they cannot read or accept.",
    }
    found: Json = {}
    for action, summaries in (("receive", receive), ("send", send)):
        for topic in topics.TOPICS:
            if topic.role in summaries:
                channel = f"#/channels/{topic.name}"
                found[f"{action}-{topic.name}"] = {
                    "action": action,
                    "channel": {"$ref": channel},
                    "summary": summaries[topic.role],
                    "messages": [
                        {"$ref": f"{channel}/messages/{name}"} for name in _messages_of(topic)
                    ],
                }
    return found


def _messages() -> Json:
    """All messages by name."""
    found: Json = {}
    for name in (*EVENT_TYPES, *CONTROL_TYPES):
        found |= _input_messages(name)
    for type_, ce_type in OUTPUT_TYPES.items():
        name = name_of(type_)
        found[name] = _dead_letter() if type_ is DeadLetter else _output_message(name, ce_type)
    return found


def _input_messages(name: str) -> Json:
    """The three forms of an input event."""
    schema = event_schemas()[name]
    examples = schema.document["examples"]
    envelope = event_schemas()[f"{name}.cloudevent"].document["examples"][0]
    attributes = ("specversion", "type", "source", "id", "time", "subject")
    headers = {f"ce_{attribute}": envelope[attribute] for attribute in attributes}
    return {
        name: _message(
            schema.title,
            "A bare JSON object.",
            _file(name),
            examples=[{"payload": payload} for payload in examples],
        ),
        f"{name}.binary": _message(
            f"{schema.title}, CloudEvent in binary mode",
            "The envelope in headers, the data in the value.",
            _file(f"{name}.cloudevent", "/$defs/data"),
            headers=input_headers(name),
            examples=[{"headers": {**headers, "content-type": _JSON}, "payload": envelope["data"]}],
        ),
        f"{name}.cloudevent": _message(
            f"{schema.title}, CloudEvent in structured mode",
            "The envelope and the data in the value.",
            _file(f"{name}.cloudevent"),
            content_type="application/cloudevents+json",
            examples=[{"payload": envelope}],
        ),
    }


def _output_message(name: str, ce_type: str) -> Json:
    schema = event_schemas()[name]
    key = {"const": "model"} if ce_type in _OF_MODEL else _ACCOUNT_KEY
    return _message(
        schema.title,
        schema.document["description"],
        _file(name),
        headers=headers_schema(ce_type),
        key=key,
        examples=[{"payload": payload} for payload in schema.document["examples"]],
    )


def _dead_letter() -> Json:
    return _message(
        "Dead letter",
        "A record that was refused: key and value as they came, the facts in headers.",
        {"description": "The record's value, unchanged: any bytes, or none."},
        headers=_file(DEAD_LETTER_NAME),
        content_type="application/octet-stream",
        key={"description": "The record's key, unchanged: any bytes, or none."},
    )


def _message(
    title: str,
    summary: str,
    payload: Json,
    *,
    headers: Json | None = None,
    content_type: str = _JSON,
    key: Json = _ACCOUNT_KEY,
    examples: list[Json] | None = None,
) -> Json:
    return {
        "title": title,
        "summary": summary,
        "contentType": content_type,
        **({"headers": headers} if headers else {}),
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING}},
        **({"examples": examples} if examples else {}),
    }


def _file(name: str, pointer: str = "") -> Json:
    """A reference to a schema file in the same folder."""
    return {"$ref": f"./{name}.schema.json" + (f"#{pointer}" if pointer else "")}
