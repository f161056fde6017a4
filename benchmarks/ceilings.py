"""The ceilings: what no worker of this kind can exceed. `python -m benchmarks.ceilings decode …`
runs one of them in a process of its own and prints one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis import Redis

from benchmarks.broker import PARTITIONS
from benchmarks.contenders import worker_settings
from benchmarks.job import snapshot
from benchmarks.load import INPUTS, Load
from benchmarks.population import known
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.settings import Settings
from stream_app.streams.inbox import size_of
from stream_app.streams.ports import Commit
from stream_app.streams.processor import Pipeline, Processor, Work
from stream_app.streams.redis_profiles import compress
from stream_app.streams.redis_store import RedisStore

_REDIS_RECORDS = 60_000
"""Whose commits are computed for (c): enough for a rate, and not a run of the worker's work."""
WHAT = ("read", "decode", "redis")


async def read(settings: Settings, *, decode: bool) -> dict[str, float]:
    """(a) `getmany` until everything is read; (b) with the worker's typed decode of each batch."""
    pipeline = Pipeline(settings)
    now_us = time.time_ns() // 1_000
    records = 0
    began, cpu = 0.0, 0.0
    async for batch in batches(settings):
        if not began:
            began, cpu = time.perf_counter(), time.process_time()
        for each in batch:
            if decode:
                pipeline.decoder.decode(each, now_us)
            records += len(each)
    return {
        "records": records,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
    }


async def redis(settings: Settings, load: Load) -> dict[str, float]:
    """(c) The commits of a worker, computed beforehand, written one after the other."""
    works: list[tuple[int, Work, list[bytes]]] = []
    pipeline, encode = Pipeline(settings), msgspec.msgpack.Encoder().encode
    processors = {p: Processor(pipeline, p, PARTITIONS) for p in range(PARTITIONS)}
    known(load, processors)
    assigner = Assigner(snapshot(), Hysteresis.of(settings.segments))
    records = read_bytes = 0
    async for batch in batches(settings):
        for each in batch:
            read_bytes += sum(map(size_of, each))
            partition = each[0].partition
            work = processors[partition].process(each, assigner, time.time_ns() // 1_000)
            works.append((partition, work, [encode(message) for message in work.outbox]))
            records += len(each)
        if records >= _REDIS_RECORDS:
            break
    store = RedisStore(settings.redis)
    await store.start()
    position = {p: (await store.claim(p, "ceiling")).position for p in processors}
    server = _server_cpu(settings)
    began, cpu = time.perf_counter(), time.process_time()
    written: Counter[int] = Counter()
    for partition, work, outbox in works:
        at = position[partition]
        commit = Commit(
            at,
            {**at.offsets, **work.offsets},
            work.model_version,
            written[partition],  # what was written before is published by now
            states=work.states,
            profiles=work.profiles,
            names=work.names,
            outbox=outbox,
            summary=work.summary,
        )
        position[partition] = await store.commit(partition, commit)
        written[partition] += len(outbox)
    outcome = {
        "records": records,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "redis_cpu_seconds": _server_cpu(settings) - server,
        "read_bytes": read_bytes,
        "stored_bytes": sum(
            len(key) + len(value)
            for _, work, _ in works
            for key, value in (*work.states, *((k, compress(v)) for k, v in work.profiles))
        ),
        "published_bytes": sum(size_of(m) for _, work, _ in works for m in work.outbox),
    }
    await store.stop()
    return outcome


def _server_cpu(settings: Settings) -> float:
    """CPU seconds that Redis itself has had."""
    with Redis.from_url(settings.redis.url.get_secret_value()) as client:
        told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


Take = Callable[[AIOKafkaConsumer, int, float], Awaitable[dict[TopicPartition, list[Any]]]]


async def getmany(
    consumer: AIOKafkaConsumer, max_records: int, timeout_seconds: float
) -> dict[TopicPartition, list[Any]]:
    """What aiokafka itself gives."""
    fetched: dict[TopicPartition, list[Any]] = await consumer.getmany(
        timeout_ms=int(1e3 * timeout_seconds), max_records=max_records
    )
    return fetched


async def batches(settings: Settings, take: Take = getmany) -> Any:
    """Lists of records of one partition of all three topics, until everything is read."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        names = [settings.kafka.topic_prefix + topic for topic in INPUTS]
        parts = [TopicPartition(name, p) for name in names for p in range(PARTITIONS)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        left = {part for part, end in (await consumer.end_offsets(parts)).items() if end}
        while left:
            fetched = await take(consumer, settings.worker.max_batch, 0.2)
            yield fetched.values()
            for part, records in fetched.items():
                end = consumer.highwater(part)
                if end is not None and records[-1].offset + 1 >= end:
                    left.discard(part)
    finally:
        await consumer.stop()


def main() -> None:
    """Run one ceiling."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceilings", description=__doc__)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--redis", default="redis://localhost:6379/0")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--accounts", type=int, required=True, help="of the load")
    parser.add_argument("--ends-us", type=int, required=True, help="when its last event happens")
    options = parser.parse_args()
    settings = worker_settings(options.kafka, options.redis, options.prefix, "ceiling")
    if options.what == "redis":
        load = Load(1, options.accounts, ends_us=options.ends_us)
        outcome = asyncio.run(redis(settings, load))
    else:
        outcome = asyncio.run(read(settings, decode=options.what == "decode"))
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
