"""People switch models while events flow: nothing is lost, and accounts move at a pace."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import HOUR
from stream_app.features.table import FeatureTable
from stream_app.segments.snapshot import Snapshot, write_snapshot
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryPublisher
from stream_app.streams.messages import Messages
from stream_app.streams.operating import Operating
from stream_app.streams.partitioning import partition_of
from tests.models import save_model
from tests.worker.model import RESTLESS
from tests.worker.outcome import outcome, published
from tests.worker.scenario import scenario
from tests.worker.test_failures import well_keyed
from tests.worker.test_models import OTHER
from tests.worker.test_sweep import END_US, one_visit_each
from tests.worker.world import PARTITIONS, World, until, with_worker

DECIDED = {"sequence", "segment", "since_us", "model", "bands", "anchor", "sampled_us"} | {
    "pending_us",
    "pending_cause",
}
"""What depends on the model; all else follows from the events alone."""


def operator(world: World) -> Operating:
    publisher = MemoryPublisher(world.broker)
    return Operating(world.store, publisher, Messages("", Pseudonyms()), world.clock, "maria")


def under(world: World, version: int) -> bool:
    """Whether every account was last decided under this version."""
    return bool((world.table.live["model"] == version).all())


def from_events(table: FeatureTable) -> dict[str, list[bytes]]:
    names = [name for name in table.live.dtype.names or () if name not in DECIDED]
    return {
        account: [table.live[name][row].tobytes() for name in names]
        for row, account in enumerate(table.all_ids())
    }


async def test_switching_back_and_forth_during_traffic_loses_no_event_and_leaves_no_gap() -> None:
    lines = [line for line in scenario() if well_keyed(line)]
    calm = await World.create(lines)
    await calm.node().start()
    await calm.settle()

    gone = most_common(calm)
    world = await World.create()
    await world.node().start()
    assert await save_model(world.store, 2, write_snapshot(without(gone)), activate=False)
    person = operator(world)
    part = len(lines) // 6
    for turn in range(6):
        world.produce(lines[turn * part : (turn + 1) * part if turn < 5 else len(lines)])
        await asyncio.sleep(1.0)
        await (person.activate(2, pin=turn == 2) if turn % 2 == 0 else person.roll_back())
    await world.settle()
    await until(lambda: under(world, 1))
    await world.settle()
    found = outcome(world)  # and with it: sequences without a gap
    assert "model" in {change["reason"] for change in found.changes.values()}
    assert from_events(world.table) == from_events(calm.table)
    for change in found.changes.values():
        assert change["model_version"] == 1 or change["current"]["id"] != gone


async def test_going_back_moves_accounts_back_with_the_reason_model() -> None:
    """The older version has a lower number: accounts are looked at again all the same."""
    world = await World.create(scenario())
    await world.node().start()
    await world.settle()
    common = most_common(world)
    accounts = list(segments(world).values()).count(common)
    assert await save_model(world.store, 2, write_snapshot(without(common)), activate=False)
    person = operator(world)
    await person.activate(2)
    await until(lambda: under(world, 2))
    await world.settle()
    assert common not in segments(world).values()
    before = outcome(world).changes.keys()
    await person.roll_back()
    await until(lambda: under(world, 1))
    await world.settle()
    back = [change for key, change in outcome(world).changes.items() if key not in before]
    assert {change["reason"] for change in back} == {"model"}
    assert {change["model_version"] for change in back} == {1}
    assert {change["current"]["id"] for change in back} == {common}
    assert 0 < len(back) <= accounts


def most_common(world: World) -> int:
    """The segment with the most accounts."""
    (most, *_) = Counter(segments(world).values()).most_common()
    return most[0]


def without(segment: int) -> Snapshot:
    """Version 2, in which a segment is gone."""
    others = [s for s in RESTLESS.segments if s.id != segment]
    return msgspec.structs.replace(RESTLESS, version=2, segments=others)


def segments(world: World) -> dict[str, int]:
    return dict(zip(world.table.all_ids(), world.table.live["segment"].tolist(), strict=True))


async def test_a_renamed_segment_moves_nobody() -> None:
    world = await World.create(scenario())
    await world.node().start()
    await world.settle()
    before, changes = segments(world), len(published(world, topics.SEGMENT_CHANGES.name))
    segment = RESTLESS.segments[1].id
    await operator(world).rename(segment, "Our best")
    await until(lambda: under(world, 2))
    await world.settle()
    assert segments(world) == before
    assert len(published(world, topics.SEGMENT_CHANGES.name)) == changes


async def test_workers_keep_what_they_have_when_a_bad_version_is_forced_into_use() -> None:
    """The commands refuse it; somebody wrote it past them."""
    world = await World.create(scenario())
    node = await world.node().start()
    await world.settle()
    bad = msgspec.structs.replace(OTHER, catalogue="other")
    assert await save_model(world.store, 2, write_snapshot(bad))
    await until(lambda: node.count("snapshots_refused_total") == 1)
    assert (node.count("model_version"), node.count("model_active_version")) == (1, 2)
    assert under(world, 1)
    await operator(world).activate(1)
    await until(lambda: node.count("model_active_version") == 1)
    assert node.count("model_version") == 1


async def test_what_waits_is_shown() -> None:
    world = await World.create(scenario())
    node = await world.node().start()
    assert await save_model(world.store, 2, write_snapshot(OTHER), activate=False)
    await until(lambda: node.count("models_waiting") == 1)
    await operator(world).activate(2)
    await until(lambda: node.count("models_waiting") == 0)


async def test_accounts_move_to_a_new_model_in_portions_and_never_fill_the_outbox() -> None:
    limit, portion = 30, 5
    home = partition_of(b"acme-7", PARTITIONS)
    lines = [line for line in one_visit_each(1_200) if partition_of(line.key, PARTITIONS) == home]
    settings = with_worker(outbox_limit=limit, sweep_accounts=portion)
    world = await World.create(lines, settings=settings)
    node = await world.node().start()
    await world.settle()
    (segment,) = set(segments(world).values())
    assert await save_model(world.store, 2, write_snapshot(without(segment)), activate=False)
    before = len(node.calls.commits)
    publish = node.calls.stop("publish")
    await operator(world).activate(2)
    await publish.reached.wait()
    await until(lambda: node.count("outbox_messages", partition=str(home)) >= limit)
    held = node.count("outbox_messages", partition=str(home))
    assert held < limit + 2 * portion, "a change and where the account stands, of each"
    stands = sum(world.table.live["model"] == 2)
    assert stands < len(lines) / 4, "the rest waits until Kafka takes what there is"
    publish.released.set()
    await until(lambda: under(world, 2))
    await world.settle()
    sweeps = node.calls.commits[before:]
    assert max(len(commit.states) for commit in sweeps) == portion
    assert len(sweeps) >= len(lines) / portion
    assert segment not in segments(world).values()


async def test_accounts_move_to_a_new_model_no_faster_than_is_set() -> None:
    settings = with_worker(model_accounts_per_second=2.0)
    world = await World.create(one_visit_each(60), settings=settings)
    node = await world.node().start()
    await world.settle()
    (segment,) = set(segments(world).values())
    assert await save_model(world.store, 2, write_snapshot(without(segment)), activate=False)
    await asyncio.sleep(60.0)  # what is saved up does not grow
    before = len(node.calls.commits)
    await operator(world).activate(2)
    started = world.clock.monotonic()
    await until(lambda: under(world, 2))
    assert world.clock.monotonic() - started >= 60 / 2.0 - 5.0
    assert max(len(commit.states) for commit in node.calls.commits[before:]) <= 2


async def test_an_account_with_an_event_does_not_wait_for_its_turn() -> None:
    settings = with_worker(model_accounts_per_second=0.1)
    world = await World.create(one_visit_each(60), settings=settings)
    await world.node().start()
    await world.settle()
    assert await save_model(world.store, 2, write_snapshot(OTHER), activate=False)
    await operator(world).activate(2)
    await asyncio.sleep(5.0)
    world.produce(one_visit_each(1, END_US + HOUR))
    await world.settle()
    (row,) = [i for i, account in enumerate(world.table.all_ids()) if account == "acme-0"]
    assert world.table.live["model"][row] == 2
    assert not under(world, 2)
