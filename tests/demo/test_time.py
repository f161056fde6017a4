"""Simulated time: it follows the pace, never goes back, and waits for the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stream_app.demo.freshness import Freshness
from stream_app.demo.pace import Pace, SimulatedClock
from stream_app.demo.producer import BACKLOG, Producer
from stream_app.events.instants import DAY, SECOND
from stream_app.streams.memory_log import MemoryBroker
from stream_app.traffic import TrafficRecord

TOPIC = "website-visits"


def test_a_day_per_second() -> None:
    assert Pace(1.0).target_us(5 * DAY, 0.01) == 5 * DAY + DAY // 100


def test_time_that_was_missed_is_not_made_up_for() -> None:
    assert Pace(1.0).target_us(0, 3_600.0) == DAY // 10


def test_a_clock_that_went_back_does_not_move_time_back() -> None:
    assert Pace(1.0).target_us(DAY, -5.0) == DAY


def test_the_simulated_clock_never_goes_back() -> None:
    clock = SimulatedClock(100)
    clock.set(200)
    clock.set(150)

    assert clock.now_us() == 200


def records(count: int, every_us: int) -> Iterator[list[TrafficRecord]]:
    """Records at equal distances, in small batches."""
    for first in range(0, count, 70):
        yield [
            TrafficRecord(TOPIC, b"acme", b"{}", i * every_us, i * every_us, "")
            for i in range(first, min(first + 70, count))
        ]


class Setting:
    """A producer whose worker has committed so many records."""

    def __init__(self, batches: Iterator[list[TrafficRecord]], days_per_second: float) -> None:
        self.committed = 0
        self.clock = SimulatedClock(0)
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, 1)
        self.producer = Producer(
            batches, self.broker, self.clock, Pace(days_per_second), Freshness(), self.backlog
        )

    async def backlog(self, handed_over: int) -> int:
        return handed_over - self.committed

    async def run(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.producer.run()


async def test_the_producer_waits_for_a_worker_that_is_behind_and_so_does_time() -> None:
    setting = Setting(records(10 * BACKLOG, SECOND), days_per_second=1_000)

    await setting.run(0.3)

    assert setting.producer.handed_over == BACKLOG
    assert setting.clock.now_us() <= BACKLOG * SECOND

    setting.committed = BACKLOG
    await setting.run(0.3)
    assert setting.producer.handed_over == 2 * BACKLOG


async def test_nothing_is_delivered_before_its_time() -> None:
    setting = Setting(records(100, DAY), days_per_second=20.0)

    await setting.run(0.2)

    delivered = setting.broker.read(TOPIC, 0)
    assert 0 < len(delivered) < 100
    assert (len(delivered) - 1) * DAY <= setting.clock.now_us() < len(delivered) * DAY


async def test_the_producer_ends_with_its_traffic() -> None:
    setting = Setting(records(150, SECOND), days_per_second=1_000)

    async with asyncio.timeout(5):
        await setting.producer.run()

    assert setting.producer.handed_over == 150
    assert setting.clock.now_us() == 149 * SECOND


async def test_traffic_that_fails_is_heard_of() -> None:
    def broken() -> Iterator[list[TrafficRecord]]:
        yield from records(10, SECOND)
        raise ValueError("no more ideas")

    with pytest.raises(ValueError, match="no more ideas"):
        async with asyncio.timeout(5):
            await Setting(broken(), days_per_second=1_000).producer.run()
