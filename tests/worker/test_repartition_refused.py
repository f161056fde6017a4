"""What a move to more partitions refuses, and that it leaves everything as it was."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.errors import Busy, Incompatible, Unavailable
from stream_app.streams.memory_log import MemoryPublisher
from stream_app.streams.partitioning import partition_of
from tests.worker.moving import (
    CHANGES,
    FIRST,
    MORE,
    SECOND,
    Died,
    Fuse,
    decide,
    half_way,
    moved,
    picture,
    repartition,
    rest,
    where,
)
from tests.worker.outcome import Outcome, outcome
from tests.worker.scenario import VISITS
from tests.worker.world import CONSUMED, PARTITIONS, World


async def test_it_refuses_while_workers_are_in_the_group() -> None:
    world = await World.create(FIRST)
    node = await world.node().start()
    await world.settle()
    with pytest.raises(Busy, match="workers are in the group: 1"):
        await moved(world)
    assert world.store._whole.deployment.move is None
    await node.stop()


async def test_it_refuses_while_records_are_unread_and_says_how_many() -> None:
    world = await half_way()
    world.produce(SECOND[:9])
    before = picture(world)
    with pytest.raises(Busy, match="9 records are not applied yet") as failure:
        await moved(world)
    assert "--allow-lag" in failure.value.hint
    assert picture(world) == before


async def test_records_that_come_between_the_look_and_the_closing_are_seen() -> None:
    world = await half_way()
    mover = repartition(world)
    survey = await mover.survey(MORE)
    world.produce(SECOND[:9])
    before = picture(world)
    with pytest.raises(Busy, match="9 records"):
        await mover.run(survey)
    assert picture(world) == before, "given back"
    assert not mover.begun
    await world.store.claim(0, "worker")


async def test_records_that_come_while_accounts_are_copied_are_seen(undisturbed: Outcome) -> None:
    """What was copied is kept: the same call with --allow-lag goes on."""
    world = await half_way()
    mover = repartition(world, reader=_Late(world))
    survey = await mover.survey(MORE)
    with pytest.raises(Busy, match="records are not applied yet"):
        await mover.run(survey)
    assert mover.begun
    deployment = await world.store.deployed()
    assert deployment.move.copied == (0, 1, 2, 3)
    assert world.broker.topics[VISITS] == PARTITIONS
    node = world.node()
    with pytest.raises(Incompatible, match="being moved"):
        await node.start()
    await node.worker.stop()
    await moved(world, allow_lag=True)
    await rest(world, [])
    assert where(outcome(world)) == where(undisturbed)


class _Late:
    """A reader for which the second half comes after the second look."""

    def __init__(self, world: World) -> None:
        self._world, self._looks = world, 0
        self._reader = repartition(world)._reader

    async def stretches(self, topic: str) -> Any:
        self._looks += topic == CONSUMED[0]
        if self._looks == 3 and topic == CONSUMED[0]:
            self._world.produce(SECOND)
        return await self._reader.stretches(topic)

    def read(self, *arguments: Any) -> Any:
        return self._reader.read(*arguments)


async def test_a_topic_that_was_made_anew_is_refused() -> None:
    world = await half_way()
    del world.broker._topics[VISITS]
    world.broker.create_topic(VISITS, PARTITIONS)
    with pytest.raises(Incompatible, match="deleted and made anew"):
        await moved(world)


async def test_offsets_without_records_are_not_unread() -> None:
    """Where a transaction ended, an offset is used up."""
    world = await half_way()
    mover = repartition(world, reader=_Transactional(world))
    survey = await mover.survey(MORE)
    assert survey.unread == {}
    await mover.run(survey)


class _Transactional:
    """A reader of topics that end with a marker."""

    def __init__(self, world: World) -> None:
        self._reader = repartition(world)._reader

    async def stretches(self, topic: str) -> Any:
        found = await self._reader.stretches(topic)
        return {p: range(there.start, there.stop + 1) for p, there in found.items()}

    def read(self, *arguments: Any) -> Any:
        return self._reader.read(*arguments)


async def test_a_worker_of_another_group_is_noticed() -> None:
    world = await half_way()
    mover = repartition(world)
    survey = await mover.survey(MORE)
    await decide(world, 1, [])
    with pytest.raises(Busy, match="partition 1 was written just now"):
        await mover.run(survey)
    assert (await world.store.deployed()).move is None
    await world.store.claim(1, "worker")


@pytest.mark.parametrize(
    ("partitions", "said"), [(3, "cannot take any away"), (MORE, "a move to 6 partitions")]
)
async def test_it_refuses_a_number_that_does_not_fit(partitions: int, said: str) -> None:
    world = await half_way()
    if partitions == MORE:
        with pytest.raises(Died):
            await moved(world, 6, fuse=Fuse(0, only="load"))
    with pytest.raises(Incompatible, match=said):
        await moved(world, partitions)


async def test_it_refuses_topics_with_other_numbers() -> None:
    world = await half_way()
    world.broker.add_partitions(VISITS, 9)
    with pytest.raises(Incompatible, match="website-visits has 9"):
        await moved(world)


async def test_topics_that_have_grown_before_are_fine(undisturbed: Outcome) -> None:
    """As after somebody added partitions by mistake: workers have stopped since."""
    world = await half_way()
    for topic in CONSUMED[:2]:
        world.broker.add_partitions(topic, MORE)
    await moved(world)
    assert {world.broker.topics[topic] for topic in CONSUMED} == {MORE}
    await rest(world)
    assert where(outcome(world)) == where(undisturbed)


async def test_it_refuses_while_the_former_state_is_kept() -> None:
    world = await half_way()
    await moved(world, 8)
    with pytest.raises(Incompatible, match="still kept"):
        await moved(world, 16)


async def test_the_same_number_is_nothing_to_do() -> None:
    world = await half_way()
    await moved(world)
    before = picture(world)
    assert (await moved(world)).accounts == len(world.states)
    assert picture(world) == before


async def test_a_state_that_cannot_be_read_stops_it_and_is_named() -> None:
    world = await half_way()
    home = partition_of(b"account-3", PARTITIONS)
    kept = world.store._partitions[home].states["account-3"]
    world.store._partitions[home].states["account-3"] = b"damaged"
    with pytest.raises(Incompatible, match=f"partition {home}: .*'account-3'"):
        await moved(world)
    world.store._partitions[home].states["account-3"] = kept
    await moved(world)


async def test_accounts_that_get_lost_on_the_way_are_noticed() -> None:
    world = await half_way()
    mover = repartition(world)
    with pytest.raises(Died):
        await moved(world, fuse=Fuse(0, only="grow"))
    lossy = next(p for p in world.store._whole.generations[1].values() if p.states)
    lossy.states.popitem()
    survey = await mover.survey(MORE)
    assert survey.deployment.move.copied == (0, 1, 2, 3)
    with pytest.raises(Incompatible, match="32 accounts were stored, but 31"):
        await mover.run(survey)
    assert world.broker.topics[VISITS] == PARTITIONS


async def test_kafka_that_takes_nothing_ends_it_and_it_goes_on_later() -> None:
    world = await half_way()
    await decide(world, 2, [(CHANGES, b'{"account_id":"a","sequence":1}')])
    mover = repartition(world, publisher=_Away(world.broker))
    with pytest.raises(Unavailable):
        await mover.run(await mover.survey(MORE))
    assert (await moved(world)).published == 1


class _Away(MemoryPublisher):
    async def publish(self, messages: Any) -> None:
        raise Unavailable("Kafka is away")
