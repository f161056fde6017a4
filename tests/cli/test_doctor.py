"""`doctor` with servers that are there, away, wrong or locked."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from redis import Redis

from stream_app.cli.checks.positions import Lag, _lag
from tests.cli.conftest import NOWHERE, PARTITIONS, Cli, Result
from tests.conformance.redis_help import changed

SECRET = "s3cr3t-enough"


def checks(result: Result) -> dict[str, dict[str, Any]]:
    found = {check["check"]: check for check in result.json}
    assert all(set(check) == {"check", "ok", "detail", "hint"} for check in found.values())
    assert all(check["hint"] for check in found.values() if check["ok"] is False)
    assert result.code == (1 if any(check["ok"] is False for check in found.values()) else 0)
    return found


@pytest.fixture
def stack(filled: Mapping[str, str], kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    """A filled Redis, and a Kafka without our topics."""
    return {
        **filled,
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
        "STREAM_APP_KAFKA__GROUP": f"{topic_prefix}workers",
    }


def test_all_is_well(cli: Cli, stack: dict[str, str]) -> None:
    created = cli("topics", "create", "--partitions", str(PARTITIONS), **stack)
    assert created.code == 0
    found = checks(cli("doctor", "--json", **stack))
    wanted = {
        *("settings", "kafka", "topics", "redis", "redis version", "redis memory", "clock"),
        *("redis persistence", "redis rights", "state", "model", "catalogue", "workers", "lag"),
        "extension",
    }
    assert wanted <= set(found)
    assert {name for name in wanted if not found[name]["ok"]} == set()

    shown = cli("doctor", **stack)
    assert shown.code == 0
    assert all(name in shown.out for name in wanted)
    assert "no check failed" in shown.out


def test_nothing_is_stored_yet(cli: Cli, stack: dict[str, str]) -> None:
    stack["STREAM_APP_REDIS__PREFIX"] = "unused"
    cli("topics", "create", **stack)
    result = cli("doctor", "--json", **stack)
    found = checks(result)
    assert result.code == 0
    assert found["state"]["ok"] is True
    assert "no worker has run" in found["state"]["detail"]
    assert found["model"]["ok"] is found["lag"]["ok"] is None
    assert "none in the group" in found["workers"]["detail"]


def test_topics_are_missing(cli: Cli, stack: dict[str, str]) -> None:
    found = checks(cli("doctor", "--json", **stack))
    assert found["topics"]["ok"] is False
    assert "topics create" in found["topics"]["hint"]


def test_topics_do_not_fit_the_state(cli: Cli, stack: dict[str, str]) -> None:
    cli("topics", "create", "--partitions", str(PARTITIONS + 1), **stack)
    found = checks(cli("doctor", "--json", **stack))
    assert found["topics"]["ok"] is True
    assert found["state"]["ok"] is False
    assert found["lag"]["ok"] is None


@pytest.mark.parametrize(("topics", "advice"), [(2, "new prefix"), (6, "repartition 6")])
def test_what_to_do_about_topics_that_do_not_fit(
    cli: Cli, stack: dict[str, str], topics: int, advice: str
) -> None:
    cli("topics", "create", "--partitions", str(topics), **stack)
    state = checks(cli("doctor", "--json", **stack))["state"]
    assert f"made for {PARTITIONS} partitions" in state["detail"]
    assert advice in state["hint"]


def test_state_that_is_kept_from_before_a_move(cli: Cli, stack: dict[str, str]) -> None:
    key = f"{stack['STREAM_APP_REDIS__PREFIX']}:deployment"
    former = {"former": {"partitions": 2, "generation": 0}}
    with Redis.from_url(stack["STREAM_APP_REDIS__URL"]) as client:
        stored = client.get(key)
        try:
            client.set(key, json.dumps(json.loads(stored) | former))
            state = checks(cli("doctor", "--json", **stack))["state"]
        finally:
            client.set(key, stored)
    assert state["ok"]
    assert "that of 2 is kept" in state["detail"]
    assert "--forget" in state["hint"]


def test_everything_is_away(cli: Cli) -> None:
    began = time.monotonic()
    found = checks(
        cli(
            *("doctor", "--json"),
            STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=NOWHERE,
            STREAM_APP_REDIS__URL=f"redis://:{SECRET}@{NOWHERE}/0",
        )
    )
    assert time.monotonic() - began < 20
    assert found["kafka"]["ok"] is found["redis"]["ok"] is False
    assert found["state"]["ok"] is found["topics"]["ok"] is found["lag"]["ok"] is None
    assert SECRET not in str(found)


def test_a_server_that_refuses_is_not_called_away(
    cli: Cli, stack: dict[str, str], tmp_path: Path
) -> None:
    """A bad file and a missing right are no reason to look whether the server runs."""
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    with Redis.from_url(stack["STREAM_APP_REDIS__URL"]) as client:
        client.acl_setuser("nothing", enabled=True, passwords=[f"+{SECRET}"], keys=["*"])
        try:
            found = checks(
                cli(
                    *("doctor", "--json"),
                    **stack
                    | {
                        "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SSL",
                        "STREAM_APP_KAFKA__SSL_CA_FILE": str(bad),
                        "STREAM_APP_REDIS__URL": changed(
                            stack["STREAM_APP_REDIS__URL"], user=f"nothing:{SECRET}"
                        ),
                    },
                )
            )
        finally:
            client.acl_deluser("nothing")
    assert found["kafka"]["ok"] is found["redis"]["ok"] is False
    assert "ca.pem" in found["kafka"]["detail"] + found["kafka"]["hint"]
    for check in ("topics", "workers"):
        assert found[check]["detail"] == "not checked: Kafka cannot be asked, see above"
    for check in ("state", "model", "lag"):
        assert found[check]["detail"] == "not checked: Redis cannot be asked, see above"


def test_servers_that_never_answer(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        found = checks(
            cli(
                *("doctor", "--json"),
                STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=address,
                STREAM_APP_REDIS__URL=f"redis://{address}/0",
            )
        )
    assert time.monotonic() - began < 20
    assert found["kafka"]["ok"] is found["redis"]["ok"] is False


def test_settings_that_do_not_load(cli: Cli) -> None:
    found = checks(cli("doctor", "--json", STREAM_APP_WEB__PORT="http"))
    assert found["settings"]["ok"] is False
    assert "web.port" in found["settings"]["detail"]
    assert found["kafka"]["ok"] is None


@pytest.fixture
def locked(redis_service: Any) -> Iterator[str]:
    """URL of a Redis user that may not write, with a password."""
    with Redis.from_url(redis_service.url) as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=[f"+{SECRET}"], keys=["*"],
            categories=["+@read", "+@connection"], commands=["+info", "+time"],
        )  # fmt: skip
        yield changed(redis_service.url, user=f"reader:{SECRET}")
        client.acl_deluser("reader")


def test_a_redis_user_without_rights(cli: Cli, stack: dict[str, str], locked: str) -> None:
    result = cli("doctor", "--json", **{**stack, "STREAM_APP_REDIS__URL": locked})
    found = checks(result)
    assert found["redis"]["ok"] is True
    assert found["redis rights"]["ok"] is False
    assert "grant" in found["redis rights"]["hint"]
    assert SECRET not in result.out + result.err


@pytest.mark.parametrize("form", [("--json",), ()])
def test_a_wrong_password(
    cli: Cli, stack: dict[str, str], locked: str, form: tuple[str, ...]
) -> None:
    wrong = locked.replace(SECRET, f"wrong-{SECRET}")
    result = cli("--debug", "doctor", *form, **{**stack, "STREAM_APP_REDIS__URL": wrong})
    assert result.code == 1
    assert "STREAM_APP_REDIS__URL" in result.out
    assert SECRET not in result.out + result.err


def test_a_redis_that_may_evict(cli: Cli, stack: dict[str, str]) -> None:
    with Redis.from_url(stack["STREAM_APP_REDIS__URL"]) as client:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = checks(cli("doctor", "--json", **stack))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "0")
    assert found["redis memory"]["ok"] is False
    assert "noeviction" in found["redis memory"]["hint"]
    assert found["redis rights"]["ok"] is None


def test_a_model_of_other_features(cli: Cli, stack: dict[str, str]) -> None:
    key = f"{stack['STREAM_APP_REDIS__PREFIX']}:{{model}}"
    with Redis.from_url(stack["STREAM_APP_REDIS__URL"]) as client:
        before = client.hgetall(f"{key}:registry")
        registry = json.loads(before.get(b"document", b"{}")) | {"active": 99, "newest": 99}
        client.hset(f"{key}:registry", "document", json.dumps(registry))
        client.hset(f"{key}:snapshots", "99", "{}")
        try:
            found = checks_of_a_refused_model(cli, stack)
        finally:
            client.delete(f"{key}:registry")
            if before:
                client.hset(f"{key}:registry", mapping=before)
            client.hdel(f"{key}:snapshots", "99")
    assert found["model"] == {"check": "model", "ok": True, "detail": "version 99", "hint": ""}
    assert found["catalogue"]["ok"] is False


def checks_of_a_refused_model(cli: Cli, stack: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in cli("doctor", "--json", **stack).json}


def test_lag_of_a_partition() -> None:
    a, b = TopicPartition("a", 0), TopicPartition("b", 0)
    first, end = {a: 10, b: 0}, {a: 30, b: 5}
    assert _lag(["a", "b"], 0, {"a": 25, "b": 5}, first, end) == Lag(5, 0, ())
    assert _lag(["a", "b"], 0, {}, first, end) == Lag(25, 0, ())
    assert _lag(["a", "b"], 0, {"a": 4, "b": 5}, first, end) == Lag(20, 6, ())
    assert _lag(["a", "b"], 0, {"a": 30, "b": 6}, first, end) == Lag(5, 0, ("b",))
