"""How a worker comes to a model, and from one to the next."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from stream_app.changes.types import SegmentChange
from stream_app.segments.snapshot import Snapshot, write_snapshot
from stream_app.streams import topics
from tests.models import save_model
from tests.worker.model import RESTLESS
from tests.worker.outcome import outcome
from tests.worker.scenario import scenario
from tests.worker.world import World, until

OTHER = msgspec.structs.replace(
    RESTLESS, version=2, segments=RESTLESS.segments[1:], created_at="2026-01-01T00:00:00Z"
)
MISFITS = {
    "no snapshot": b"{}",
    "no JSON": b"\xff",
    "another catalogue": write_snapshot(msgspec.structs.replace(OTHER, catalogue="other")),
    "no numbers": write_snapshot(OTHER).replace(b'"mean":[0.0', b'"mean":[1e999'),
}


async def issue(world: World, snapshot: Snapshot) -> None:
    assert await save_model(world.store, snapshot.version, write_snapshot(snapshot), b"")


async def test_accounts_are_unsegmented_before_there_is_a_model() -> None:
    world = await World.create(scenario(), model=None)
    node = await world.node().start()
    await world.finish()
    changes = outcome(world).changes
    assert {sequence for _, sequence in changes} == {1}
    for change in changes.values():
        assert change["current"] == {"id": 0, "name": "Unsegmented"}
        assert (change["reason"], change["model_version"]) == ("first_seen", 0)
    assert node.count("model_version") == 0
    await issue(world, RESTLESS)
    await until(lambda: bool((world.table.live["model"] == 1).all()))
    await world.settle()
    first = [change for (_, sequence), change in outcome(world).changes.items() if sequence == 2]
    assert {change["reason"] for change in first} == {"model"}
    assert len(first) == len(world.table)
    assert node.count("model_version") == 1


async def test_the_model_changes_between_batches_and_never_within_one() -> None:
    world = await World.create(scenario())
    node = world.node()
    held = await node.start_and_hold("commit", 10)
    await issue(world, OTHER)
    await until(lambda: node.count("model_version") == 2)
    held.released.set()
    await world.finish()
    versions = [commit.model_version for commit in node.calls.commits]
    assert set(versions) == {1, 2}
    assert versions.index(2) > 10
    for commit in node.calls.commits:
        decided_by = {change.model_version for change in changes_in(commit.outbox)}
        assert decided_by <= {commit.model_version}


@pytest.mark.parametrize("misfit", MISFITS.values(), ids=MISFITS.keys())
async def test_a_model_that_does_not_fit_is_refused_and_the_old_one_stays(misfit: bytes) -> None:
    world = await World.create(scenario())
    node = await world.node().start()
    await world.settle()
    before = outcome(world)
    assert await save_model(world.store, 2, misfit, b"")
    await until(lambda: node.count("snapshots_refused_total") > 0)
    await asyncio.sleep(10.0)
    assert node.count("snapshots_refused_total") == 1, "refused once, not every second"
    assert node.count("model_version") == 1
    assert outcome(world) == before
    await issue(world, msgspec.structs.replace(OTHER, version=3))
    await until(lambda: bool((world.table.live["model"] == 3).all()))


async def test_a_worker_that_starts_uses_the_newest_model() -> None:
    world = await World.create(scenario())
    await issue(world, OTHER)
    await world.node().start()
    await world.finish()
    assert {change["model_version"] for change in outcome(world).changes.values()} == {2}


async def test_an_answer_that_comes_late_does_not_bring_back_an_older_model() -> None:
    """Claims and the timer ask at the same time, on connections of their own."""
    world = await World.create()
    node = await world.node().start()
    await world.settle()
    await issue(world, OTHER)
    late = node.calls.stop("snapshot", after=True)
    await late.reached.wait()
    await issue(world, msgspec.structs.replace(OTHER, version=3))
    asking = asyncio.create_task(node.worker._models.refresh())  # as a claim does
    await asyncio.sleep(0.5)
    late.released.set()
    await asking
    assert node.worker._models.assigner is not None
    seen = [node.worker._models.assigner.snapshot.version]
    for _ in range(20):
        await asyncio.sleep(0.1)
        seen.append(node.worker._models.assigner.snapshot.version)
    assert seen == sorted(seen)
    assert seen[-1] == 3


def changes_in(outbox: object) -> list[SegmentChange]:
    """The segment changes among outbox entries."""
    entries = [msgspec.msgpack.decode(entry) for entry in outbox]  # type: ignore[attr-defined]
    return [
        msgspec.json.decode(value, type=SegmentChange)
        for topic, _, value, _ in entries
        if topic == topics.SEGMENT_CHANGES.name
    ]
