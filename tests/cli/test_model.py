"""`model` and `segments history` against a Redis that a worker has filled, and a real Kafka."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from redis import Redis

from stream_app.segments.snapshot import Lineage, Snapshot, read_snapshot, write_snapshot
from stream_app.settings import KafkaSettings, RedisSettings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_reader import KafkaReader
from stream_app.streams.redis_store import RedisStore
from tests.cli.conftest import NOWHERE, PARTITIONS, Cli
from tests.models import save_model
from tests.schemas.checks import check_published

Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    """With the topic that models are published on."""
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    settings = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=prefix)
    asyncio.run(create_topics(settings, topics.with_prefix(prefix), partitions=PARTITIONS))
    return settings


@pytest.fixture
def models(kafka: KafkaSettings, filled: Environment) -> Environment:
    """Where models are, in use a version with at least three segments, nothing pinned."""
    environment = {
        **filled,
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
    }
    assert len(active(environment).segments) >= 3
    return environment


def published(kafka: KafkaSettings) -> list[tuple[str, dict[str, Any]]]:
    """(id, payload) of all on `segment-models`."""

    async def read() -> list[tuple[str, dict[str, Any]]]:
        reader, topic = KafkaReader(kafka, "test"), kafka.topic_prefix + topics.SEGMENT_MODELS.name
        await reader.start()
        try:
            batches = reader.read(topic, await reader.stretches(topic))
            records = [record async for batch in batches for record in batch]
        finally:
            await reader.stop()
        for record in records:
            check_published(record.key, record.value, record.headers)
        return [(dict(r.headers)["ce_id"].decode(), json.loads(r.value)) for r in records]

    return asyncio.run(read())


def run(environment: Environment, work: Any) -> Any:
    """What a coroutine function makes of the store."""

    async def with_store() -> Any:
        store = RedisStore(
            RedisSettings(
                url=SecretStr(environment["STREAM_APP_REDIS__URL"]),
                prefix=environment["STREAM_APP_REDIS__PREFIX"],
            )
        )
        try:
            return await work(store)
        finally:
            await store.stop()

    return asyncio.run(with_store())


def propose(environment: Environment, **changes: Any) -> int:
    """A version that waits: the active one with changes, or with `data` as it is."""

    async def work(store: RedisStore) -> int:
        found, registry = await store.snapshot(), await store.registry()
        assert found is not None
        version = registry.newest + 1
        data = changes.pop("data", None)
        if data is None:
            active = read_snapshot(found[1])
            parent = active.version
            fields = {"version": version, "parent": parent, "cause": "growth", **changes}
            data = write_snapshot(msgspec.structs.replace(active, **fields))
        assert await save_model(store, version, data, activate=False)
        return version

    number: int = run(environment, work)
    return number


def active(environment: Environment) -> Snapshot:
    async def work(store: RedisStore) -> Snapshot:
        found = await store.snapshot()
        assert found is not None
        return read_snapshot(found[1])

    snapshot: Snapshot = run(environment, work)
    return snapshot


def without_one(environment: Environment) -> Snapshot:
    """The active version without its first segment."""
    now = active(environment)
    gone, *others = now.segments
    lineage = [Lineage(kind="merged", segment=gone.id, name=gone.name, others=[others[0].id])]
    return msgspec.structs.replace(now, segments=others, lineage=lineage)


# Looking


def test_list_says_which_version_is_in_use_and_which_wait(cli: Cli, models: Environment) -> None:
    waiting = propose(models)
    report = cli("model", "list", "--json", **models).json
    status = {each["version"]: each["status"] for each in report["versions"]}
    assert status[waiting] == "waiting"
    assert status[report["active"]] == "active"
    assert [each["version"] for each in report["versions"]] == sorted(status, reverse=True)
    assert all(each["refused"] is None for each in report["versions"])
    assert report["history"][0]["version"] == report["active"]
    shown = cli("model", "list", **models)
    assert shown.code == 0
    assert "waiting" in shown.out
    assert f"model version {report['active']} is in use" in shown.out


def test_list_shows_a_few_and_says_that_there_are_more(cli: Cli, models: Environment) -> None:
    propose(models)
    report = cli("model", "list", "--limit", "1", "--json", **models).json
    assert len(report["versions"]) == 1 < report["stored"]
    assert "older version" in cli("model", "list", "--limit", "1", **models).out


def test_show_is_the_snapshot(cli: Cli, models: Environment) -> None:
    now = active(models)
    shown = cli("model", "show", "--json", **models)
    assert read_snapshot(shown.out.encode()) == now
    assert cli("model", "show", str(now.version), "--json", **models).out == shown.out
    text = cli("model", "show", **models).out
    assert all(segment.name in text for segment in now.segments)


def test_show_tells_what_became_of_segments(cli: Cli, models: Environment) -> None:
    changed = without_one(models)
    version = propose(models, segments=changed.segments, lineage=changed.lineage)
    into = f"{changed.segments[0].id} {changed.segments[0].name}"
    assert f"merged into {into}" in cli("model", "show", str(version), **models).out


@pytest.mark.parametrize("command", [("show",), ("diff",), ("activate",), ("pin",)])
def test_a_version_that_is_not_there(cli: Cli, models: Environment, command: tuple[str]) -> None:
    missing = cli("model", *command, "999", "--json", **models)
    assert missing.error["type"] == "NotFound"
    assert f"{active(models).version}" in missing.error["hint"]


# Comparing


def test_diff_counts_who_would_move_where(cli: Cli, models: Environment) -> None:
    changed = without_one(models)
    gone = active(models).segments[0]
    version = propose(models, segments=changed.segments, lineage=changed.lineage)
    known = cli("segments", "--json", **models).json
    sizes = {segment["id"]: segment["accounts"] for segment in known["segments"]}
    report = cli("model", "diff", str(version), "--json", **models).json
    assert (report["before"], report["after"]) == (active(models).version, version)
    assert report["accounts"] == known["accounts"]
    before = {each["id"]: each["before"] for each in report["segments"]}
    assert before.items() >= {id_: n for id_, n in sizes.items() if n}.items()
    moved = [each for each in report["moves"] if each["before"]["id"] == gone.id]
    assert sum(each["accounts"] for each in moved) == sizes[gone.id] > 0
    assert all(each["before"]["name"] == gone.name for each in moved)
    assert report["moving"] == sum(each["accounts"] for each in report["moves"])
    assert all(each["after"] == 0 for each in report["segments"] if each["id"] == gone.id)
    text = cli("model", "diff", str(version), **models).out
    assert f"{report['moving']:,} of {report['accounts']:,} accounts would move" in text


def test_nobody_moves_to_an_equal_version(cli: Cli, models: Environment) -> None:
    now, version = active(models).version, propose(models)
    report = cli("model", "diff", str(now), str(version), "--json", **models).json
    assert report["moving"] == 0
    assert report["accounts"] > 100


# Deciding


def test_activate_and_rollback(cli: Cli, models: Environment, kafka: KafkaSettings) -> None:
    before, changed = active(models).version, without_one(models)
    version = propose(models, segments=changed.segments, lineage=changed.lineage)
    done = cli("model", "activate", str(version), "--json", **models).json
    assert done["active"] == active(models).version == version
    assert (done["previous"], done["announced"]) == (before, True)
    assert version not in done["waiting"]
    ids = [id_ for id_, _ in published(kafka)]
    (step,) = changed.lineage
    assert f"model:{version}:merged:{step.segment}" in ids
    back = cli("model", "rollback", **models)
    assert f"model version {before} is in use, {version} was before" in back.out
    last = published(kafka)[-1][1]
    assert (last["model_version"], last["previous"]) == (before, version)
    assert (last["why"], last["number"]) == ("rolled_back", len(active_numbers(kafka)))
    assert active(models).version == before


def active_numbers(kafka: KafkaSettings) -> range:
    """Numbers of all activations, the ones before this topic included."""
    found = [payload["number"] for id_, payload in published(kafka) if ":activated:" in id_]
    assert found == sorted(found)
    return range(found[-1])


def test_pin_keeps_what_is_in_use(cli: Cli, models: Environment) -> None:
    now = active(models).version
    pinned = cli("model", "pin", "--json", **models).json
    assert (pinned["active"], pinned["pinned"]) == (now, True)
    assert "pinned" in cli("model", "list", **models).out
    other = propose(models)
    assert cli("model", "pin", str(other), "--json", **models).json["active"] == other
    released = cli("model", "pin", "--release", "--json", **models).json
    assert (released["active"], released["pinned"]) == (other, False)
    assert cli("model", "pin", "3", "--release", **models).code == 2


def test_rename_makes_a_version_that_differs_in_the_name(
    cli: Cli, models: Environment, kafka: KafkaSettings
) -> None:
    before = active(models)
    segment = before.segments[1]
    done = cli("model", "rename", str(segment.id), " Our best  ", "--json", **models).json
    after = active(models)
    assert (done["active"], after.parent, after.cause) == (after.version, before.version, "renamed")
    names = {s.id: (s.name, s.named_by) for s in after.segments}
    assert names[segment.id] == ("Our best", "user")
    assert [s.centre for s in after.segments] == [s.centre for s in before.segments]
    payloads = dict(published(kafka))
    assert payloads[f"model:{after.version}:renamed:{segment.id}"]["before"] == segment.name
    assert "Our best" in cli("segments", **models).out
    again = cli("model", "rename", str(segment.id), "Our best", "--json", **models).json
    assert again["active"] == after.version, "it has that name"
    cli("model", "rename", str(segment.id), segment.name, **models)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("x" * 81, "81 characters"),
        ("a\nb", "printed"),
        ("\x1b[31mred", "printed"),
        ("caf\udce9", "printed"),
        ("unsegmented", "called 'Unsegmented' already"),
    ],
)
def test_a_name_that_will_not_do(cli: Cli, models: Environment, name: str, says: str) -> None:
    before = active(models)
    refused = cli("model", "rename", str(before.segments[0].id), name, "--json", **models)
    assert refused.error["type"] == "UsageError"
    assert says in refused.error["message"]
    assert active(models) == before


def test_names_differ(cli: Cli, models: Environment) -> None:
    one, two, *_ = active(models).segments
    refused = cli("model", "rename", str(one.id), two.name.upper(), **models)
    assert refused.code == 2
    assert f"segment {two.id} is called {two.name!r} already" in refused.err


def test_a_segment_that_is_not_there(cli: Cli, models: Environment) -> None:
    refused = cli("model", "rename", "999", "x", "--json", **models)
    assert refused.error["type"] == "NotFound"
    assert active(models).segments[0].name in refused.error["hint"]


def test_a_name_survives_a_proposal_that_was_made_before_it(cli: Cli, models: Environment) -> None:
    segment = active(models).segments[0]
    other = active(models).segments[2]
    proposed = propose(
        models,
        segments=[
            msgspec.structs.replace(s, name="Champions" if s.id == other.id else s.name)
            for s in active(models).segments
        ],
    )
    cli("model", "rename", str(segment.id), "champions", **models)
    done = cli("model", "activate", str(proposed), "--json", **models).json
    assert done["active"] > proposed, "a copy of it, with the name"
    names = {s.id: s.name for s in active(models).segments}
    assert names[segment.id] == "champions"
    assert names[other.id] == "Champions 2"
    cli("model", "rollback", **models)


@pytest.mark.parametrize(
    ("found", "instead", "says"),
    [
        (b'"catalogue":"', b'"catalogue":"other-', "feature catalogue other-"),
        (b'"centre":[', b'"centre":[1e999,', "Number out of range"),
        (b'"mean":[', b'"mean":["', "is not a model snapshot"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_before_anything_changes(
    cli: Cli, models: Environment, found: bytes, instead: bytes, says: str
) -> None:
    before = active(models)
    version = propose(models, data=write_snapshot(before).replace(found, instead))
    for command in (("activate",), ("pin",), ("diff",), ("show",)):
        refused = cli("model", *command, str(version), "--json", **models)
        assert refused.code == 4
        assert refused.error["type"] == "SnapshotRefused"
        assert says in refused.error["message"]
    assert active(models) == before
    lines = cli("model", "list", "--json", **models).json["versions"]
    assert next(e["version"] for e in lines if e["refused"]) == version


def test_refit_is_asked_for(cli: Cli, models: Environment) -> None:
    done = cli("model", "refit", "--json", **models).json
    assert done["refit_asked"]
    assert done["active"] == done["previous"] == active(models).version
    assert "chooses the segments anew" in cli("model", "refit", **models).out


def test_a_decision_holds_although_kafka_is_away(cli: Cli, models: Environment) -> None:
    away = {
        **models,
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": NOWHERE,
        "STREAM_APP_KAFKA__REQUEST_TIMEOUT_MS": "1000",
    }
    done = cli("model", "rollback", "--json", **away).json
    assert not done["announced"]
    assert done["active"] == active(models).version != done["previous"]
    shown = cli("model", "rollback", **away)
    assert shown.code == 0
    assert "segment-models does not have it yet" in shown.err
    assert cli("model", "rollback", "--json", **models).json["announced"], "and what was missed"


# The family tree


def test_history_tells_who_came_from_whom(cli: Cli, models: Environment) -> None:
    changed = without_one(models)
    version = propose(models, segments=changed.segments, lineage=changed.lineage)
    cli("model", "activate", str(version), **models)
    report = cli("segments", "history", "--json", **models).json
    last = report["versions"][-1]
    assert (last["version"], last["status"]) == (version, "active")
    assert report["line"][-1] == version
    assert report["complete"]
    assert {s["id"] for s in report["segments"] if s["until"] is None} == {
        s.id for s in changed.segments
    }
    (gone,) = [s for s in report["segments"] if s["until"] == version]
    (step,) = changed.lineage
    assert (gone["id"], gone["into"]) == (step.segment, step.others)
    assert last["lineage"] == [msgspec.to_builtins(step)]
    assert last["told"][0].endswith(f"merged into {step.others[0]} {changed.segments[0].name}")
    shown = cli("segments", "history", **models)
    assert shown.code == 0
    assert f"version {version}" in shown.out
    assert last["told"][0] in shown.out
    cli("model", "rollback", **models)


# What is not there


@pytest.mark.parametrize(
    "command", [("list",), ("show",), ("diff", "1"), ("activate", "1"), ("rename", "1", "x")]
)
def test_no_worker_has_run(cli: Cli, filled: Environment, command: tuple[str, ...]) -> None:
    nothing = cli("model", *command, **{**filled, "STREAM_APP_REDIS__PREFIX": "unused"})
    assert nothing.code == 6
    assert "no worker has run" in nothing.err


@pytest.mark.parametrize(
    "command",
    [("show",), ("diff", "1"), ("pin",), ("rollback",), ("rename", "1", "x"), ("refit",)],
)
def test_there_is_no_model_yet(cli: Cli, filled: Environment, command: tuple[str, ...]) -> None:
    with Redis.from_url(filled["STREAM_APP_REDIS__URL"]) as client:
        client.copy("cli-test:deployment", "young:deployment", replace=True)
    young = {**filled, "STREAM_APP_REDIS__PREFIX": "young"}
    refused = cli("model", *command, **young)
    assert refused.code == 6
    assert "version 0" not in refused.err
    assert "no model yet" in cli("model", "list", **young).out
    assert "no model yet" in cli("segments", "history", **young).out
