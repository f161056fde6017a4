"""The same call for many partitions, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def several(
    call: Callable[[int], Awaitable[T]], partitions: Iterable[int], at_once: int
) -> AsyncIterator[AsyncIterator[tuple[int, T]]]:
    """Call for every partition; yields an iterator over (partition, answer) as they come. When a
    call fails, or the block is left, those that are not done are cancelled and waited for."""
    turns = asyncio.Semaphore(at_once)

    async def one(partition: int) -> tuple[int, T]:
        async with turns:
            return partition, await call(partition)

    tasks = [asyncio.create_task(one(partition)) for partition in partitions]

    async def done() -> AsyncIterator[tuple[int, T]]:
        for task in asyncio.as_completed(tasks):
            yield await task

    try:
        yield done()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
