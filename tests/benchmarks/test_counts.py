"""Guards of speed that do not depend on the machine: counts, not times.

Each bound lies a little above what was counted when it was set. Who makes a count smaller lowers
its bound.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from benchmarks.broker import PARTITIONS
from benchmarks.contenders import worker_settings
from benchmarks.job import snapshot
from benchmarks.load import Load, items
from benchmarks.population import fill, recorded, redis_bytes, templates
from stream_app.features.table import ACCOUNT
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.settings import KafkaSettings, Settings
from stream_app.streams import topics
from stream_app.streams.clock import SystemClock
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.memory_log import MemoryBroker, MemoryLog, MemoryPublisher
from stream_app.streams.ports import Message
from stream_app.streams.processor import Pipeline, Processor
from stream_app.streams.redis_calls import RedisCalls
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.worker import Worker
from tests.native.paths import need_native
from tests.scale import memory

BATCH = 4_000
CALLS_PER_EVENT = {"native": 9.5, "python": 62.0}
"""Of this load, of whose accounts many cross borders all the time."""
FEW = 5
CALLS_OF_A_FEW = {"native": 310, "python": 940}
"""Of a batch of so few events."""
RECORD_BYTES = 960
"""Of an account's record."""
STATE_BYTES = 965
"""Of an account in Redis, with its id and its part of the hash."""
RESIDENT_BYTES = 1_024
"""Of an account in a worker with the compiled extension."""
REDIS_BYTES = 1_430
"""Of state and profile."""


def test_a_step_makes_few_calls_an_event(both_paths: str) -> None:
    """Calls of functions, Python's and C's, for the third batch of accounts that are known."""
    assert _calls(BATCH) / BATCH <= CALLS_PER_EVENT[both_paths]


def test_a_small_batch_makes_few_calls(both_paths: str) -> None:
    """Of a worker that has little to do, whose events somebody waits for."""
    assert _calls(FEW) / (BATCH / FEW) <= CALLS_OF_A_FEW[both_paths]


def _calls(at_once: int) -> int:
    """That `BATCH` events make in batches of so many, of accounts that are known."""
    settings = Settings()
    processor = Processor(Pipeline(settings), 0, 1)
    assigner = Assigner(snapshot(), Hysteresis.of(settings.segments))
    now_us = 1_750_000_000_000_000
    records = recorded(items(Load(3 * BATCH, 2_000, ends_us=now_us)), "")
    for start in (0, BATCH):
        processor.process(records[start : start + BATCH], assigner, now_us)
    calls = 0

    def count(_frame: Any, what: str, _argument: Any) -> None:
        nonlocal calls
        calls += what in {"call", "c_call"}

    batches = [records[n : n + at_once] for n in range(2 * BATCH, 3 * BATCH, at_once)]
    sys.setprofile(count)
    try:
        for batch in batches:
            processor.process(batch, assigner, now_us)
    finally:
        sys.setprofile(None)
    return calls


def test_an_account_takes_a_record_of_bounded_size() -> None:
    assert ACCOUNT.itemsize <= RECORD_BYTES


@pytest.mark.skipif(not memory.AVAILABLE, reason="only Linux tells about memory")
def test_an_account_takes_bounded_memory_in_a_worker() -> None:
    """Record, next check, id and index; for so many that what Python has anyway does not count."""
    need_native()
    drawn = templates(1_750_000_000_000_000)
    processor = Processor(Pipeline(Settings()), 0, 1)
    resident, accounts = memory.resident_bytes(), 100_000
    for first in range(0, accounts, 1_000):
        names = [f"account-{first + n:07}" for n in range(1_000)]
        processor.put(names, [drawn[n % len(drawn)].state for n in range(1_000)])
    assert (memory.resident_bytes() - resident) / accounts <= RESIDENT_BYTES


async def test_an_account_takes_bounded_memory_in_redis(redis_url: str) -> None:
    name, accounts = f"bytes-{uuid.uuid4().hex[:6]}", 2_000
    settings = worker_settings("localhost:9", redis_url, f"{name}.", name)
    await fill(settings, accounts, time.time_ns() // 1_000)
    stored = redis_bytes(redis_url, name)
    assert 0 < stored["state"] / accounts <= STATE_BYTES
    assert sum(stored.values()) / accounts <= REDIS_BYTES


async def test_a_batch_is_one_write_to_redis(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, partitions, events = f"calls-{uuid.uuid4().hex[:6]}", 2, 3 * BATCH
    settings = worker_settings("localhost:9", redis_url, f"{name}.", name)
    broker = await _offered(settings, partitions, events)
    log = MemoryLog(broker, name, topics.consumed(f"{name}."))
    worker = Worker(
        settings, log, RedisStore(settings.redis), MemoryPublisher(broker), SystemClock()
    )
    called: Counter[str] = Counter()
    call = RedisCalls.call

    async def counted(self: RedisCalls, key: str, *command: Any, **options: Any) -> Any:
        called[command[0]] += 1
        return await call(self, key, *command, **options)

    transaction = RedisCalls.transaction

    async def counted_too(self: RedisCalls, *what: Any) -> bool:
        called["transaction"] += 1
        return await transaction(self, *what)

    monkeypatch.setattr(RedisCalls, "call", counted)
    monkeypatch.setattr(RedisCalls, "transaction", counted_too)
    await worker.start()
    running = asyncio.create_task(worker.run())
    value = worker.metrics.registry.get_sample_value
    while value("stream_app_events_total") != events:
        assert not running.done()
        await asyncio.sleep(0.02)
    await worker.stop()
    await running
    commits = value("stream_app_commits_total") or 0.0
    # A poll brings records of any partition: full batches, and one of each that is not full.
    assert commits <= events / BATCH * partitions + partitions
    assert called["transaction"] == commits + 1, "that is the check at the start"
    # Besides: of each partition a claim, and a trim at a tick, before which its position is asked
    # for; a script may have to be sent twice.
    scripts = called["EVALSHA"] + called["EVAL"]
    assert scripts <= 2 * (1 + partitions) + called["HMGET"]
    assert called["HSET"] == called["RPUSH"] == 0


async def _offered(settings: Settings, partitions: int, events: int) -> MemoryBroker:
    """A log in memory that has events."""
    prefix, broker = settings.kafka.topic_prefix, MemoryBroker()
    for topic in topics.with_prefix(prefix):
        broker.create_topic(topic.name, partitions if topic.partitions > 1 else 1)
    publisher = MemoryPublisher(broker)
    await publisher.start()
    load = items(Load(events, 500, ends_us=time.time_ns() // 1_000))
    await publisher.publish(
        [Message(prefix + i.topic, i.account.encode(), i.value, ()) for i in load]
    )
    await publisher.stop()
    return broker


async def test_a_thousand_changes_are_one_batch_for_each_partition(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka_bootstrap)
    await create_topics(settings, topics.with_prefix(topic_prefix), partitions=PARTITIONS)
    sent = 0
    send_batch = AIOKafkaProducer.send_batch

    async def counted(self: AIOKafkaProducer, *args: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return await send_batch(self, *args, **options)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", counted)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    topic = topic_prefix + topics.SEGMENT_CHANGES.name
    await publisher.publish(
        [Message(topic, f"account-{n}".encode(), b"x" * 1_000, ()) for n in range(1_000)]
    )
    await publisher.stop()
    assert sent == PARTITIONS
