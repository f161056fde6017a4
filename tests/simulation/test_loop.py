"""The event loop of the simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import Deadlock, Process, SimulatedLoop


def _run(main: Coroutine[Any, Any, None], loop: SimulatedLoop) -> None:
    async def until_done() -> None:
        try:
            await main
        finally:
            loop.stop()

    task = loop.create_task(until_done())
    loop.run()
    task.result()


def _order(seed: int) -> list[int]:
    loop, order = SimulatedLoop(Random(seed)), []

    async def one(i: int) -> None:
        await asyncio.sleep(0)
        order.append(i)

    async def main() -> None:
        await asyncio.gather(*(one(i) for i in range(8)))

    _run(main(), loop)
    return order


def test_the_order_is_the_seeds() -> None:
    assert _order(1) == _order(1)
    assert len({tuple(_order(seed)) for seed in range(20)}) > 10


def test_time_jumps_to_the_next_timer() -> None:
    loop, seen = SimulatedLoop(Random(1)), []

    async def main() -> None:
        await asyncio.sleep(3_600.0)
        seen.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.Event().wait()
        seen.append(loop.time())
        seen.append(await asyncio.to_thread(lambda: 7))

    _run(main(), loop)
    assert seen == [3_600.0, 3_605.0, 7]


def test_a_standstill_is_an_error() -> None:
    loop = SimulatedLoop(Random(1))

    async def main() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(main())
    with pytest.raises(Deadlock, match="nothing is left to do"):
        loop.run()
    loop.finish()
    assert task.cancelled()


def test_no_end_is_an_error() -> None:
    loop = SimulatedLoop(Random(1))

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(Deadlock, match="no end"):
        loop.run(most_steps=1_000)
    loop.finish()


def test_a_frozen_process_waits_and_a_dead_one_ends() -> None:
    loop = SimulatedLoop(Random(1))
    first, second = Process("first"), Process("second")
    ticks = {"first": 0, "second": 0}

    async def tick(name: str) -> None:
        while True:
            await asyncio.sleep(1.0)
            ticks[name] += 1

    async def main() -> None:
        loop.create_task(tick("first"), context=first.context)
        loop.create_task(tick("second"), context=second.context)
        await asyncio.sleep(3.5)
        first.frozen = True
        loop.kill(second)
        await asyncio.sleep(10.0)
        assert ticks == {"first": 3, "second": 3}
        loop.thaw(first)
        await asyncio.sleep(1.5)
        assert ticks == {"first": 5, "second": 3}

    _run(main(), loop)
    assert [task.cancelled() for task in second.tasks] == [True]
    loop.finish()
