"""`traffic` to a real Kafka, and the pace by itself."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from typing import Any

import pytest

from stream_app.cli.publishing import Pace
from stream_app.events.instants import parse
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_log import KafkaLog
from stream_app.streams.topics import consumed
from stream_app.traffic import Traffic, TrafficConfig, TrafficRecord
from tests.cli.conftest import NOWHERE, Cli, finished, started


@pytest.fixture
def kafka(cli: Cli, kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    settings = {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
    }
    assert cli("topics", "create", "--partitions", "2", **settings).code == 0
    return settings


def test_history_arrives_as_it_is_counted(cli: Cli, kafka: dict[str, str]) -> None:
    """More than a week, because weekends are quiet."""
    before = time.time()
    done = cli("traffic", "--accounts", "40", "--history", "8", "--seconds", "0", "--json", **kafka)
    summary = done.json
    assert (done.code, summary["live"]) == (0, 0)
    assert summary["events"] == summary["history"] == sum(summary["topics"].values()) > 100

    records = asyncio.run(read_all(kafka, summary["events"]))
    topics = Counter(record.topic.removeprefix(prefix(kafka)) for record in records)
    assert dict(topics) == summary["topics"]
    events = [event for record in records if (event := json_of(record.value))]
    times = [parse(event["occurred_at"]) / 1e6 for event in events if "occurred_at" in event]
    assert before - 8.6 * 86_400 < min(times)
    assert sum(t > time.time() for t in times) <= summary["flaws"]["malformed"]
    ids = Counter(event["id"] for event in events if "id" in event)
    assert sum(count - 1 for count in ids.values()) == summary["flaws"]["duplicate"]
    for record, event in ((r, e) for r in records if (e := json_of(r.value))):
        assert record.key.decode() == event["account_id"]


def test_rate_and_ids_of_two_runs(cli: Cli, kafka: dict[str, str]) -> None:
    rate = ("traffic", "--rate", "200", "--seconds", "2", "--json")
    first, second = cli(*rate, **kafka).json, cli(*rate, **kafka).json
    assert first["live"] == first["events"] == pytest.approx(400, rel=0.2)
    records = asyncio.run(read_all(kafka, first["events"] + second["events"]))
    good = [event for record in records if (event := json_of(record.value)) and "id" in event]
    flaws = first["flaws"]["duplicate"] + second["flaws"]["duplicate"]
    assert len(good) - len({event["id"] for event in good}) <= flaws
    late = [
        event
        for event in good
        if "occurred_at" in event and parse(event["occurred_at"]) / 1e6 < time.time() - 60
    ]
    assert len(late) <= sum(
        run["flaws"]["late"] + run["flaws"]["malformed"] for run in (first, second)
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped(kafka: dict[str, str], number: int, code: int) -> None:
    process = started("traffic", "--rate", "100", "--json", **kafka)
    records = asyncio.run(read_all(kafka, 20))
    process.send_signal(number)
    stopped = finished(process)
    assert stopped.code == code
    assert stopped.json["live"] >= len(records)
    assert "Traceback" not in stopped.err


def test_summary_for_people(cli: Cli, kafka: dict[str, str]) -> None:
    shown = cli("traffic", "--rate", "50", "--seconds", "1", **kafka)
    assert shown.code == 0
    assert "events published" in shown.out
    assert "website-visits" in shown.out


def test_topics_are_missing(cli: Cli, kafka_bootstrap: str) -> None:
    missing = cli(
        "traffic",
        STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=kafka_bootstrap,
        STREAM_APP_KAFKA__TOPIC_PREFIX="no-such-prefix.",
    )
    assert missing.code == 4
    assert "topics create" in missing.err


def test_kafka_away(cli: Cli) -> None:
    away = cli("traffic", "--json", STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=NOWHERE)
    assert away.code == 5
    assert away.error["type"] == "Unavailable"


def test_rate_or_speed(cli: Cli) -> None:
    assert cli("traffic", "--rate", "1", "--speed", "1").code == 2


DAY = Traffic(TrafficConfig(accounts=30, late_rate=0.1, malformed_rate=0.05, duplicate_rate=0.1))
NOON = DAY.config.start_us / 1e6 + 43_200


def paced(pace: Pace) -> list[tuple[TrafficRecord, float | None, bytes]]:
    found = []
    for record in DAY.records(days=1):
        due = pace.due(record, NOON + 5)
        found.append((record, due, pace.value(record, due)))
    return found


def occurred(value: bytes) -> float:
    return parse(json.loads(value)["occurred_at"]) / 1e6


def test_history_stays_as_it_is() -> None:
    for pace in (Pace(NOON), Pace(NOON, speed=60), Pace(NOON, rate=10)):
        past = [each for each in paced(pace) if each[1] is None]
        assert past
        assert all(record.value == value for record, _, value in past)
        assert all(record.delivered_at_us / 1e6 < NOON for record, _, _ in past)


def test_exact_pace_changes_nothing() -> None:
    for record, due, value in paced(Pace(NOON)):
        assert value == record.value
        assert due is None or due == pytest.approx(record.delivered_at_us / 1e6)


def test_faster_accounts() -> None:
    live = [each for each in paced(Pace(NOON, speed=60)) if each[1] is not None]
    for record, due, value in live:
        assert due == pytest.approx(NOON + 5 + (record.delivered_at_us / 1e6 - NOON) / 60)
        if record.flaw != "malformed":
            assert occurred(value) <= due + 0.001
            original = json.loads(record.value)
            assert {**original, "occurred_at": ""} == {**json.loads(value), "occurred_at": ""}


@pytest.mark.parametrize("pace", [Pace(NOON, speed=60), Pace(NOON, rate=10)])
def test_a_duplicate_has_the_same_bytes(pace: Pace) -> None:
    sent: dict[bytes, set[bytes]] = {}
    for record, due, value in paced(pace):
        if due is not None:
            sent.setdefault(record.value, set()).add(value)
    assert all(len(values) == 1 for values in sent.values())


def test_constant_rate() -> None:
    live = [each for each in paced(Pace(NOON, rate=10)) if each[1] is not None]
    assert [due for _, due, _ in live] == pytest.approx(
        [NOON + 5 + i / 10 for i in range(len(live))]
    )
    for record, due, value in live:
        if record.flaw == "malformed":
            assert value == record.value
        elif record.flaw != "duplicate":
            delay = (record.delivered_at_us - record.occurred_at_us) / 1e6
            assert due - occurred(value) == pytest.approx(delay, abs=0.002)  # type: ignore[operator]


def prefix(kafka: dict[str, str]) -> str:
    return kafka["STREAM_APP_KAFKA__TOPIC_PREFIX"]


def json_of(value: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(value)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


class _Everything:
    """A `Listener` that reads all partitions from their beginning."""

    def __init__(self) -> None:
        self.log: KafkaLog

    async def on_revoked(self, partitions: frozenset[int]) -> None: ...

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            await self.log.seek(partition, {})


async def read_all(kafka: dict[str, str], at_least: int) -> list[Any]:
    settings = KafkaSettings(
        bootstrap_servers=kafka["STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"],
        topic_prefix=prefix(kafka),
        group=f"{prefix(kafka)}reader",
    )
    listener = _Everything()
    listener.log = log = KafkaLog(settings, consumed(settings.topic_prefix))
    await log.start(listener)
    records: list[Any] = []
    try:
        async with asyncio.timeout(60):
            while len(records) < at_least:
                for found in (await log.poll(10_000, 0.2)).values():
                    records += found
    finally:
        await log.stop()
    return records
