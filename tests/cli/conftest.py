"""Calling the command line in this process and in another, and a Redis that workers have filled."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from stream_app.cli.program import run
from stream_app.events.decode import Pseudonyms
from stream_app.settings import RedisSettings, SegmentSettings, Settings
from stream_app.streams import topics
from stream_app.streams.clock import SystemClock
from stream_app.streams.memory_log import MemoryBroker, MemoryLog, MemoryPublisher
from stream_app.streams.messages import Messages
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.training import Training
from stream_app.streams.worker import Worker
from stream_app.traffic import Traffic, TrafficConfig
from tests.cli.stack import Stack
from tests.services import Service

NOWHERE = "127.0.0.1:1"
"""Nobody listens there."""
PARTITIONS = 4


@dataclass(frozen=True)
class Result:
    """What a call returned."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The single JSON value on stdout."""
        assert len(self.out.splitlines()) == 1
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The JSON error that is the last line on stderr."""
        error: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        assert error["exit_code"] == self.code
        return error


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """`cli("account", "x", STREAM_APP_…="…")` calls the command line in this process."""
    root = logging.getLogger()
    handlers, levels = list(root.handlers), (root.level, logging.getLogger("stream_app").level)

    def call(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield call
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    logging.getLogger("stream_app").setLevel(levels[1])


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream_app", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], given: str | None = None) -> Result:
    out, err = process.communicate(given, timeout=60)
    return Result(process.returncode, out, err)


@pytest.fixture
def stack(kafka_bootstrap: str, topic_prefix: str, worker_redis_url: str, tmp_path: Path) -> Stack:
    """Topics, and a Redis as workers are let in."""
    return Stack.create(kafka_bootstrap, topic_prefix, worker_redis_url, tmp_path)


@pytest.fixture(scope="module")
def filled(redis_service: Service) -> Iterator[Mapping[str, str]]:
    """Environment of a Redis prefix that a worker has filled with a week of traffic and two
    models. Not for tests that also use `redis_url`, which empties the database."""
    prefix = "cli-test"
    redis = RedisSettings(url=SecretStr(redis_service.url), prefix=prefix)
    with Redis.from_url(redis_service.url) as client:
        client.flushdb()
        asyncio.run(_fill(Settings(redis=redis, segments=SegmentSettings(warm_start_vectors=50))))
        yield {"STREAM_APP_REDIS__URL": redis_service.url, "STREAM_APP_REDIS__PREFIX": prefix}
        client.flushdb()


async def _fill(settings: Settings) -> None:
    broker = MemoryBroker()
    for topic in topics.TOPICS:
        broker.create_topic(topic.name, 1 if topic.partitions == 1 else PARTITIONS)
    publisher, store = MemoryPublisher(broker), RedisStore(settings.redis)
    log = MemoryLog(broker, "workers", topics.consumed())
    worker = Worker(settings, log, store, publisher, SystemClock())
    messages = Messages("", Pseudonyms())
    training = Training(settings, store, publisher, messages, SystemClock())
    week = TrafficConfig(accounts=150, start=datetime.now(UTC) - timedelta(days=7, minutes=1))
    await worker.start()
    running = asyncio.create_task(worker.run())
    learnt = 0
    for day in _days(Traffic(week)):
        for record in day:
            broker.append(record.topic, record.key, record.value)
        while _behind(broker):  # noqa: ASYNC110  (the log in memory tells nobody)
            await asyncio.sleep(0.05)
        samples = broker.read(topics.ACCOUNT_FEATURES.name, 0, learnt)
        learnt += len(samples)
        await training.learn([sample.value or b"" for sample in samples])
    await asyncio.sleep(1.5)  # until the worker has seen the model
    await worker.stop()
    await running


def _days(traffic: Traffic) -> Iterator[list[Any]]:
    hours = traffic.hours(days=7)
    while day := [record for _, hour in zip(range(24), hours, strict=False) for record in hour]:
        yield day


def _behind(broker: MemoryBroker) -> bool:
    progress = broker.progress("workers")
    return any(
        broker.source(topic, partition).end > progress.get((topic, partition), 0)
        for topic in topics.consumed()
        for partition in range(PARTITIONS)
    )
