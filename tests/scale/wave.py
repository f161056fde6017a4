"""Many accounts whose silence checks fall due at one instant, while normal events flow."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np

from stream_app.settings import Settings
from tests.scale.accounts import chunked, ids_by_partition, store_accounts, templates
from tests.scale.loop import WatchedLoop, now
from tests.scale.rig import Rig, until
from tests.scale.traffic import Traffic

EVENTS_PER_SECOND = 400.0
PHASE_SECONDS = 2.0
SETTLING_SECONDS = 0.5
"""Begin of a phase that belongs to neither: what the one before has begun comes to its end."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Latency:
    """Of normal events, from when they were to be offered; milliseconds."""

    events: int
    committed_p50: float
    committed_p99: float
    published_p99: float
    """Of the events that caused a change: until that was on Kafka."""
    longest_round: float
    """Longest round of the event loop."""
    busy_share: float
    """CPU of the loop's thread by time."""


@dataclass(frozen=True)
class Wave:
    """What was measured. The clock is held, let go, held, and so on: quiet and wave by turns."""

    accounts: int
    swept: int
    """Accounts whose check was carried out; less than all when time was up."""
    left: int
    """Changes published with the reason `inactivity`."""
    seconds: float
    """Time of the wave, without the quiet phases."""
    quiet: Latency
    wave: Latency
    committed_p99_ratio: float
    published_p99_ratio: float
    offered: int
    applied: int


async def wave(
    settings: Settings,
    accounts: int,
    *,
    partitions: int = 4,
    redis: bool,
    kafka: bool,
    leaving_share: float,
    limit_seconds: float,
) -> Wave:
    """Measure one wave of `accounts` accounts in each partition."""
    rig = Rig(partitions, settings, redis=redis, kafka=kafka)
    notes, clock = rig.notes, rig.clock
    await rig.prepare()
    drawn = templates(clock.real_us(), settings)  # due as soon as it is let go
    for p, ids in enumerate(ids_by_partition([accounts] * partitions)):
        await store_accounts(rig.store, p, ids, chunked(drawn, accounts, leaving_share, seed=p))
    publisher = rig.publisher()
    traffic = Traffic(
        publisher,
        notes,
        rig.clock.real_us,
        topic_prefix=rig.prefix,
        partitions=partitions,
        events_per_second=EVENTS_PER_SECOND,
    )
    quiet: list[Span] = []
    busy: list[Span] = []
    async with AsyncExitStack() as running:
        await running.enter_async_context(rig.working())
        await until(lambda: len(notes.reading) == partitions)
        await running.enter_async_context(rig.offering(traffic, publisher))
        await asyncio.sleep(PHASE_SECONDS)
        gc.collect()
        gc.freeze()  # as the worker's process does after its start
        began = now()
        while notes.swept < accounts * partitions and now() - began < limit_seconds:
            clock.held = True
            await _stands_still(rig)
            quiet.append(await _phase(PHASE_SECONDS))
            clock.held = False
            busy.append(await _phase(PHASE_SECONDS))
        clock.held = True
        await asyncio.sleep(PHASE_SECONDS)
    gc.unfreeze()
    still, rough = _latency(rig, quiet), _latency(rig, busy)
    return Wave(
        accounts=accounts * partitions,
        swept=notes.swept,
        left=notes.inactive,
        seconds=len(busy) * PHASE_SECONDS,
        quiet=still,
        wave=rough,
        committed_p99_ratio=rough.committed_p99 / still.committed_p99,
        published_p99_ratio=rough.published_p99 / still.published_p99,
        offered=traffic.offered,
        applied=int(rig.count("events_total")),
    )


async def _stands_still(rig: Rig) -> None:
    """Wait until each partition has looked at the held clock, which ends its portions, and no event
    waits that the wave has held up."""
    await asyncio.sleep(2 * rig.settings.worker.sweep_seconds)
    waiting = rig.notes.unread.values()
    await until(lambda: all(now() - each[0][1] < 0.1 for each in waiting if each))


async def _phase(seconds: float) -> Span:
    began = now()
    await asyncio.sleep(seconds)
    return began + SETTLING_SECONDS, now()


def _latency(rig: Rig, spans: Sequence[Span]) -> Latency:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    committed = _within(rig.notes.committed, spans)
    published = _within(rig.notes.published, spans)
    rounds = [each for span in spans for each in loop.slices(*span)]
    return Latency(
        events=len(committed),
        committed_p50=1e3 * float(np.percentile(committed, 50)),
        committed_p99=1e3 * float(np.percentile(committed, 99)),
        published_p99=1e3 * float(np.percentile(published, 99)),
        longest_round=1e3 * max(each.seconds for each in rounds),
        busy_share=sum(each.cpu_seconds for each in rounds) / sum(b - a for a, b in spans),
    )


def _within(samples: Sequence[tuple[float, float]], spans: Sequence[Span]) -> list[float]:
    """Seconds of those that were offered within one of the spans."""
    return [took for at, took in samples if any(a <= at < b for a, b in spans)]
