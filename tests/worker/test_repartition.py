"""A deployment that is moved to more partitions goes on as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from stream_app.errors import Busy
from stream_app.features.table import Erased, digest_of
from stream_app.streams import topics
from stream_app.streams.deployment import Former
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit
from stream_app.streams.processor import Summary
from tests.worker.moving import (
    CHANGES,
    FIRST,
    MORE,
    SECOND,
    at_home,
    decide,
    half_way,
    moved,
    repartition,
    rest,
    where,
)
from tests.worker.outcome import Outcome, outcome, published, repeated
from tests.worker.scenario import DAYS, START_US, VISITS, Line, event
from tests.worker.test_erasure import control
from tests.worker.world import PARTITIONS, World, until


@pytest.mark.parametrize("partitions", [8, 6, 5, 16])
async def test_the_outcome_is_that_of_an_undisturbed_run(
    undisturbed: Outcome, partitions: int
) -> None:
    world = await half_way()
    before = world.states
    done = await moved(world, partitions)
    assert (done.accounts, done.published) == (len(before), 0)
    assert world.states == before
    assert at_home(world)
    assert sum(bool(p.states) for p in world.store._partitions.values()) > PARTITIONS
    await rest(world)
    assert where(outcome(world)) == where(undisturbed)
    assert repeated(world) == 0


async def test_twice_in_a_row(undisturbed: Outcome) -> None:
    world = await half_way()
    await moved(world, 8)
    assert await repartition(world).forget() == Former(partitions=PARTITIONS, generation=0)
    await moved(world, 16)
    await rest(world)
    assert where(outcome(world)) == where(undisturbed)


async def test_nothing_is_moved_before_there_is_anything(undisturbed: Outcome) -> None:
    world = await half_way([])
    await moved(world)
    await rest(world, FIRST + SECOND)
    assert where(outcome(world)) == where(undisturbed)


async def test_what_is_unread_is_read_after_the_move(undisturbed: Outcome) -> None:
    """Nothing newer has come meanwhile, so even its order is kept."""
    world = await half_way()
    world.produce(SECOND)
    await moved(world, allow_lag=True)
    await rest(world, [])
    found = outcome(world)
    assert len(found.forwarded) > len(undisturbed.forwarded), "of accounts that have moved"
    assert where(found) == where(undisturbed)


async def test_of_unread_records_none_is_lost_or_counted_twice() -> None:
    """Although newer ones of the same accounts come beside them."""
    whole = await World.create(FIRST + SECOND)
    node = await whole.node().start()
    await whole.settle()
    await node.stop()
    world = await half_way()
    world.produce(SECOND[:100])
    await moved(world, allow_lag=True)
    world.produce(SECOND[100:])
    node = await world.node().start()
    await world.settle()
    await node.stop()
    mine, theirs = world.table, whole.table
    assert set(mine.all_ids()) == set(theirs.all_ids())
    ids = sorted(mine.all_ids())
    ours, undisturbed = (t.take(t.rows_of(ids)) for t in (mine, theirs))
    assert ours["latest_us"].tolist() == undisturbed["latest_us"].tolist()
    for name in ("ring", "contacts"):
        assert [sorted(set(r)) for r in ours[name].tolist()] == [
            sorted(set(r)) for r in undisturbed[name].tolist()
        ]
    outcome(world)  # there is no gap


async def test_the_outbox_is_published_first() -> None:
    world = await half_way()
    waiting = [(CHANGES, b'{"account_id":"a","sequence":%d}' % n) for n in (1, 2, 3)]
    await decide(world, 2, waiting)
    done = await moved(world)
    assert done.published == 3
    mine = world.broker.read(CHANGES, partition_of(b"a", PARTITIONS))
    assert [r.value for r in mine][-3:] == [value for _, value in waiting]
    assert world.outbox == []


async def test_an_event_that_waits_in_an_outbox_to_be_passed_on_is_not_passed_over() -> None:
    world = await half_way()
    visit = event(VISITS, "a", START_US + DAYS, "passed-on", type="website.visit")
    await decide(world, 2, [(topics.ENGAGEMENT.name, visit)])
    with pytest.raises(Busy, match="1 records are not applied yet: engagement 1"):
        await moved(world)
    assert "a" not in world.states
    node = await world.node().start()
    await until(lambda: "a" in world.states)
    await world.settle()
    await node.stop()
    await moved(world)
    assert "a" in world.states


async def test_an_erased_account_goes_on_counting_where_it_was() -> None:
    world = await half_way()
    erased = [f"account-{i}" for i in range(0, 32, 3)]
    world.produce(control("account.erase", account) for account in erased)
    node = await world.node().start()
    await world.settle()
    await node.stop()
    before = last_numbers(world)
    await moved(world, 8)
    await repartition(world).forget()
    world.produce(control("account.erase", account, f"again:{account}") for account in erased[:2])
    node = await world.node().start()
    await world.settle()
    await node.stop()
    await moved(world, 16)
    world.produce(
        Line(VISITS, a.encode(), event(VISITS, a, START_US + DAYS, f"late-{a}")) for a in erased
    )
    node = await world.node().start()
    await world.settle()
    await node.stop()
    after = last_numbers(world)
    assert {a: after[a] for a in erased} == {a: before[a] + 1 for a in erased}
    outcome(world)  # there is no gap


def last_numbers(world: World) -> dict[str, int]:
    return {change["account_id"]: change["sequence"] for change in published(world, CHANGES)}


async def test_of_an_erased_account_in_several_partitions_the_newest_counts() -> None:
    world = await half_way([])
    encode = msgspec.json.encode
    for partition, past in ((0, Erased(3, 1, 9, ("x",))), (1, Erased(5, 1, 4, ("x", "y")))):
        at = (await world.store.claim(partition, "owner")).position
        erased = [(digest_of("acme"), encode(past))]
        await world.store.commit(partition, Commit(at, at.offsets, 0, 0, erased=erased))
    await moved(world, 6)
    found = {await world.store.erased(p, digest_of("acme")) for p in range(6)}
    assert found == {encode(Erased(5, 1, 4, ("x", "y")))}


async def test_names_and_counts_are_complete() -> None:
    world = await half_way()
    names: dict[int, str] = {}
    for p in range(PARTITIONS):
        names |= await world.store.names(p)
    counts = await totals(world)
    days = await day_totals(world)
    assert len(names) == 5
    await moved(world)
    found: dict[int, str] = {}
    for p in range(MORE):
        found |= await world.store.names(p)
    assert found == names
    assert await totals(world) == counts
    assert await day_totals(world) == days
    node = await world.node().start()
    await world.settle()
    await node.stop()
    assert await totals(world) == counts, "what workers count is the same"


async def summaries(world: World) -> list[Summary]:
    found = await world.store.summaries(world.partitions)
    return [msgspec.json.decode(summary, type=Summary) for summary in found]


async def totals(world: World) -> tuple[int, int, int, Counter[int]]:
    every = await summaries(world)
    segments: Counter[int] = Counter()
    for summary in every:
        segments.update(summary.segments)
    return (
        sum(s.accounts for s in every),
        sum(s.changes for s in every),
        sum(s.spikes for s in every),
        segments,
    )


async def day_totals(world: World) -> Counter[int]:
    found: Counter[int] = Counter()
    for summary in await summaries(world):
        for day in summary.days:
            found.update(day.segments)
    return found


async def test_the_old_state_stays_until_it_is_forgotten() -> None:
    world = await half_way()
    before = world.states
    await moved(world)
    old = world.store.generation(0)
    kept = [pair async for p in _all(old, PARTITIONS) for pair in p]
    assert dict(kept) == before
    mover = repartition(world)
    assert await mover.forget() == Former(partitions=PARTITIONS, generation=0)
    assert [pair async for p in _all(old, PARTITIONS) for pair in p] == []
    assert world.states == before
    assert await mover.forget() is None


async def _all(store: Any, partitions: int) -> Any:
    for p in range(partitions):
        async for chunk in store.load(p):
            yield chunk
