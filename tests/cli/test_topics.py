"""`topics` against a real Kafka."""

from __future__ import annotations

from tests.cli.conftest import NOWHERE, Cli


def test_create_then_list(cli: Cli, kafka_bootstrap: str, topic_prefix: str) -> None:
    kafka = {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
    }
    listed = cli("topics", "list", "--json", **kafka).json["topics"]
    assert {topic["partitions"] for topic in listed} == {None}

    created = cli("topics", "create", "--partitions", "2", "--json", **kafka).json
    assert created["existing"] == []
    assert {"name": f"{topic_prefix}website-visits", "partitions": 2} in created["created"]
    assert {"name": f"{topic_prefix}account-features", "partitions": 1} in created["created"]

    listed = cli("topics", "list", "--json", **kafka).json["topics"]
    assert {topic["name"]: topic["partitions"] for topic in listed} == {
        topic["name"]: topic["partitions"] for topic in created["created"]
    }
    again = cli("topics", "create", "--json", **kafka).json
    assert again["created"] == []
    assert len(again["existing"]) == len(listed)

    other = cli("topics", "create", "--partitions", "3", **kafka)
    assert other.code == 4
    assert "hint:" in other.err

    shown = cli("topics", "list", **kafka)
    assert f"{topic_prefix}segment-changes" in shown.out
    assert "missing" not in shown.out


def test_topics_that_workers_read_grow(cli: Cli, kafka_bootstrap: str, topic_prefix: str) -> None:
    kafka = {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
    }
    assert cli("topics", "create", "--partitions", "2", **kafka).code == 0
    refused = cli("topics", "grow", "4", "--json", **kafka)
    assert refused.code == 2
    assert "--yes" in refused.error["hint"]
    grown = cli("topics", "grow", "4", "--yes", "--json", **kafka).json["topics"]
    assert set(grown.values()) == {4}
    assert f"{topic_prefix}engagement" in grown
    assert f"{topic_prefix}segment-changes" not in grown
    shown = cli("topics", "grow", "4", "--yes", **kafka)
    assert (shown.code, f"{topic_prefix}website-visits" in shown.out) == (0, True)


def test_more_copies_than_brokers(cli: Cli, kafka_bootstrap: str, topic_prefix: str) -> None:
    refused = cli(
        *("topics", "create", "--replication-factor", "2", "--json"),
        STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=kafka_bootstrap,
        STREAM_APP_KAFKA__TOPIC_PREFIX=topic_prefix,
    )
    assert refused.code == 3
    assert "--replication-factor" in refused.error["hint"]


def test_kafka_away(cli: Cli) -> None:
    away = cli("topics", "list", STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=NOWHERE)
    assert away.code == 5
    assert away.out == ""
    assert away.err.startswith("error: Kafka")


def test_no_subcommand(cli: Cli) -> None:
    assert cli("topics").code == 2
    assert "error: Missing command." in cli("topics").err
