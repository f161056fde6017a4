"""The whole system in one process: broker, store, worker, trainer, and traffic that flows in."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from stream_app.demo.consumer import Consumer
from stream_app.demo.freshness import Freshness
from stream_app.demo.observer import TOPICS as OBSERVED
from stream_app.demo.observer import Observer
from stream_app.demo.pace import Pace, SimulatedClock
from stream_app.demo.producer import Producer
from stream_app.events.decode import Pseudonyms
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings, load
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryBroker, MemoryLog, MemoryPublisher
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.metrics import Metrics
from stream_app.streams.processor import Summary
from stream_app.streams.worker import Worker
from stream_app.traffic import Behaviour, Traffic, TrafficConfig
from stream_app.traffic.config import DEFAULT_SHARES

if TYPE_CHECKING:
    from stream_app.streams.training import Training

PARTITIONS = 1
_KEPT_RECORDS = 10_000
"""Records per partition and topic that the broker keeps: far more than readers are behind."""
_LOOK_SECONDS = 0.1
"""Real time between looks of the worker at the time and at the model."""
_DRAIN_LOOK_SECONDS = 0.01
_DRAIN_SECONDS = 5.0
"""How long the end waits for what is under way."""


def traffic_config(seed: int, accounts: int) -> TrafficConfig:
    """A quarter of a year in which more accounts than usual start researching or go quiet, so that
    at a day per second something happens every second. Each account is calmer than by default, so
    that a laptop keeps up with that. After the quarter habits go on, and nothing new is planted."""
    shares = {**DEFAULT_SHARES, Behaviour.GONE_QUIET: 0.2}
    return TrafficConfig(
        seed=seed,
        accounts=accounts,
        horizon_days=90,
        planted_window=(0.05, 0.95),
        shares=shares,
        starting_share=0.15,
        activity=0.5,
        campaigns_per_week=2,
    )


def demo_settings() -> Settings:
    """The user's settings, but for what fast time needs. Raises `ConfigError`."""
    return load(
        kafka={"topic_prefix": ""},
        worker={"sweep_seconds": _LOOK_SECONDS, "model_poll_seconds": _LOOK_SECONDS},
    )


class System:
    """Everything connected. `run` it once."""

    def __init__(self, settings: Settings, traffic: Traffic, days_per_second: float) -> None:
        self.settings, self.traffic = settings, traffic
        self.clock = SimulatedClock(traffic.config.start_us)
        self.freshness = Freshness()
        self.metrics = Metrics()
        self.store = MemoryStore()
        self.observer = Observer(self.freshness)
        self.vectors = 0
        """Training vectors that the trainer has read."""
        self.snapshot: Snapshot | None = None
        """The newest model."""
        broker = MemoryBroker()
        for topic in topics.TOPICS:
            count = PARTITIONS if topic.partitions > 1 else 1
            broker.create_topic(topic.name, count, _KEPT_RECORDS)
        publisher = MemoryPublisher(broker)
        self.worker = Worker(
            settings,
            MemoryLog(broker, "demo-worker", topics.consumed()),
            self.store,
            publisher,
            self.clock,
            metrics=self.metrics,
        )
        self.producer = Producer(
            traffic.batches(),
            broker,
            self.clock,
            Pace(days_per_second),
            self.freshness,
            self.backlog,
        )
        self._publisher = publisher
        self._outputs = Consumer(broker, "demo-reader", OBSERVED)
        self._samples = Consumer(broker, "demo-trainer", [topics.ACCOUNT_FEATURES.name])

    async def run(self, stop: asyncio.Event) -> None:
        """Let time pass until `stop` is set, then let everything under way arrive."""
        await self.worker.start()
        producing = asyncio.create_task(self.producer.run())
        working = asyncio.create_task(self.worker.run())
        reading = [asyncio.create_task(self._observe()), asyncio.create_task(self._train())]
        stopping = asyncio.create_task(stop.wait())
        parts = [producing, working, *reading]
        try:
            done, _ = await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
            producing.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await self._arrive()
        finally:
            for part in (stopping, *parts):
                part.cancel()
            await asyncio.gather(stopping, *parts, return_exceptions=True)

    async def backlog(self, handed_over: int) -> int:
        """How many of so many records handed over are not committed yet."""
        committed = 0
        for partition in range(PARTITIONS):
            position = await self.store.position(partition)
            committed += sum(position.offsets.values())
        return handed_over - committed

    async def accounts_by_segment(self) -> dict[int, int]:
        """Accounts by segment id, as the worker's last commits have it."""
        total: Counter[int] = Counter()
        for data in await self.store.summaries(PARTITIONS):
            if data:
                total.update(msgspec.json.decode(data, type=Summary).segments)
        return total

    async def _arrive(self) -> None:
        """What was handed over is committed, published, and read."""
        while await self.backlog(self.producer.handed_over):  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_LOOK_SECONDS)
        await self.worker.stop()
        while self._outputs.behind():  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_LOOK_SECONDS)

    async def _observe(self) -> None:
        async for records in self._outputs.batches():
            self.observer.take(records)

    async def _train(self) -> None:
        training = await asyncio.to_thread(self._load_training)
        async for records in self._samples.batches():
            self.vectors += len(records)
            snapshot = await training.learn([record.value for record in records])
            self.snapshot = snapshot or self.snapshot

    def _load_training(self) -> Training:
        # River and scikit-learn take a second or two to import: the screen is there before them.
        from stream_app.streams.training import Training  # noqa: PLC0415

        key = self.settings.input.contact_hash_key.get_secret_value().encode()
        messages = Messages(self.settings.kafka.topic_prefix, Pseudonyms(key))
        return Training(self.settings, self.store, self._publisher, messages, self.clock)
