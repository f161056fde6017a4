"""Every schema is sound, documented, and as tolerant or strict as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from stream_app.changes.types import OUTPUT_TYPES
from stream_app.events.control import CONTROL_TYPES
from stream_app.events.types import EVENT_TYPES
from stream_app.features.catalogue import DERIVED, ROLLING
from stream_app.schemas import documents, event_schemas
from stream_app.segments.snapshot import read_snapshot
from tests.schemas.checks import NAMES, all_schemas, is_valid, validator_of

KNOWN = (*EVENT_TYPES, *CONTROL_TYPES)
INPUTS = [name for known in KNOWN for name in (known, f"{known}.cloudevent")]
OUTPUTS = list(NAMES.values())
FILES = [name for name in documents() if name != "asyncapi"]


def objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of a schema that lists properties."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield schema
        for key, value in schema.items():
            if key != "examples":
                yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_every_event_in_and_out_has_a_schema() -> None:
    assert list(event_schemas()) == INPUTS + OUTPUTS
    assert len(OUTPUTS) == len(OUTPUT_TYPES)


@pytest.mark.parametrize("name", all_schemas())
def test_it_is_valid_json_schema_2020_12(name: str) -> None:
    Draft202012Validator.check_schema(all_schemas()[name])


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_it_is(name: str) -> None:
    content = documents()[name].content
    assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert content["$id"] == f"urn:stream-app:schema:{name}:1"
    assert content["title"]
    assert content["description"].endswith((".", ")."))
    assert "\n" not in str(content["description"])


@pytest.mark.parametrize("name", FILES)
def test_its_examples_are_valid(name: str) -> None:
    content = documents()[name].content
    assert content["examples"]
    for example in content["examples"]:
        validator_of(content).validate(example)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_may_have_further_fields(name: str) -> None:
    for example in event_schemas()[name].document["examples"]:
        assert is_valid(name, example | {"added_later": {"by": "the producer"}})


@pytest.mark.parametrize("name", [*OUTPUTS, "dead-letter.headers"])
def test_an_output_may_not(name: str) -> None:
    content = documents()[name].content
    assert all(part["additionalProperties"] is False for part in objects(content))
    assert not is_valid(name, content["examples"][0] | {"misspelt": 1})


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_every_field(name: str) -> None:
    content = documents()[name].content
    for field in content["required"]:
        shorter = deepcopy(content["examples"][0])
        del shorter[field]
        assert not is_valid(name, shorter), field


@pytest.mark.parametrize("name", FILES)
def test_instants_are_rfc_3339_with_a_pattern_where_formats_are_not_checked(name: str) -> None:
    content = documents()[name].content
    fields = {
        field
        for part in objects(content)
        for field, schema in part["properties"].items()
        if schema.get("format") == "date-time"
    }
    for field in fields & set(content["examples"][0]):
        for wrong in ("2026-03-02T09:41:07", "2026-02-30T09:41:07Z", "yesterday", 1_767_600_000):
            assert not is_valid(name, content["examples"][0] | {field: wrong}), (field, wrong)
    plain = Draft202012Validator(content)
    for field in fields & set(content["examples"][0]):
        assert not plain.is_valid(content["examples"][0] | {field: "2026-03-02T09:41:07"})


def test_the_features_of_an_account_are_those_of_the_catalogue() -> None:
    features = event_schemas()["account.segment"].document["properties"]["features"]
    assert features["required"] == [feature.name for feature in (*ROLLING, *DERIVED)]
    assert features["properties"]["momentum"]["description"].endswith("Unit: ratio.")


def test_the_example_of_a_model_is_one_that_workers_accept() -> None:
    example = event_schemas()["segment.model"].document["examples"][0]
    assert read_snapshot(msgspec.json.encode(example)).version == example["version"]
