"""The faults. Each says which partitions it struck, and leaves everything running again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random
from time import monotonic

from tests.chaos.fleet import Fleet
from tests.chaos.progress import Progress, Recovery
from tests.chaos.setup import PARTITIONS, REDIS_TIMEOUT_SECONDS, SESSION_SECONDS
from tests.services import Service

ALL = frozenset(range(PARTITIONS))


@dataclass
class Stage:
    """What faults can get hold of."""

    random: Random
    fleet: Fleet
    progress: Progress
    broker: Service
    redis: Service


@dataclass
class Strike:
    """A fault that has begun."""

    what: str
    recovery: Recovery
    heal: Callable[[], Awaitable[None]]
    """Carries the fault to its end. Recovery may be complete before or after that."""


Fault = Callable[[Stage], Awaitable[Strike]]


async def _kill(stage: Stage) -> Strike:
    slot, recovery = _victim(stage)
    await stage.fleet.kill(slot)
    return Strike(f"kill -9 of worker {slot}", recovery, _nothing)


async def _freeze(stage: Stage) -> Strike:
    slot, recovery = _victim(stage)
    seconds = SESSION_SECONDS * stage.random.uniform(1.4, 3.0)
    stage.fleet.freeze(slot)

    async def heal() -> None:
        await asyncio.sleep(max(0.0, recovery.since + seconds - monotonic()))
        stage.fleet.thaw(slot)
        recovery.by_new_owner = False  # a group without a broker does not miss it, and it goes on

    return Strike(f"SIGSTOP of worker {slot} for {seconds:.1f} s", recovery, heal)


async def _stop(stage: Stage) -> Strike:
    slot, recovery = _victim(stage)
    stopping = asyncio.create_task(stage.fleet.stop(slot))

    async def heal() -> None:
        await stopping

    return Strike(f"SIGTERM to worker {slot}", recovery, heal)


async def _restart_redis(stage: Stage) -> Strike:
    crash, seconds = stage.random.random() < 0.7, stage.random.uniform(0.0, 3.0)
    recovery = await _pause(stage, 10_000)  # nothing is committed between the mark and the end
    await asyncio.to_thread(stage.redis.kill if crash else stage.redis.stop)

    async def heal() -> None:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(stage.redis.start)
        recovery.away_seconds = monotonic() - recovery.since

    how = "kill -9" if crash else "orderly stop"
    return Strike(f"Redis: {how}, away for {seconds:.1f} s", recovery, heal)


async def _pause_redis(stage: Stage) -> Strike:
    seconds = REDIS_TIMEOUT_SECONDS * stage.random.uniform(0.5, 4.0)
    recovery = await _pause(stage, round(seconds * 1_000))
    recovery.away_seconds = seconds
    return Strike(f"Redis: CLIENT PAUSE for {seconds:.1f} s", recovery, _nothing)


async def _restart_broker(stage: Stage) -> Strike:
    crash = stage.random.random() < 0.5
    recovery = Recovery(ALL, monotonic(), {})
    await asyncio.to_thread(stage.broker.kill if crash else stage.broker.stop)
    await asyncio.to_thread(stage.broker.start)
    # What was read before still gets committed. Only what follows the broker's return counts.
    recovery.before = dict(stage.progress.marks)
    recovery.away_seconds = monotonic() - recovery.since
    how = "kill -9" if crash else "orderly stop"
    return Strike(f"Kafka: {how}, away for {recovery.away_seconds:.1f} s", recovery, _nothing)


FAULTS: dict[str, Fault] = {
    "kill": _kill,
    "freeze": _freeze,
    "stop": _stop,
    "redis-restart": _restart_redis,
    "redis-pause": _pause_redis,
    "broker-restart": _restart_broker,
}


TARGETS = {
    "kill": "worker",
    "freeze": "worker",
    "stop": "worker",
    "redis-restart": "redis",
    "redis-pause": "redis",
    "broker-restart": "broker",
}
"""What each strikes. Of faults that overlap, no two strike the same."""


def rotation(random: Random, kinds: tuple[str, ...]) -> Iterator[str]:
    """Each kind once, in random order; then again."""
    while True:
        yield from random.sample(kinds, len(kinds))


def _victim(stage: Stage) -> tuple[int, Recovery]:
    slot = stage.random.randrange(stage.fleet.size)
    owned = stage.progress.owned_by(stage.fleet.owner(slot))
    return slot, Recovery(owned, monotonic(), dict(stage.progress.marks), by_new_owner=True)


async def _pause(stage: Stage, milliseconds: int) -> Recovery:
    """Read where the partitions are and, in the same transaction, let Redis answer nobody."""
    marks = await stage.progress.read_at_last(("CLIENT", "PAUSE", milliseconds, "ALL"))
    return Recovery(ALL, monotonic(), marks)


async def _nothing() -> None:
    """The fault ends by itself."""
