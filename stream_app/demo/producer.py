"""Delivers the synthetic traffic to the broker as simulated time passes, never far ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from stream_app.demo.freshness import Freshness
from stream_app.demo.pace import Pace, SimulatedClock
from stream_app.streams.memory_log import MemoryBroker
from stream_app.traffic import TrafficRecord

BACKLOG = 500
"""Records that may wait for the worker. With more, simulated time waits too."""
_TICK_SECONDS = 0.01


class Producer:
    """Moves the clock from record to record.

    Parameters
    ----------
    batches
        Records in order of delivery.
    backlog
        Asks how many of so many records handed over are not committed yet.
    """

    def __init__(
        self,
        batches: Iterator[list[TrafficRecord]],
        broker: MemoryBroker,
        clock: SimulatedClock,
        pace: Pace,
        freshness: Freshness,
        backlog: Callable[[int], Awaitable[int]],
        *,
        topic_prefix: str = "",
    ) -> None:
        self.handed_over = 0
        """Records given to the broker."""
        self._batches = batches
        self._broker, self._clock, self._pace = broker, clock, pace
        self._freshness, self._backlog = freshness, backlog
        self._prefix = topic_prefix

    async def run(self) -> None:
        """Deliver until cancelled, or until the traffic ends."""
        records = prefetch(self._batches)
        batch: list[TrafficRecord] = []
        at = 0
        last = self._clock.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock.monotonic()
            target_us = self._pace.target_us(self._clock.now_us(), now - last)
            last = now
            room = BACKLOG - await self._backlog(self.handed_over)
            while True:
                if at == len(batch):
                    batch, at = await anext(records, []), 0
                    if not batch:
                        return
                end = self._deliver(batch, at, target_us, room)
                room -= end - at
                at = end
                if at < len(batch):
                    break
            self._clock.set(min(target_us, batch[at].delivered_at_us))

    def _deliver(self, batch: list[TrafficRecord], start: int, until_us: int, room: int) -> int:
        """Hand over what is due, as far as there is room; returns the index after the last."""
        end = start
        now = self._clock.monotonic()
        for record in batch[start : start + max(room, 0)]:
            if record.delivered_at_us > until_us:
                break
            self._freshness.handed_over(record.key.decode(), record.occurred_at_us, now)
            self._broker.append(self._prefix + record.topic, record.key, record.value)
            end += 1
        if end > start:
            # At once: the worker must not see a record before its time.
            self._clock.set(batch[end - 1].delivered_at_us)
        self.handed_over += end - start
        return end


async def prefetch(batches: Iterator[list[TrafficRecord]]) -> AsyncIterator[list[TrafficRecord]]:
    """The batches, each made in a thread while the one before it is delivered. A day takes some
    tens of milliseconds to invent. Empty batches are left out."""
    ahead = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await ahead) is not None:
            ahead = asyncio.create_task(asyncio.to_thread(next, batches, None))
            if batch:
                yield batch
    finally:
        ahead.cancel()
