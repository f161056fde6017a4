"""The AsyncAPI document hangs together and says what the code does.

Its form was checked once with the official parser for AsyncAPI 3.0, which is not a Python package;
these tests keep the rest true.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stream_app.schemas import documents
from stream_app.streams.topics import TOPICS, consumed
from tests.schemas.checks import validator_of

API: dict[str, Any] = documents()["asyncapi"].content
FILES: dict[str, Any] = {document.file: document.content for document in documents().values()}
MESSAGES: dict[str, Any] = API["components"]["messages"]


def references(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(where, reference) of every reference outside of examples."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield path, value
            elif key != "examples":
                yield from references(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from references(value, f"{path}/{index}")


def resolve(reference: str) -> Any:
    """What a reference points at."""
    file, _, pointer = reference.partition("#")
    node: Any = FILES[file.removeprefix("./")] if file else API
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def schema_of(node: dict[str, Any]) -> dict[str, Any]:
    return resolve(node["$ref"]) if "$ref" in node else node


def test_every_reference_leads_somewhere() -> None:
    found = dict(references(API))
    assert len(found) > 50
    for reference in found.values():
        assert resolve(reference)


def test_it_has_the_required_parts() -> None:
    assert API["asyncapi"] == "3.0.0"
    assert API["info"].keys() >= {"title", "version"}
    for operation in API["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"]["$ref"].startswith("#/channels/")


def test_every_topic_is_a_channel_with_its_settings() -> None:
    assert [channel["address"] for channel in API["channels"].values()] == [t.name for t in TOPICS]
    for topic in TOPICS:
        channel = API["channels"][topic.name]
        kafka = channel["bindings"]["kafka"]
        assert channel["description"] == topic.meaning
        assert kafka["partitions"] == topic.partitions
        assert kafka["topicConfiguration"]["cleanup.policy"] == [topic.cleanup]
        assert {k: str(v) for k, v in kafka["topicConfiguration"].items()} | {
            "cleanup.policy": topic.cleanup
        } == topic.config


def test_what_is_received_is_what_workers_and_the_trainer_consume() -> None:
    received = {n for n, o in API["operations"].items() if o["action"] == "receive"}
    assert received == {f"receive-{topic}" for topic in (*consumed(), "account-features")}
    sent = {n for n, o in API["operations"].items() if o["action"] == "send"}
    assert sent == {f"send-{topic.name}" for topic in TOPICS if topic.role != "input"}


def test_an_operation_names_messages_of_its_channel() -> None:
    for operation in API["operations"].values():
        channel = operation["channel"]["$ref"]
        assert operation["messages"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")


def test_every_message_is_used() -> None:
    used = {name for channel in API["channels"].values() for name in channel["messages"]}
    assert used == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message(name: str) -> None:
    message = MESSAGES[name]
    assert message["title"]
    assert message["contentType"]
    assert "key" in message["bindings"]["kafka"]
    headers = validator_of(schema_of(message.get("headers", {})))
    payload = validator_of(schema_of(message["payload"]))
    for example in message.get("examples", []):
        payload.validate(example["payload"])
        if "headers" in example:
            headers.validate(example["headers"])
