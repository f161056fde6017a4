"""The failure table of docs/guarantees.md, row by row: whatever happens, the outcome is the same.

Each test disturbs a run and compares with the undisturbed one: accounts byte for byte, changes,
spikes and dead letters by their ids. `outcome` checks order and gaps on the way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from stream_app.engine import Engine
from stream_app.errors import OutcomeUnknown, Unavailable
from stream_app.events.batch import EventBatch, hash32
from stream_app.events.instants import DAY
from stream_app.events.reading import Reader
from stream_app.streams import topics
from stream_app.streams.processor import Processor, Work
from tests.worker.faults import Applied
from tests.worker.outcome import Outcome, outcome, repeated, undisturbed_outcome
from tests.worker.scenario import Line, scenario
from tests.worker.world import GRACE_DAYS, PARTITIONS, Node, World, until

CHANGES = topics.SEGMENT_CHANGES.name
UNPROCESSABLE = ("ce_reason", b"unprocessable")
HALF_A_YEAR = (GRACE_DAYS + 180) * DAY


async def test_two_workers_end_like_one(world: World, undisturbed: Outcome) -> None:
    await world.node().start()
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


# Killed


@pytest.mark.parametrize("skip", [0, 7, 20])
async def test_killed_before_a_commit(world: World, undisturbed: Outcome, skip: int) -> None:
    victim = world.node()
    await victim.start_and_hold("commit", skip)
    victim.kill()
    assert sum([at.revision for at in await world.all_positions()]) == skip
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize("goes_on_seconds", [0.0, 5.0])
async def test_killed_after_a_commit_and_before_publishing(
    world: World, undisturbed: Outcome, skip: int, goes_on_seconds: float
) -> None:
    """Also when it could still commit and trim for a while."""
    victim = world.node()
    await victim.start_and_hold("publish", skip)
    await asyncio.sleep(goes_on_seconds)
    victim.kill()
    before = len(world.read(CHANGES))
    assert world.outbox
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed
    assert len(world.read(CHANGES)) > before


async def test_killed_after_publishing_and_before_trimming(
    world: World, undisturbed: Outcome
) -> None:
    victim = world.node()
    publish = victim.calls.stop("publish", after=True)
    victim.begin()
    await publish.reached.wait()
    assert world.read(CHANGES)
    victim.kill()
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed
    assert repeated(world), "published again, with the same ids"


@pytest.mark.parametrize("call", range(1, 160, 16))
async def test_killed_at_any_call(world: World, undisturbed: Outcome, call: int) -> None:
    """Whatever the worker was about to ask of Kafka or Redis when it died."""
    await world.node().begin_and(Node.kill, at_call=call)
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


async def test_a_fresh_process_sees_no_more_than_what_was_committed(
    world: World, undisturbed: Outcome
) -> None:
    """Ten workers, one after the other, each killed after a few calls."""
    for _ in range(10):
        await world.node().begin_and(Node.kill, at_call=30)
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


# A former owner that is still alive


async def test_a_zombie_is_fenced_and_writes_nothing(world: World, undisturbed: Outcome) -> None:
    zombie = world.node()
    commit = await zombie.start_and_hold("commit", 5)
    zombie.freeze()
    await world.node().start()
    await world.settle()
    before = world.copy_of_store()
    claims = zombie.calls.stop("claim", times=PARTITIONS)  # all that it wants after being fenced
    commit.released.set()
    zombie.calls.let_go()
    await until(lambda: losses(zombie, "Fenced") + losses(zombie, "Moved") == PARTITIONS)
    assert losses(zombie, "Fenced") > 0
    await claims.reached.wait()
    assert world.copy_of_store() == before
    claims.released.set()
    await zombie.member.rejoin()
    await world.finish()
    assert outcome(world) == undisturbed


@pytest.mark.parametrize("call", range(20, 130, 15))
async def test_a_worker_that_was_frozen_anywhere_does_no_harm(
    world: World, undisturbed: Outcome, call: int
) -> None:
    sleeper = world.node()
    await sleeper.begin_and(Node.freeze, at_call=call)
    await world.node().start()
    await world.settle()
    await sleeper.thaw()
    await world.finish()
    assert outcome(world) == undisturbed


async def test_what_a_zombie_publishes_late_is_known_already(
    world: World, undisturbed: Outcome
) -> None:
    zombie = world.node()
    publish = await zombie.start_and_hold("publish", 1)
    zombie.freeze()
    await world.node().start()
    await world.settle()
    before = outcome(world)
    publish.released.set()
    await zombie.thaw()
    assert repeated(world)
    assert outcome(world).changes == before.changes
    await world.finish()
    assert outcome(world) == undisturbed


async def test_a_claim_that_comes_late_does_not_leave_the_partition_without_an_owner(
    world: World, undisturbed: Outcome
) -> None:
    """A frozen worker's claim reaches Redis after its successor's, and fences it. The successor
    claims again, and the late one is told by Kafka that the partition is not its own."""
    late, owner = world.node(), world.node()
    claims = late.calls.stop("claim", times=PARTITIONS)
    await late.start()
    await claims.reached.wait()
    late.freeze()
    commit = await owner.start_and_hold("commit", 5)
    loads = late.calls.stop("load", times=PARTITIONS)
    claims.released.set()
    late.calls.let_go()
    await loads.reached.wait()
    late.kill()
    commit.released.set()
    await world.finish()
    assert losses(owner, "Fenced") + losses(owner, "Moved") == PARTITIONS
    assert owner.count("claim_seconds_count") == 2 * PARTITIONS
    assert outcome(world) == undisturbed


# Redis


@pytest.mark.parametrize("applied", ["yes", "no", "later"])
@pytest.mark.parametrize("skip", [0, 9])
async def test_a_commit_without_an_answer(
    world: World, undisturbed: Outcome, applied: Applied, skip: int
) -> None:
    node = world.node()
    node.calls.fail("commit", OutcomeUnknown("no answer"), applied, skip=skip)
    await node.start()
    await world.finish()
    if applied != "later":
        assert node.count("claim_seconds_count") == PARTITIONS, "memory is kept"
    assert outcome(world) == undisturbed


@pytest.mark.parametrize("applied", ["yes", "no", "later"])
async def test_a_commit_without_an_answer_and_then_a_kill(
    world: World, undisturbed: Outcome, applied: Applied
) -> None:
    """The next owner finds what the first one took for stored."""
    victim = world.node()
    victim.calls.fail("commit", OutcomeUnknown("no answer"), applied, skip=5)
    await victim.start_and_hold("commit", 15)
    victim.kill()
    await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed


async def test_no_answer_to_the_commit_and_none_to_the_question_what_became_of_it(
    world: World, undisturbed: Outcome
) -> None:
    node = world.node()
    node.calls.fail("commit", OutcomeUnknown("no answer"), "yes", times=2)
    node.calls.fail("position", Unavailable("no answer"), times=2)
    await node.start()
    await world.finish()
    assert outcome(world) == undisturbed


@pytest.mark.parametrize(
    ("call", "applied"),
    [
        *((call, "no") for call in ("claim", "load", "trim", "position", "snapshot", "commit")),
        *((call, "yes") for call in ("claim", "trim", "commit")),
    ],
)
async def test_redis_is_away_for_a_while(
    world: World, undisturbed: Outcome, call: str, applied: Applied
) -> None:
    node = world.node()
    if call == "position":  # asked only after an unknown outcome
        node.calls.fail("commit", OutcomeUnknown("no answer"), "yes")
    error = OutcomeUnknown("no answer") if applied == "yes" else Unavailable("away")
    skip = 1 if call == "snapshot" else 0  # at the start it is an error
    node.calls.fail(call, error, applied, times=4, skip=skip)
    await node.start()
    await world.finish()
    assert outcome(world) == undisturbed


@pytest.mark.parametrize("running", [True, False])
async def test_redis_is_set_back_to_an_older_copy(
    world: World, undisturbed: Outcome, running: bool
) -> None:
    """Offsets go back with the state: the same events lead to the same ids once more."""
    first = world.node()
    held = await first.start_and_hold("commit", 12)
    copy = world.copy_of_store()
    held.released.set()
    await world.settle()
    published = outcome(world).changes
    if not running:
        await first.stop()
    world.restore(copy)
    assert world.unread
    if running:  # it finds out when it next has something to write
        world.clock.advance(HALF_A_YEAR)
    else:
        await world.node().start()
    await world.finish()
    assert outcome(world) == undisturbed
    assert published.items() <= undisturbed.changes.items()
    assert repeated(world)


# Kafka


async def test_kafka_takes_nothing_for_a_while(world: World, undisturbed: Outcome) -> None:
    """Nothing is dropped, nothing overtakes."""
    node = world.node()
    node.calls.fail("publish", Unavailable("away"), times=12, skip=2)
    await node.start()
    await world.finish()
    assert outcome(world) == undisturbed
    assert node.count("waits_seconds_total", what="kafka") > 1.0
    assert node.count("claim_seconds_count") == PARTITIONS, "memory is kept meanwhile"


async def test_kafka_takes_half_of_a_batch(world: World, undisturbed: Outcome) -> None:
    node = world.node()
    node.publisher.delivers_half = 8
    await node.start()
    await world.finish()
    assert outcome(world) == undisturbed
    assert repeated(world)


async def test_kafka_gives_nothing_for_a_while(world: World, undisturbed: Outcome) -> None:
    node = world.node()
    node.calls.fail("poll", Unavailable("away"), times=8, skip=3)
    await node.start()
    await until(lambda: not node.worker.ready)
    await world.finish()
    assert node.worker.ready
    assert outcome(world) == undisturbed


async def test_kafka_does_not_say_how_far_behind_the_reader_is(
    world: World, undisturbed: Outcome
) -> None:
    """An answer that only the sweep needs is no reason to drop what is in memory."""
    node = await world.node().start()
    await world.settle()
    node.calls.fail("end_offsets", Unavailable("away"), times=20)
    await world.finish()
    assert node.count("claim_seconds_count") == PARTITIONS
    assert outcome(world) == undisturbed


# A record that the program cannot process


@pytest.mark.parametrize("place", [0, 100, 350])
async def test_a_record_that_the_engine_fails_on_becomes_a_dead_letter(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else is applied, once, as if it had not been there."""
    lines = scenario()
    poison = next(one for one in lines[place:] if well_keyed(one) and lines.count(one) == 1)
    rest = [line for line in lines if line is not poison]
    expected = await undisturbed_outcome(rest)

    step = Engine.step

    def fails(self: Engine, table: Any, batch: EventBatch, *more: Any) -> Any:
        if hash32(json.loads(poison.value or b"")["id"]) in batch.id_hash:
            table.data["sequence"] += 7  # half-way through, nothing is to be trusted any more
            raise ZeroDivisionError("a bug")
        return step(self, table, batch, *more)

    monkeypatch.setattr(Engine, "step", fails)
    world = await World.create(lines)
    node = await world.node().start()
    await world.finish()
    owners = node.worker._partitions.values()
    assert not any(owner._poison for owner in owners), "what lies behind is not remembered"
    found = outcome(world)
    (letter,) = [x for x in found.letters.values() if UNPROCESSABLE in x[2]]
    assert letter[:2] == (poison.key, poison.value)
    assert len(found.letters) == len(expected.letters) + 1
    found.letters = expected.letters  # the offsets behind it have moved by one
    assert found == expected


async def test_a_record_that_cannot_even_be_decoded_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = scenario()
    poison = lines[100]
    read = Reader.read

    def fails(self: Reader, records: Sequence[Any], *more: Any) -> Any:
        if poison.value in [record.value for record in records]:
            raise ZeroDivisionError("a bug")
        return read(self, records, *more)

    monkeypatch.setattr(Reader, "read", fails)
    world = await World.create(lines)
    await world.node().start()
    await world.settle()
    refused = [
        value for _, value, headers in outcome(world).letters.values() if UNPROCESSABLE in headers
    ]
    assert refused == [poison.value]


# Rebalances


async def test_partitions_that_stay_go_on_from_memory(world: World, undisturbed: Outcome) -> None:
    first, second = world.node(), world.node()
    held = await first.start_and_hold("commit", 10)
    second.begin()
    held.released.set()
    await world.finish()
    assert first.count("claim_seconds_count") == PARTITIONS
    assert second.count("claim_seconds_count") == PARTITIONS / 2
    assert min(first.count("commits_total"), second.count("commits_total")) > 5
    assert outcome(world) == undisturbed


async def test_partitions_that_somebody_had_in_between_are_loaded_again(
    world: World, undisturbed: Outcome
) -> None:
    first, between = world.node(), world.node()
    held = await first.start_and_hold("commit", 10)
    first.freeze()
    other = await between.start_and_hold("commit", 10)
    other.released.set()
    await between.stop()
    held.released.set()
    await first.thaw()
    await world.finish()
    assert between.count("commits_total") >= 11
    assert first.count("claim_seconds_count") == 2 * PARTITIONS
    assert outcome(world) == undisturbed


async def test_an_owner_looks_before_it_goes_on_from_memory(undisturbed: Outcome) -> None:
    lines = scenario()
    world = await World.create(lines[:200])
    node = await world.node().start()
    await world.settle()
    everything = frozenset(range(PARTITIONS))
    await node.worker.on_revoked(everything)
    for p in everything:
        await world.store.claim(p, "somebody else")
    await node.worker.on_assigned(everything)
    world.produce(lines[200:])
    await world.finish()
    assert node.count("claim_seconds_count") == 2 * PARTITIONS
    assert node.calls.made["commit"] == node.count("commits_total"), "nothing was done in vain"
    assert outcome(world) == undisturbed


async def test_members_come_and_go_under_load(undisturbed: Outcome) -> None:
    world, lines = await World.create(), scenario()
    for start in range(0, len(lines), 50):
        world.produce(lines[start : start + 50])
        await world.node().start()
        if len(world.nodes) > 3:
            await world.nodes[-3].stop()
    await world.finish()
    assert len(world.nodes) > 7
    assert outcome(world) == undisturbed


def losses(node: Node, cause: str) -> float:
    """How many partitions were dropped from memory for this reason."""
    return node.count("partition_losses_total", cause=cause)


def well_keyed(line: Line) -> bool:
    """Whether it is an event that lies where its account belongs."""
    return (line.value or b"").startswith(b'{"id"') and line.key == json.loads(line.value or b"")[
        "account_id"
    ].encode()


async def test_a_sweep_that_fails_costs_a_claim_and_nothing_else(
    world: World, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, failed = Processor.sweep, []

    def failing(processor: Processor, *arguments: Any) -> Work:
        if not failed:
            failed.append(processor)
            raise RuntimeError("an error of ours")
        return sweep(processor, *arguments)

    monkeypatch.setattr(Processor, "sweep", failing)
    node = await world.node().start()
    await world.finish()
    assert failed
    assert node.count("claim_seconds_count") == PARTITIONS + 1
    assert outcome(world) == undisturbed
