"""How long a move to twice as many partitions takes, while nobody works."""

from __future__ import annotations

import time
import uuid

from benchmarks.bench import Bench
from benchmarks.broker import PARTITIONS
from benchmarks.contenders import worker_settings
from benchmarks.measurement import Measurement
from benchmarks.population import fill
from benchmarks.section import Section
from stream_app.settings import Settings
from stream_app.streams.clock import SystemClock
from stream_app.streams.cluster import KafkaCluster
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_reader import KafkaReader
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.repartition import Repartition
from stream_app.streams.topics import consumed

_METHOD = """\
`stream-app repartition` from 8 to 16 partitions, on a deployment whose accounts lie in Redis:
copying them, reading them back, and adding partitions to the topics. CPU is that of the command,
without Redis."""


async def run(bench: Bench) -> Section:
    """Move some deployments, one after the other."""
    section = Section("Move to twice as many partitions", _METHOD)
    accounts = bench.plan.partition_accounts
    seconds, cpu = [], []
    for _ in range(bench.plan.rounds):
        name = f"move-{uuid.uuid4().hex[:6]}"
        await bench.place.broker.create_all(f"{name}.")
        settings = worker_settings(
            bench.place.broker.bootstrap, bench.place.redis_url, f"{name}.", name
        )
        await fill(settings, accounts, time.time_ns() // 1_000)
        began, cpu_began = time.perf_counter(), time.process_time()
        await _move(settings)
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
        bench.say(f"{accounts:,} accounts moved in {seconds[-1]:.1f} s")
        bench.place.clear_redis()
    took = Measurement.of(seconds)
    section.add(f"move of {accounts:,} accounts", took, "s", form=".1f")
    section.add("CPU of the command", Measurement.of(cpu), "s", form=".1f")
    section.figures["move_seconds"], section.figures["move_accounts"] = took.median, accounts
    return section


async def _move(settings: Settings) -> None:
    topics = consumed(settings.kafka.topic_prefix)
    store, reader = RedisStore(settings.redis), KafkaReader(settings.kafka, "benchmark")
    publisher = KafkaPublisher(settings.kafka, "benchmark")
    await reader.start()
    try:
        mover = Repartition(
            store,
            KafkaCluster(settings.kafka, topics),
            reader,
            publisher,
            SystemClock(),
            topics,
        )
        await mover.run(await mover.survey(2 * PARTITIONS))
    finally:
        await publisher.stop()
        await reader.stop()
        await store.stop()
