"""A move to more partitions that dies anywhere, is overtaken, or meets a zombie."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream_app.errors import Busy, Fenced, Incompatible
from tests.worker.moving import (
    MORE,
    Died,
    Fuse,
    at_home,
    half_way,
    loaded_snap,
    moved,
    picture,
    repartition,
    rest,
    where,
)
from tests.worker.outcome import Outcome, outcome
from tests.worker.scenario import VISITS
from tests.worker.test_erasure import control
from tests.worker.world import PARTITIONS, Node, World, until


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_move_that_dies_at_any_call_is_finished_by_the_next_one(
    after: bool, at_once: int
) -> None:
    snap = await loaded_snap()
    whole = await snap.world()
    await moved(whole, allow_lag=True)
    expected = picture(whole)
    died = 0
    while True:
        world = await snap.world()
        fuse = Fuse(died, after)
        try:
            await moved(world, allow_lag=True, fuse=fuse, at_once=at_once)
        except Died:
            died += 1
        else:
            break
        await moved(world, allow_lag=True)
        assert picture(world) == expected, f"died at call {died}, {fuse.said[-1]}"
    assert {"redeploy", "close", "publish", "trim", "load", "commit", "grow"} <= set(fuse.said)
    assert died > 60


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_move_that_dies_before_the_topics_grow_can_be_given_up(after: bool) -> None:
    snap = await loaded_snap()
    untouched = await snap.world()
    expected = picture(untouched)[0], states_of(untouched), offsets_of(untouched)
    died = 0
    refused = 0
    while True:
        world = await snap.world()
        try:
            await moved(world, allow_lag=True, fuse=Fuse(died, after))
        except Died:
            died += 1
        else:
            break
        deployment = await world.store.deployed()
        assert deployment is not None
        if world.broker.topics[VISITS] > PARTITIONS and deployment.generation == 0:
            with pytest.raises(Incompatible, match="cannot take any away"):
                await repartition(world).cancel()
            refused += 1
        elif deployment.generation == 0:
            await repartition(world).cancel()
            assert (picture(world)[0], states_of(world), offsets_of(world)) == expected
            assert not any(p.states or p.erased for p in world.store._whole.generations[1].values())
            for p in range(PARTITIONS):
                await world.store.claim(p, "worker")
    assert refused


def states_of(world: World) -> dict[int, Any]:
    return {p: part.states for p, part in sorted(world.store._partitions.items())}


def offsets_of(world: World) -> dict[int, Any]:
    return {p: dict(part.position.offsets) for p, part in sorted(world.store._partitions.items())}


async def test_a_move_that_was_given_up_can_be_begun_anew(undisturbed: Outcome) -> None:
    """Accounts that were erased in between do not come back from the first try."""
    world = await half_way()
    with pytest.raises(Died):
        await moved(world, fuse=Fuse(0, only="grow"))
    assert any(p.states for p in world.store._whole.generations[1].values())
    assert (await repartition(world).cancel()) is not None
    world.produce([control("account.erase", "account-3")])
    node = await world.node().start()
    await until(lambda: "account-3" not in world.states)
    await world.settle()
    await node.stop()
    await moved(world)
    assert "account-3" not in world.states
    assert at_home(world)


async def test_giving_up_nothing_reopens_what_is_closed() -> None:
    world = await half_way()
    await world.store.close(2, "somebody")
    assert await repartition(world).cancel() is None
    await world.store.claim(2, "worker")


async def test_who_was_overtaken_changes_nothing_any_more() -> None:
    world = await half_way()
    first = repartition(world)
    survey = await first.survey(MORE)
    await moved(world)
    before = picture(world)
    with pytest.raises(Busy, match="somebody else"):
        await first.run(survey)
    assert picture(world) == before


async def test_of_two_that_run_at_a_time_the_later_one_fences_the_earlier() -> None:
    world = await half_way()
    reached, go_on = asyncio.Event(), asyncio.Event()
    slow = repartition(world, store=_Slow(world.store.generation(0), reached, go_on))
    running = asyncio.create_task(slow.run(await slow.survey(MORE)))
    await reached.wait()
    await moved(world)
    before = picture(world)
    go_on.set()
    with pytest.raises((Fenced, Busy)):
        await running
    assert picture(world) == before


class _Slow:
    """A store whose first commit to the new generation is held."""

    def __init__(self, store: Any, reached: asyncio.Event, go_on: asyncio.Event) -> None:
        self._store, self._events = store, (reached, go_on)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def generation(self, number: int) -> Any:
        return _Slow(self._store.generation(number), *self._events)

    async def commit(self, *arguments: Any) -> Any:
        reached, go_on = self._events
        reached.set()
        await go_on.wait()
        return await self._store.commit(*arguments)


async def frozen(world: World) -> Node:
    """A worker that stands still from now on, with a connection of its own."""
    node = await world.node().start()
    await until(lambda: node.count("partitions") == PARTITIONS)
    node.freeze()
    await until(lambda: world.broker.group("workers").members == 0)
    world.store = world.store.generation(0)
    return node


async def test_a_zombie_writes_nothing_during_and_after_a_move(undisturbed: Outcome) -> None:
    world = await half_way()
    zombie = await frozen(world)
    await moved(world)
    before = picture(world)
    zombie.calls.let_go()
    with pytest.raises(Incompatible, match="was closed"):
        await asyncio.wait_for(zombie.running, 60)
    assert picture(world) == before
    await repartition(world).forget()
    late = zombie.world.store.generation(0)
    with pytest.raises(Incompatible, match="was closed"):
        await late.claim(0, "zombie")
    await rest(world)
    assert where(outcome(world)) == where(undisturbed)
