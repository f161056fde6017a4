"""Nothing grows without a bound: a worker that cannot get rid of its work takes no more."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.errors import Unavailable
from tests.worker.outcome import Outcome, outcome
from tests.worker.scenario import VISITS, Line
from tests.worker.world import PARTITIONS, SETTINGS, Node, World, until, with_worker

MAX_BATCH = SETTINGS.worker.max_batch
MESSAGES_OF_A_BATCH = 4 * MAX_BATCH
"""More than a batch leads to here."""
MIB = 1024 * 1024


async def test_a_full_outbox_stops_consumption_until_it_drains(
    world: World, undisturbed: Outcome
) -> None:
    limit = 6
    node = world.node(with_worker(outbox_limit=limit))
    publish = node.calls.stop("publish", times=PARTITIONS)
    await node.start()
    await publish.reached.wait()
    await asyncio.sleep(10.0)
    stands_at = world.positions
    polls = node.calls.made["poll"]
    await asyncio.sleep(60.0)
    assert world.positions == stands_at
    assert node.calls.made["poll"] == polls, "it does not even read"
    assert world.unread > 100
    for p in range(PARTITIONS):
        pending = node.count("outbox_messages", partition=str(p))
        assert limit <= pending < limit + MESSAGES_OF_A_BATCH
    assert node.worker.alive, "waiting is no reason to be restarted"
    publish.released.set()
    await world.finish()
    assert node.count("waits_seconds_total", what="outbox") > 60.0
    assert outcome(world) == undisturbed


async def test_the_inboxes_are_bounded_while_redis_is_slow(
    world: World, undisturbed: Outcome
) -> None:
    node = world.node()
    held = await node.start_and_hold("commit", 0)
    node.calls.slow("commit", 0.5)
    held.released.set()
    highest = 0
    while world.unread:
        await asyncio.sleep(0.1)
        highest = max(highest, records_in_inboxes(node))
    assert 0 < highest < 3 * MAX_BATCH
    await world.finish()
    assert outcome(world) == undisturbed


LARGE = {
    "value": Line(VISITS, b"one key", b"x" * MIB),
    "header": Line(VISITS, b"one key", b"x", (("trace", b"x" * (MIB - 100)),)),
}
large = pytest.mark.parametrize("line", LARGE.values(), ids=LARGE)
"""Records of a MiB that are refused, and kept as they came."""


@large
async def test_a_commit_is_bounded_in_bytes(line: Line) -> None:
    """Redis takes half a gigabyte in one argument at most."""
    world = await World.create([line] * 60)
    node = await world.node(with_worker(max_batch=4_000)).start()
    await world.settle()
    assert len(world.read("dead-letters")) == 60
    largest = max(sum(len(entry) for entry in commit.outbox) for commit in node.calls.commits)
    assert largest < 20 * 1024 * 1024


@large
async def test_the_outbox_is_bounded_in_bytes(line: Line) -> None:
    """Few messages may be many bytes: dead letters keep what was refused as it came."""
    world = await World.create([line] * 30)
    node = world.node(with_worker(max_batch=2, outbox_limit_bytes=4 * MIB))
    publish = node.calls.stop("publish", times=PARTITIONS)
    await node.start()
    await publish.reached.wait()
    await asyncio.sleep(60.0)
    assert 4 * MIB <= sum(map(len, world.outbox)) < 7 * MIB
    publish.released.set()
    await world.settle()
    assert len(world.read("dead-letters")) == 30
    assert node.count("waits_seconds_total", what="outbox") > 50.0


@large
async def test_the_inboxes_are_bounded_in_bytes(line: Line) -> None:
    world = await World.create([line] * 30)
    node = world.node(with_worker(max_batch=4, inbox_limit_bytes=2 * MIB))
    held = await node.start_and_hold("commit", 0)
    await asyncio.sleep(10.0)
    bytes_read = sum(partition.inbox.bytes for partition in node.worker._partitions.values())
    assert 2 * MIB <= bytes_read < 2 * MIB + 4 * MIB
    held.released.set()
    await world.settle()
    assert not any(partition.inbox.bytes for partition in node.worker._partitions.values())
    assert len(world.read("dead-letters")) == 30
    assert node.count("waits_seconds_total", what="inbox") > 5.0


async def test_large_records_are_read_a_few_at_a_time() -> None:
    """Kafka limits a batch as it is compressed: thousands of large records may come at once."""
    world = await World.create([LARGE["header"]] * 200)
    node = await world.node(with_worker(max_batch=50, inbox_limit_bytes=16 * MIB)).start()
    await world.settle()
    assert node.calls.largest_poll == 50, "before it is known that they are large"
    world.produce([LARGE["header"]] * 200)
    node.calls.largest_poll = 0
    await world.settle()
    assert 0 < node.calls.largest_poll <= 8


async def test_a_partition_that_waits_does_not_hold_up_the_others(world: World) -> None:
    """One partition's commit is without an answer; the others' records are applied meanwhile."""
    node = world.node()
    held = node.calls.stop("commit")
    await node.start()
    await held.reached.wait()
    await until(lambda: node.count("commits_total") >= 6)
    assert len({p for p, _ in world.positions}) == PARTITIONS - 1
    held.released.set()
    await world.settle()


async def test_waiting_for_redis_is_measured(world: World) -> None:
    node = world.node()
    node.calls.fail("commit", Unavailable("away"), times=5)
    await node.start()
    await world.settle()
    assert node.count("waits_seconds_total", what="redis") > 0.5


def records_in_inboxes(node: Node) -> int:
    return sum(len(partition.inbox) for partition in node.worker._partitions.values())
