"""The accounts of a worker's partitions are loaded one partition after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stream_app.errors import Unavailable
from stream_app.streams.memory_store import MemoryStore
from tests.worker.world import PARTITIONS, Node, World, until


def claims(node: Node) -> float:
    return node.metrics.registry.get_sample_value("stream_app_claim_seconds_count") or 0.0


async def test_one_partition_is_loaded_at_a_time_and_reads_as_soon_as_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loading: set[int] = set()
    ready: list[float] = []
    world = await World.create([])
    node = world.node()

    async def load(_: MemoryStore, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        ready.append(claims(node))
        loading.add(partition)
        assert loading == {partition}
        await asyncio.sleep(1.0)
        yield []
        loading.remove(partition)

    monkeypatch.setattr(MemoryStore, "load", load)
    await node.start()
    await until(lambda: claims(node) == PARTITIONS)
    await world.finish()
    assert ready == [0, 1, 2, 3]


async def test_a_partition_that_cannot_be_loaded_does_not_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused: list[int] = []
    world = await World.create([])
    node = world.node()

    async def load(_: MemoryStore, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        if partition == 0 and claims(node) < PARTITIONS - 1:
            refused.append(partition)
            raise Unavailable("Redis is away")
        yield []

    monkeypatch.setattr(MemoryStore, "load", load)
    await node.start()
    await until(lambda: claims(node) == PARTITIONS)
    await world.finish()
    assert refused
