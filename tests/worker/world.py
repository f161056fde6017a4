"""Kafka and Redis in memory, and worker processes that a test can start, freeze and kill."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from stream_app.events.instants import DAY, HOUR
from stream_app.features.silence import OFFSETS_US
from stream_app.features.table import FeatureTable
from stream_app.segments.snapshot import Snapshot, write_snapshot
from stream_app.settings import (
    SegmentSettings,
    Settings,
    SpikeSettings,
    WorkerSettings,
)
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryBroker, MemoryLog, MemoryPublisher, MemoryRecord
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.metrics import Metrics
from stream_app.streams.ports import Position
from stream_app.streams.worker import Worker
from tests.models import save_model
from tests.worker.faults import Calls, FaultyLog, FaultyPublisher, FaultyStore, Stopped
from tests.worker.model import RESTLESS
from tests.worker.scenario import DAYS, START_US, Line
from tests.worker.virtual import VirtualClock

PARTITIONS = 4
GROUP = "workers"
CONSUMED = topics.consumed()
GRACE_DAYS = 365
"""So far behind the clock stays the sweep, so that silence is decided only when a test says so."""
PATIENCE_SECONDS = 300.0
"""Virtual time after which what a test waits for will not come."""

SETTINGS = Settings(
    worker=WorkerSettings(
        max_batch=15,
        poll_seconds=0.1,
        sweep_grace_seconds=GRACE_DAYS * 86_400,
        shutdown_seconds=20.0,
    ),
    segments=SegmentSettings(train=False, margin=0.02, strong_margin=0.1, confirm_days=0.02),
    spikes=SpikeSettings(min_surprise=0.5, min_contacts=1, cooldown_hours=4.0),
)


def with_worker(settings: Settings = SETTINGS, **changes: Any) -> Settings:
    """Settings with other values in the section `worker`."""
    worker = settings.worker.model_copy(update=changes)
    return settings.model_copy(update={"worker": worker})


async def until(condition: Callable[[], bool]) -> None:
    """Wait, on virtual time, until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - it costs no time
            await asyncio.sleep(0.02)


@dataclass
class Node:
    """One worker process."""

    world: World
    name: str
    settings: Settings
    calls: Calls = field(default_factory=Calls)
    metrics: Metrics = field(default_factory=Metrics)
    running: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        world = self.world
        self.member = MemoryLog(world.broker, GROUP, CONSUMED)
        self.publisher = FaultyPublisher(MemoryPublisher(world.broker), self.calls)
        self.worker = Worker(
            self.settings,
            FaultyLog(self.member, self.calls),
            FaultyStore(world.store, self.calls),
            self.publisher,
            world.clock,
            owner=self.name,
            metrics=self.metrics,
        )

    async def start(self) -> Self:
        await self.worker.start()
        self.running = asyncio.create_task(self.worker.run())
        return self

    def begin(self) -> Self:
        """Start without waiting for it."""

        async def whole() -> None:
            await self.worker.start()
            await self.worker.run()

        self.running = asyncio.create_task(whole())
        return self

    async def start_and_hold(self, call: str, skip: int) -> Stopped:
        """Start, and stand still at a call until it is released."""
        held = self.calls.stop(call, skip=skip)
        self.begin()
        await held.reached.wait()
        return held

    async def begin_and(self, happens: Callable[[Node], None], at_call: int) -> None:
        """Start; just before the call of this number, whatever it is, something happens to it."""
        happened = asyncio.Event()
        self.calls.at_call(at_call, lambda: (happens(self), happened.set())[0])
        self.begin()
        await happened.wait()

    async def stop(self) -> None:
        """The graceful end, as on SIGTERM."""
        await self.worker.stop()
        if self.running is not None:
            await self.running

    def kill(self) -> None:
        """As `kill -9`: nothing more gets out, and the group hears of it by the time-out."""
        self.calls.hold_all()
        self.member.expire()

    def freeze(self) -> None:
        """As SIGSTOP for longer than the session time-out: others take over, it knows nothing."""
        self.calls.hold_all()
        self.member.expire()

    async def thaw(self) -> None:
        """As SIGCONT: first it goes on where it stood, then it hears that it was thrown out."""
        self.calls.let_go()
        await asyncio.sleep(5.0)
        await self.member.rejoin()

    def count(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where there is none yet."""
        return self.metrics.registry.get_sample_value(f"stream_app_{name}", labels) or 0.0


class World:
    """Everything outside of the workers."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.clock = VirtualClock(START_US + DAYS * DAY + HOUR)
        self.broker = MemoryBroker(lambda: self.clock.now_us() // 1_000)
        self.store = MemoryStore()
        self.nodes: list[Node] = []
        self.partitions = PARTITIONS
        for topic in topics.TOPICS:
            self.broker.create_topic(topic.name, PARTITIONS if topic.partitions > 1 else 1)

    @classmethod
    async def create(
        cls,
        lines: Iterable[Line] = (),
        model: Snapshot | None = RESTLESS,
        settings: Settings = SETTINGS,
    ) -> World:
        world = cls(settings)
        if model is not None:
            assert await save_model(world.store, model.version, write_snapshot(model), b"")
        world.produce(lines)
        return world

    def produce(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.broker.append(line.topic, line.key, line.value, line.headers)

    def node(self, settings: Settings | None = None) -> Node:
        """A new process, not started yet."""
        node = Node(self, f"node-{len(self.nodes)}", settings or self.settings)
        self.nodes.append(node)
        return node

    def read(self, topic: str) -> list[MemoryRecord]:
        return self.broker.read_all(topic)

    async def all_positions(self) -> list[Position]:
        return [await self.store.position(p) for p in range(self.partitions)]

    @property
    def positions(self) -> dict[tuple[int, str], int]:
        """Next offset of each partition and topic, as the store has it."""
        return {
            (p, topic): offset
            for p in range(self.partitions)
            for topic, offset in self.store._partitions[p].position.offsets.items()
        }

    @property
    def unread(self) -> int:
        """Records that are not applied yet."""
        at = self.positions
        return sum(
            self.broker.source(topic, p).end - at.get((p, topic), 0)
            for p in range(self.partitions)
            for topic in CONSUMED
        )

    @property
    def outbox(self) -> list[bytes]:
        """What is decided and not trimmed, of all partitions."""
        return [entry for p in range(self.partitions) for entry in self.store._partitions[p].outbox]

    @property
    def states(self) -> dict[str, bytes]:
        """Every account's record, as the store has it."""
        return {
            account: state
            for p in range(self.partitions)
            for account, state in self.store._partitions[p].states.items()
        }

    @property
    def table(self) -> FeatureTable:
        """All accounts as the store has them."""
        table = FeatureTable()
        for p in range(self.partitions):
            states = self.store._partitions[p].states
            table.put(list(states), list(states.values()))
        return table

    async def settle(self) -> None:
        """Everything is applied, published and trimmed."""
        await until(lambda: not self.unread and not self.outbox)

    async def finish(self) -> None:
        """Settle, let half a year of silence pass, and wait until it has all been decided."""
        await self.settle()
        self.clock.advance((GRACE_DAYS + 200) * DAY)
        await until(lambda: bool((self.table.live["checks"] == len(OFFSETS_US)).all()))
        await self.settle()

    def copy_of_store(self) -> dict[str, Any]:
        return copy.deepcopy(vars(self.store))

    def restore(self, content: dict[str, Any]) -> None:
        vars(self.store).update(copy.deepcopy(content))
