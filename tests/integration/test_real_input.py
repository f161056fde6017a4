"""The same events through real Kafka and Redis, and through replay, end alike.

The events are those of the Online Retail data set (see `examples/online_retail.py`), in the order
of the file, with a fixed model. `STREAM_APP_TEST_ROWS=all` takes the whole file, not only its
start.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.changes.accounts import account_at
from stream_app.events.instants import parse
from stream_app.features.silence import OFFSETS_US
from stream_app.features.table import FeatureTable
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot, read_snapshot, write_snapshot
from stream_app.settings import KafkaSettings, RedisSettings, Settings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.ports import Message
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.replay import Outputs, Replay
from tests.models import save_model
from tests.online_retail import online_retail_lines

PARTITIONS = 8
UNTIL = "2012-12-31T00:00:00Z"
"""Long after the last event: every silence has been looked at to its end."""
ROWS = os.environ.get("STREAM_APP_TEST_ROWS", "100000")


@dataclass
class Replayed:
    lines: list[bytes]
    snapshot: Snapshot
    folder: Path

    def read(self, name: str) -> list[dict[str, Any]]:
        text = (self.folder / f"{name}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """A first replay trains a model; a second one uses it as it is."""
    lines = online_retail_lines(None if ROWS == "all" else int(ROWS))
    settings = Settings()
    training = Replay(settings)
    training.feed(lines)
    training.finish()
    assert training.assigner is not None
    snapshot = msgspec.structs.replace(training.assigner.snapshot, version=1)
    folder = tmp_path_factory.mktemp("replay")
    with Outputs(folder) as outputs:
        fixed = Replay(settings, outputs, snapshot)
        fixed.feed(lines)
        summary = fixed.finish(UNTIL)
    assert summary.read == len(lines) == summary.applied + summary.dead_letters
    return Replayed(lines, snapshot, folder)


@contextmanager
def worker_process(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`stream-app worker` as a user starts it."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "worker"],
            env={**os.environ, **environment},
            stderr=file,
            stdout=file,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.mark.parametrize("workers", [1, 2])
async def test_workers_on_kafka_and_redis_end_like_the_replay(
    workers: int,
    replayed: Replayed,
    kafka_bootstrap: str,
    redis_url: str,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    kafka = KafkaSettings(
        bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix, group=f"{topic_prefix}group"
    )
    store = RedisStore(RedisSettings(url=redis_url, prefix=topic_prefix))
    try:
        await compare(workers, replayed, kafka, store, redis_url, tmp_path)
    finally:
        await store.stop()


async def compare(
    workers: int,
    replayed: Replayed,
    kafka: KafkaSettings,
    store: RedisStore,
    redis_url: str,
    tmp_path: Path,
) -> None:
    topic_prefix = kafka.topic_prefix
    await create_topics(kafka, topics.with_prefix(topic_prefix), partitions=PARTITIONS)
    await save_model(store, 1, write_snapshot(replayed.snapshot), b"")
    await publish(kafka, replayed.lines)

    environment = {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
        "STREAM_APP_KAFKA__GROUP": kafka.group,
        "STREAM_APP_REDIS__URL": redis_url,
        "STREAM_APP_REDIS__PREFIX": topic_prefix,
        "STREAM_APP_SEGMENTS__TRAIN": "false",
        "STREAM_APP_WEB__PORT": "0",
    }
    with worker_process(environment, tmp_path / "first.log") as first:
        others = [worker_process(environment, tmp_path / f"{i}.log") for i in range(1, workers)]
        processes = [first, *(other.__enter__() for other in others)]
        await settled(store, kafka, len(replayed.lines), processes, tmp_path)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [await asyncio.to_thread(process.wait, 60) for process in processes]
        for other in others:
            other.__exit__(None, None, None)
    assert codes == [0] * workers, log_of(tmp_path)

    changes = await read_all(kafka, topics.SEGMENT_CHANGES)
    assert by_id(changes, "sequence") == by_id(replayed.read("segment-changes"), "sequence")
    for account, sequences in sequences_of(changes).items():
        assert sequences == list(range(1, len(sequences) + 1)), account
    spikes = await read_all(kafka, topics.INTENT_SPIKES)
    assert by_id(spikes, "number") == by_id(replayed.read("intent-spikes"), "number")
    letters = await read_all(kafka, topics.DEAD_LETTERS)
    ids = {letter["ce_id"] for letter in letters}
    assert len(ids) == len(replayed.read("dead-letters"))
    assert await accounts(store, replayed.snapshot) == {
        account["account_id"]: account for account in replayed.read("accounts")
    }


async def publish(kafka: KafkaSettings, lines: list[bytes]) -> None:
    """Send every line to `website-visits`; those without an account without a key."""
    topic = topics.WEBSITE_VISITS.with_prefix(kafka.topic_prefix).name
    publisher = KafkaPublisher(kafka)
    await publisher.start()
    for start in range(0, len(lines), 5_000):
        await publisher.publish([message(topic, line) for line in lines[start : start + 5_000]])
    await publisher.stop()


def message(topic: str, line: bytes) -> Message:
    account = json.loads(line).get("account_id")
    return Message(topic, account.encode() if account else None, line)


async def settled(
    store: RedisStore,
    kafka: KafkaSettings,
    expected: int,
    processes: list[subprocess.Popen[bytes]],
    logs: Path,
) -> None:
    """Wait until everything is applied, every silence has run out, and the outboxes are empty."""
    async with asyncio.timeout(400):
        while True:
            for process in processes:
                if process.poll() is not None:
                    pytest.fail(f"a worker ended with {process.returncode}:\n{log_of(logs)}")
            positions = [await store.position(p) for p in range(PARTITIONS)]
            if sum(sum(p.offsets.values()) for p in positions) >= expected:
                table = await load(store)
                silent = bool((table.live["checks"] == len(OFFSETS_US)).all())
                if silent and len(table) and await outboxes(store) == 0:
                    return
            await asyncio.sleep(0.5)  # what is awaited happens in other processes


def log_of(folder: Path) -> str:
    """The end of what the workers wrote."""
    return "\n".join(path.read_text() for path in folder.glob("*.log"))[-5_000:]


async def outboxes(store: RedisStore) -> int:
    keys = [f"{store._prefix}:{{{p}}}:outbox" for p in range(PARTITIONS)]
    return sum([int(await store._calls.call(key, "LLEN", key)) for key in keys])


async def load(store: RedisStore) -> FeatureTable:
    """Every account in Redis."""
    table = FeatureTable()
    for partition in range(PARTITIONS):
        async for chunk in store.load(partition):
            table.put([account for account, _ in chunk], [state for _, state in chunk])
    return table


async def accounts(store: RedisStore, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Where every account in Redis stands at the end."""
    table = await load(store)
    names: dict[int, str] = {}
    for partition in range(PARTITIONS):
        names |= await store.names(partition)
    settings = Settings()
    assigner = Assigner(read_snapshot(write_snapshot(snapshot)), Hysteresis.of(settings.segments))
    return {
        account: json.loads(
            msgspec.json.encode(
                account_at(
                    account,
                    table.data[row : row + 1],
                    assigner,
                    names,
                    parse(UNTIL),
                    settings.scores,
                )
            )
        )
        for row, account in enumerate(table.all_ids())
    }


async def read_all(kafka: KafkaSettings, topic: topics.Topic) -> list[dict[str, Any]]:
    """Every record of a topic: its JSON, or only its headers where it is a dead letter."""
    name = topic.with_prefix(kafka.topic_prefix).name
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    parts = [TopicPartition(name, p) for p in range(PARTITIONS)]
    consumer.assign(parts)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(parts)
    found: list[dict[str, Any]] = []
    for part in parts:
        while await consumer.position(part) < ends[part]:
            for record in (await consumer.getmany(part, timeout_ms=1_000)).get(part, []):
                dead = topic is topics.DEAD_LETTERS
                found.append(dict(record.headers) if dead else json.loads(record.value))
    await consumer.stop()
    return found


def by_id(payloads: list[dict[str, Any]], number: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Payloads by account and number, without what the clock wrote; repetitions must be equal."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for payload in payloads:
        rest = {k: v for k, v in payload.items() if k not in {"decided_at", "lag_ms"}}
        key = payload["account_id"], payload[number]
        assert found.setdefault(key, rest) == rest
    return found


def sequences_of(changes: list[dict[str, Any]]) -> dict[str, list[int]]:
    """First publications per account, in the order in which they lie in Kafka."""
    found: dict[str, dict[int, None]] = {}
    for change in changes:
        found.setdefault(change["account_id"], {})[change["sequence"]] = None
    return {account: list(sequences) for account, sequences in found.items()}
