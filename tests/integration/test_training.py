"""The whole circle with real Kafka and Redis: from events to a model, and from it to changes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.errors import NotFound
from stream_app.segments.snapshot import read_snapshot
from stream_app.segments.trainer import Trainer
from stream_app.settings import KafkaSettings, RedisSettings, SegmentSettings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.ports import Message
from stream_app.streams.redis_store import RedisStore
from stream_app.traffic import Traffic, TrafficConfig, TrafficRecord
from tests.integration.test_real_input import worker_process
from tests.schemas.checks import check_published

PARTITIONS = 4
DAYS = 14
WARM_START = 200


@dataclass
class Stack:
    """A worker process with training, and its topics."""

    kafka: KafkaSettings
    environment: dict[str, str]
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    async def publish(self, records: list[TrafficRecord]) -> None:
        prefix = self.kafka.topic_prefix
        publisher = KafkaPublisher(self.kafka)
        await publisher.start()
        await publisher.publish([Message(prefix + r.topic, r.key, r.value) for r in records])
        await publisher.stop()

    @asynccontextmanager
    async def reading(self, topic: topics.Topic) -> AsyncIterator[AIOKafkaConsumer]:
        """A reader of a topic from its beginning on."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers)
        async with consumer:
            count = PARTITIONS if topic.partitions > 1 else 1
            name = topic.with_prefix(self.kafka.topic_prefix).name
            consumer.assign([TopicPartition(name, p) for p in range(count)])
            await consumer.seek_to_beginning()
            yield consumer

    async def all_of(self, topic: topics.Topic) -> list[Any]:
        async with self.reading(topic) as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            found: list[Any] = []
            while len(found) < sum(ends.values()):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
        return found

    async def get(self, path: str) -> tuple[int, str]:
        """(status, body) of a page of the worker."""

        def ask() -> tuple[int, str]:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except HTTPError as error:
                return error.code, error.read().decode()

        return await asyncio.to_thread(ask)

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                assert self.process.poll() is None, self.log.read_text()
                try:
                    status, _ = await self.get("/health/ready")
                except OSError:  # does not listen yet
                    status = 0
                if status == 200:
                    return
                await asyncio.sleep(0.2)  # what is awaited happens in another process

    async def command(self, *arguments: str) -> tuple[int, str]:
        """(exit code, stdout) of a `stream-app` command."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream_app", *arguments),
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            stdout, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, stdout.decode()


@pytest.fixture
async def stack(
    kafka_bootstrap: str, worker_redis_url: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Stack]:
    group = f"{topic_prefix}group"
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix, group=group)
    await create_topics(kafka, topics.with_prefix(topic_prefix), partitions=PARTITIONS)
    port = free_port()
    environment = {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
        "STREAM_APP_KAFKA__GROUP": group,
        "STREAM_APP_REDIS__URL": worker_redis_url,
        "STREAM_APP_SEGMENTS__WARM_START_VECTORS": str(WARM_START),
        "STREAM_APP_WEB__PORT": str(port),
    }
    log = tmp_path / "worker.log"
    with worker_process(environment, log) as process:
        yield Stack(kafka, environment, port, process, log)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def traffic() -> list[TrafficRecord]:
    """Two weeks of a few hundred accounts, until yesterday."""
    start = datetime.now(UTC).replace(hour=0, minute=0) - timedelta(days=DAYS + 1)
    config = TrafficConfig(seed=5, accounts=300, start=start, horizon_days=DAYS)
    return list(Traffic(config).records(days=DAYS))


async def test_a_model_is_trained_and_moves_accounts_while_the_stream_runs(stack: Stack) -> None:
    await stack.until_ready()
    records = traffic()
    half = len(records) // 2
    await stack.publish(records[:half])
    rest = records[half:]

    async with asyncio.timeout(60), stack.reading(topics.SEGMENT_MODELS) as models:
        model = await models.getone()
    check_published(model.key, model.value, model.headers)
    snapshot = read_snapshot(model.value)
    assert snapshot.version == 1
    assert snapshot.vectors >= WARM_START
    names = {segment.id: segment.name for segment in snapshot.segments}
    assert len(names) >= 3

    # The stream goes on, a little at a time, until somebody was moved to a named segment.
    moved = asyncio.create_task(first_named_change(stack))
    while not moved.done():
        assert rest, "all was sent, and nobody was moved"
        part, rest = rest[:500], rest[500:]
        await stack.publish(part)
        await asyncio.wait({moved}, timeout=0.5)
    change = moved.result()
    assert rest, "while the stream still ran"
    issued = [
        read_snapshot(record.value)
        for record in await stack.all_of(topics.SEGMENT_MODELS)
        if dict(record.headers)["ce_type"] == b"stream-app.segment.model"
    ]
    (used,) = [model for model in issued if model.version == change["model_version"]]
    assert change["current"] in [{"id": s.id, "name": s.name} for s in used.segments]
    assert change["model_version"] >= 1
    await stack.publish(rest)

    for path, expected in (("/health/live", '"live": true'), ("/health/ready", '"ready": true')):
        status, page = await stack.get(path)
        assert status == 200
        assert expected.replace(" ", "") in page.replace(" ", "")
    await all_is_read(stack, len(records))
    status, page = await stack.get("/metrics")
    assert status == 200
    assert samples(page)["stream_app_model_version"] >= 1.0
    assert samples(page)["stream_app_ready"] == 1.0

    stack.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(stack.process.wait, 30) == 0, stack.log.read_text()
    assert "Traceback" not in stack.log.read_text()
    await what_redis_has_is_what_was_published(stack, change["account_id"])
    await every_message_is_valid(stack)


async def test_a_trainer_that_cannot_go_on_does_not_stop_the_stream(stack: Stack) -> None:
    """The checkpoint in Redis is of another catalogue of features: said once, with what to do."""
    url = stack.environment["STREAM_APP_REDIS__URL"]
    store = RedisStore(RedisSettings(url=url))  # type: ignore[arg-type]
    checkpoint = json.loads(Trainer(SegmentSettings()).checkpoint()) | {"catalogue": "other"}
    await store.save_trainer_checkpoint(json.dumps(checkpoint).encode())
    await store.stop()
    await stack.until_ready()
    records = traffic()[:10_000]
    for start in range(0, len(records), 2_000):
        await stack.publish(records[start : start + 2_000])
        await all_is_read(stack, start + 2_000)
    assert len(await stack.all_of(topics.ACCOUNT_FEATURES)) > WARM_START
    stack.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(stack.process.wait, 30) == 0
    log = stack.log.read_text()
    assert "Traceback" not in log, log
    assert log.count("delete the checkpoint to train anew") == 1, log
    assert await stack.all_of(topics.SEGMENT_MODELS) == []


async def first_named_change(stack: Stack) -> dict[str, Any]:
    """The first change on `segment-changes` that leads to a segment of the model."""
    async with asyncio.timeout(60), stack.reading(topics.SEGMENT_CHANGES) as changes:
        async for record in changes:
            change: dict[str, Any] = json.loads(record.value)
            if change["current"]["id"] > 0:
                return change
    raise AssertionError


async def all_is_read(stack: Stack, count: int) -> None:
    """Wait until the worker has counted all records, and has nothing left to publish."""
    async with asyncio.timeout(60):
        while True:
            found = samples((await stack.get("/metrics"))[1])
            names = [f"{stack.kafka.topic_prefix}{topic.name}" for topic in topics.TOPICS]
            read = [found.get(f'stream_app_records_total{{topic="{name}"}}', 0.0) for name in names]
            pending = [v for name, v in found.items() if name.startswith("stream_app_outbox")]
            if sum(read) == count and not sum(pending):
                return
            await asyncio.sleep(0.2)  # what is awaited happens in another process


async def what_redis_has_is_what_was_published(stack: Stack, account: str) -> None:
    """`stream-app account` of an account that was moved, and of one that does not exist."""
    code, out = await stack.command("account", account, "--json")
    assert code == 0
    shown = json.loads(out)
    changes = [
        json.loads(record.value)
        for record in await stack.all_of(topics.SEGMENT_CHANGES)
        if record.key == account.encode()
    ]
    standings = [
        json.loads(record.value)
        for record in await stack.all_of(topics.ACCOUNT_SEGMENTS)
        if record.key == account.encode()
    ]
    assert shown["published"] == standings[-1]
    stands = (shown["now"]["segment"], changes[-1]["current"], standings[-1]["segment"])
    assert len({segment["id"] for segment in stands}) == 1  # a version since may have renamed it
    assert shown["now"]["sequence"] == changes[-1]["sequence"] == len(changes)
    code, _ = await stack.command("account", "nobody", "--json")
    assert code == NotFound.exit_code


async def every_message_is_valid(stack: Stack) -> None:
    outputs = [topic for topic in topics.TOPICS if topic.role in {"output", "refused", "training"}]
    for topic in outputs:
        for record in (await stack.all_of(topic))[:100]:
            check_published(record.key, record.value, record.headers)


def samples(page: str) -> dict[str, float]:
    """Metrics by name and labels."""
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
