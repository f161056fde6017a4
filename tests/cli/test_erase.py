"""`erase`: what it asks, refuses and says. What a worker makes of it: tests/integration."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from stream_app.cli import erase
from stream_app.cli.erase_request import Request
from stream_app.errors import ConfigError, Unavailable
from stream_app.events.control import EraseAccount
from stream_app.events.decode import Pseudonyms
from stream_app.features.table import LAYOUT
from stream_app.settings import KafkaSettings, RedisSettings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.partitioning import partition_of
from stream_app.streams.redis_store import RedisStore
from tests.cli.conftest import NOWHERE, Cli, Result
from tests.services.redis_users import READER, as_user

PARTITIONS = 2
ADDRESS = "Somebody@Example.com"


@pytest.fixture
def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    """The topics exist, and nobody consumes them."""
    settings = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
    wanted = [
        topic.with_prefix(topic_prefix) for topic in (topics.ACCOUNT_CONTROL, topics.DEAD_LETTERS)
    ]
    asyncio.run(create_topics(settings, wanted, partitions=PARTITIONS))
    return settings


def environment(kafka: KafkaSettings, redis_url: str = f"redis://{NOWHERE}/0") -> dict[str, str]:
    return {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "STREAM_APP_REDIS__URL": redis_url,
    }


def requests(kafka: KafkaSettings) -> list[tuple[int, bytes, dict[str, Any]]]:
    """Partition, key and body of everything on `account-control`."""
    return asyncio.run(_requests(kafka))


async def _requests(kafka: KafkaSettings) -> list[tuple[int, bytes, dict[str, Any]]]:
    topic = topics.ACCOUNT_CONTROL.with_prefix(kafka.topic_prefix).name
    parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    try:
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(parts)
        found: list[tuple[int, bytes, dict[str, Any]]] = []
        for part in parts:
            while await consumer.position(part) < ends[part]:
                read = (await consumer.getmany(part, timeout_ms=500)).get(part, [])
                found += [(one.partition, one.key, json.loads(one.value)) for one in read]
    finally:
        await consumer.stop()
    return found


def registered(redis_url: str) -> None:
    """A worker has run here, and does not any more."""

    async def register() -> None:
        store = RedisStore(RedisSettings(url=SecretStr(redis_url)))
        await store.register(PARTITIONS, LAYOUT)
        await store.stop()

    asyncio.run(register())


def test_a_request_is_keyed_by_the_account_and_has_an_id_of_its_own(
    cli: Cli, kafka: KafkaSettings
) -> None:
    sent = [
        cli("erase", "acme", "--yes", "--no-wait", "--json", **environment(kafka)).json
        for _ in range(2)
    ]
    found = requests(kafka)
    assert [body["id"] for _, _, body in found] == [one["request_id"] for one in sent]
    assert sent[0]["request_id"] != sent[1]["request_id"]
    for partition, key, body in found:
        assert (partition, key) == (partition_of(b"acme", PARTITIONS), b"acme")
        assert {"type": "account.erase", "account_id": "acme"}.items() <= body.items()
    assert {one["done"] for one in sent} == {False}
    assert {one["known"] for one in sent} == {None}


def test_an_address_is_hashed_before_it_leaves(cli: Cli, kafka: KafkaSettings) -> None:
    sent = cli(
        *("erase", "acme", "--contact", ADDRESS, "--yes", "--no-wait", "--json"),
        **environment(kafka),
        STREAM_APP_INPUT__CONTACT_HASH_KEY="k" * 32,
    )
    ((_, _, body),) = requests(kafka)
    assert body["type"] == "contact.erase"
    assert body["contact_id"] == Pseudonyms(b"k" * 32)(ADDRESS) == sent.json["contact_id"]
    assert "@" not in json.dumps(body)


def test_without_a_worker_it_says_that_the_request_stays(
    cli: Cli, kafka: KafkaSettings, redis_url: str
) -> None:
    registered(redis_url)
    late = cli(
        *("erase", "acme", "--yes", "--timeout", "0.3", "--json"), **environment(kafka, redis_url)
    )
    assert late.code == 7
    assert late.error["type"] == "NotDoneYet"
    assert "the request was sent" in late.error["message"]
    assert f"{kafka.topic_prefix}account-control" in late.error["hint"]
    assert late.out == ""
    assert len(requests(kafka)) == 1


def test_where_no_worker_has_ever_run_nothing_is_sent(
    cli: Cli, kafka: KafkaSettings, redis_url: str
) -> None:
    missing = cli("erase", "acme", "--yes", "--json", **environment(kafka, redis_url))
    assert missing.code == 6
    assert requests(kafka) == []


def test_without_a_right_that_is_needed_to_wait_nothing_is_sent(
    cli: Cli, kafka: KafkaSettings, redis_url: str
) -> None:
    registered(redis_url)
    reader = environment(kafka, as_user(redis_url, READER))
    refused = cli("erase", "acme", "--yes", "--timeout", "0.3", "--json", **reader)
    assert refused.code == 3
    assert "was sent" not in refused.error["message"]
    assert requests(kafka) == []


async def _fails(*_: object) -> bool:
    raise ConfigError("the password has changed")


async def _interrupted(*_: object) -> bool:
    raise KeyboardInterrupt


async def _no_answer(*_: object) -> None:
    raise Unavailable("Kafka gave no answer")


@pytest.mark.parametrize(("ends", "code"), [(_fails, 3), (_interrupted, 130)])
def test_whatever_happens_afterwards_it_says_that_the_request_was_sent(
    cli: Cli,
    kafka: KafkaSettings,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    ends: object,
    code: int,
) -> None:
    registered(redis_url)
    monkeypatch.setattr("stream_app.cli.erase_request._Follower.answered", ends)
    ended = cli("erase", "acme", "--yes", "--json", **environment(kafka, redis_url))
    assert ended.code == code
    assert "the request was sent" in ended.error["message"]
    assert len(requests(kafka)) == 1


def test_without_kafkas_answer_it_says_that_the_request_may_have_been_sent(
    cli: Cli, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KafkaPublisher, "publish", _no_answer)
    ended = cli("erase", "acme", "--yes", "--no-wait", "--json", **environment(kafka))
    assert ended.code == 5
    assert "may have been sent" in ended.error["message"]


def test_an_account_that_was_erased_before_is_told_from_one_that_never_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = EraseAccount(id="e-1", occurred_at=datetime.now(UTC), account_id="acme")
    request = Request(event, done=True, known=False, erased_at="2026-09-02T12:00:00Z")
    erase._show(request)
    assert capsys.readouterr().out == "there was no account acme\n"
    erase._show(replace(request, erased_before="2026-09-01T12:00:00Z"))
    assert capsys.readouterr().out == "acme was erased already at 2026-09-01 12:00:00 UTC\n"


def test_a_topic_that_is_missing_is_named(
    cli: Cli, kafka_bootstrap: str, topic_prefix: str
) -> None:
    nowhere = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
    missing = cli("erase", "acme", "--yes", "--no-wait", "--json", **environment(nowhere))
    assert missing.code == 4
    assert f"{topic_prefix}account-control" in missing.error["message"]
    assert "topics create" in missing.error["hint"]


def test_kafka_away(cli: Cli) -> None:
    nowhere = KafkaSettings(bootstrap_servers=NOWHERE)
    assert cli("erase", "acme", "--yes", "--no-wait", **environment(nowhere)).code == 5


@pytest.mark.parametrize(
    "wrong", [("",), ("x" * 257,), ("caf\udce9",), ("acme", "--contact", "")], ids=str
)
def test_an_id_that_a_worker_would_refuse_is_refused_here(cli: Cli, wrong: tuple[str, ...]) -> None:
    refused = cli("erase", *wrong, "--yes", "--no-wait", "--json")
    assert refused.code == 2
    assert refused.error["type"] == "UsageError"


def test_where_nobody_can_be_asked_it_wants_a_yes(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    refused = cli("erase", "acme", "--no-wait")
    assert refused.code == 2
    assert "--yes" in refused.err


def answer(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, reply: str | type[BaseException], **env: str
) -> tuple[list[str], Result]:
    """Call it on a terminal where somebody replies; returns what was asked, too."""
    asked = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        if isinstance(reply, str):
            return reply
        raise reply

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("stream_app.cli.erase._ask", typed)
    return asked, cli("erase", "acme", "--contact", "c-1", "--no-wait", **env)


@pytest.mark.parametrize(("reply", "code"), [("n", 1), ("", 1), (KeyboardInterrupt, 130)])
def test_only_a_yes_sends(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    kafka: KafkaSettings,
    reply: str | type[BaseException],
    code: int,
) -> None:
    (question,), result = answer(cli, monkeypatch, reply, **environment(kafka))
    assert result.code == code
    assert "c-1" in question
    assert "acme" in question
    assert requests(kafka) == []


def test_a_yes_sends(cli: Cli, monkeypatch: pytest.MonkeyPatch, kafka: KafkaSettings) -> None:
    _, result = answer(cli, monkeypatch, "y", **environment(kafka))
    assert result.code == 0, result.err
    assert result.out.startswith("sent")
    assert len(requests(kafka)) == 1
