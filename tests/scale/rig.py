"""A worker in this process, with a real Redis or a real Kafka where wanted, and with spies."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from stream_app.segments.snapshot import write_snapshot
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_log import KafkaLog
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.memory_log import MemoryBroker, MemoryLog, MemoryPublisher
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.ports import EventLog, Publisher, StateStore
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.worker import Worker
from tests.models import save_model
from tests.scale.accounts import MODEL
from tests.scale.loop import now
from tests.scale.spies import LogSpy, Notes, PublisherSpy, StoreSpy

PATIENCE_SECONDS = 120.0
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


class HeldClock:
    """A `Clock` by the loop's time. While held it shows an hour less, and nothing falls due."""

    def __init__(self) -> None:
        self.held = True
        self._offset_us = time.time_ns() // 1_000 - round(now() * 1e6)

    def real_us(self) -> int:
        return self._offset_us + round(now() * 1e6)

    def now_us(self) -> int:
        return self.real_us() - self.held * HOUR_US

    def monotonic(self) -> float:
        return now()


class Holder:
    """A `Listener` that owns partitions and does nothing with them."""

    def __init__(self) -> None:
        self.owns: frozenset[int] = frozenset()

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        self.owns = frozenset()

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        self.owns = partitions


@dataclass
class Rig:
    """The world of one worker."""

    partitions: int
    settings: Settings
    redis: bool
    """Whether state lies in a real Redis, else in memory."""
    kafka: bool
    """Whether the log is a real Kafka, else in memory."""
    notes: Notes = field(default_factory=Notes)
    clock: HeldClock = field(default_factory=HeldClock)

    def __post_init__(self) -> None:
        self.broker = MemoryBroker()
        self.store: StateStore = RedisStore(self.settings.redis) if self.redis else MemoryStore()
        self.worker = Worker(
            self.settings,
            LogSpy(self.log("b-worker"), self.notes),  # type: ignore[arg-type]
            StoreSpy(self.store, self.notes),  # type: ignore[arg-type]
            PublisherSpy(self.publisher(), self.notes),  # type: ignore[arg-type]
            self.clock,
        )

    @property
    def prefix(self) -> str:
        return self.settings.kafka.topic_prefix

    def log(self, name: str) -> EventLog:
        """A member of the worker's group. Who comes first by name (Kafka) or time (the log in
        memory) gets the lower partitions."""
        consumed = topics.consumed(self.prefix)
        if self.kafka:
            return KafkaLog(self.settings.kafka, consumed, name)
        return MemoryLog(self.broker, self.settings.kafka.group, consumed)

    def publisher(self) -> Publisher:
        return KafkaPublisher(self.settings.kafka) if self.kafka else MemoryPublisher(self.broker)

    async def prepare(self) -> None:
        """Topics and a model."""
        named = topics.with_prefix(self.prefix)
        if self.kafka:
            await create_topics(self.settings.kafka, named, partitions=self.partitions)
        else:
            for topic in named:
                count = self.partitions if topic.partitions > 1 else 1
                self.broker.create_topic(topic.name, count, max_records=100_000)
        await self.store.start()
        assert await save_model(self.store, MODEL.version, write_snapshot(MODEL), b"")

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[Holder]:
        """Another member of the group, which leaves it at the end."""
        holder, log = Holder(), self.log("a-holder")
        await log.start(holder)

        async def poll() -> None:
            while True:
                await log.poll(100, 0.2)

        polling = asyncio.create_task(poll())
        try:
            yield holder
        finally:
            await end(polling)
            await log.stop()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Worker]:
        """The worker runs."""
        await self.worker.start()
        running = asyncio.create_task(self.worker.run())
        try:
            yield self.worker
        finally:
            await self.worker.stop()
            await running

    @asynccontextmanager
    async def offering(self, traffic: Any, publisher: Publisher) -> AsyncIterator[None]:
        """Events are offered."""
        await publisher.start()
        task = asyncio.create_task(traffic.run())
        try:
            yield
        finally:
            await end(task)
            await publisher.stop()

    def count(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where there is none yet."""
        registry = self.worker.metrics.registry
        return registry.get_sample_value(f"stream_app_{name}", labels) or 0.0


def settings(
    *, bootstrap: str = "", redis_url: str = "", worker: dict[str, Any] | None = None
) -> Settings:
    """Settings under names of their own; defaults except where a measurement needs others."""
    prefix = f"scale-{uuid.uuid4().hex[:8]}."
    return Settings.model_validate(
        {
            "kafka": {"topic_prefix": prefix, "group": f"{prefix}group"}
            | ({"bootstrap_servers": bootstrap} if bootstrap else {}),
            "redis": {"prefix": prefix} | ({"url": redis_url} if redis_url else {}),
            # While the clock is held, events come from its future.
            "input": {"future_tolerance_seconds": 2 * HOUR_US / 1e6},
            "worker": {"sweep_grace_seconds": 0.0} | (worker or {}),
            "segments": {"train": False},
        }
    )


async def until(condition: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is so. It looks seldom, because looking takes time from the worker."""
    async with asyncio.timeout(patience_seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; raises what it has failed with."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
