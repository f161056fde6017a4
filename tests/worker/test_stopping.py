"""A worker that is asked to stop, or loses partitions, leaves nothing half done."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.errors import Incompatible
from stream_app.streams.partitioning import partition_of
from tests.worker.outcome import Outcome, outcome, repeated
from tests.worker.scenario import scenario
from tests.worker.test_failures import HALF_A_YEAR
from tests.worker.world import GROUP, PARTITIONS, SETTINGS, World, until, with_worker

DEADLINE = SETTINGS.worker.shutdown_seconds


async def test_the_batch_in_flight_is_finished_and_published(
    world: World, undisturbed: Outcome
) -> None:
    node = world.node()
    held = await node.start_and_hold("commit", 10)
    stopping = asyncio.create_task(node.stop())
    await asyncio.sleep(1.0)
    assert not stopping.done()
    held.released.set()
    await stopping
    revisions = sum(at.revision for at in await world.all_positions())
    assert revisions == node.calls.made["commit"] >= 11
    assert world.unread, "but no further batch was begun"
    assert world.outbox == []
    assert world.broker.group(GROUP)._members == []
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed
    assert repeated(world) == 0, "all was acknowledged and trimmed"


async def test_what_is_stopped_holds_no_task(world: World) -> None:
    before = asyncio.all_tasks()
    node = await world.node().start()
    await world.settle()
    await node.stop()
    await asyncio.sleep(1.0)
    assert asyncio.all_tasks() == before


async def test_partitions_are_given_up_only_when_their_sweep_is_done(
    world: World, undisturbed: Outcome
) -> None:
    first, second = world.node(), world.node()
    await first.start()
    await world.settle()
    question = first.calls.stop("end_offsets", times=PARTITIONS)
    world.clock.advance(HALF_A_YEAR)
    await question.reached.wait()
    second.begin()
    await asyncio.sleep(5.0)
    assert second.calls.made["claim"] == 0
    question.released.set()
    await world.finish()
    assert second.calls.made["claim"] == PARTITIONS / 2
    assert outcome(world) == undisturbed
    assert repeated(world) == 0


@pytest.mark.parametrize("call", ["publish", "commit", "trim", "claim", "load", "end_offsets"])
async def test_a_call_that_hangs_does_not_outlast_the_deadline(
    world: World, undisturbed: Outcome, call: str
) -> None:
    node = world.node()
    hanging = node.calls.stop(call, times=1_000)
    node.begin()
    if call == "end_offsets":
        await world.settle()
        world.clock.advance(HALF_A_YEAR)
    await hanging.reached.wait()
    began = world.clock.monotonic()
    await node.stop()
    assert world.clock.monotonic() - began <= DEADLINE + 0.1
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


async def test_an_owner_that_is_fenced_while_it_stops_does_not_wait_for_its_messages(
    world: World, undisturbed: Outcome
) -> None:
    """They are in the outbox, and their publishing is the next owner's work now."""
    node = world.node()
    node.calls.stop("publish", times=1_000)
    held = await node.start_and_hold("commit", 10)
    for p in range(PARTITIONS):
        await world.store.claim(p, "somebody else")
    stopping = asyncio.create_task(node.stop())
    await asyncio.sleep(0.1)
    began = world.clock.monotonic()
    held.released.set()
    await stopping
    assert world.clock.monotonic() - began < 1.0
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


@pytest.mark.parametrize("outbox_limit", [1, 20_000])
async def test_what_trying_again_cannot_mend_ends_the_worker(outbox_limit: int) -> None:
    """Also while the partition waits for its outbox, which will not drain any more."""
    lines = [line for line in scenario() if line.key and partition_of(line.key, PARTITIONS) == 0]
    world = await World.create(lines)
    node = world.node(with_worker(outbox_limit=outbox_limit))
    refusal = Incompatible("the topic takes no such records")
    publish = node.calls.stop("publish", error=refusal)
    await node.start()
    await publish.reached.wait()
    await asyncio.sleep(1.0)
    publish.released.set()
    assert node.running is not None
    with pytest.raises(Incompatible, match="takes no such records"):
        async with asyncio.timeout(5.0):
            await node.running
    await node.worker.stop()
    await world.node().start()
    await world.settle()
    outcome(world)


async def test_a_worker_that_stops_takes_no_new_partitions(world: World) -> None:
    first, second = world.node(), world.node()
    await first.start()
    await second.start()
    await world.settle()
    held = first.calls.stop("log.stop")
    stopping = asyncio.create_task(first.stop())
    await held.reached.wait()
    claims = first.calls.made["claim"]
    await second.stop()
    await until(lambda: first.member._owned == frozenset(range(PARTITIONS)))
    await asyncio.sleep(5.0)
    assert first.calls.made["claim"] == claims
    held.released.set()
    await stopping
