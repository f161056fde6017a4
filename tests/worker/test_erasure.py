"""Erasure by workers: whatever happens around it, the account is gone, and others do not notice.

Each test erases between two halves of the scenario, so that the order between topics does not
matter, and compares with an undisturbed run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from stream_app.errors import OutcomeUnknown, Unavailable
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import DAY, HOUR, to_rfc3339
from stream_app.features.table import Erased, digest_of
from stream_app.streams import topics
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message
from tests.worker.faults import Applied
from tests.worker.outcome import Outcome, outcome, published, undisturbed_outcome
from tests.worker.scenario import DAYS, START_US, VISITS, Line, event, scenario
from tests.worker.virtual import VirtualLoop
from tests.worker.world import PARTITIONS, Node, World, until

CONTROL = topics.ACCOUNT_CONTROL.name
SEGMENTS = topics.ACCOUNT_SEGMENTS.name
CHANGES = topics.SEGMENT_CHANGES.name
ERASED = [f"account-{i}" for i in (0, 2, 3, 4, 7, 11, 14, 23, 28, 29)]
"""Of all topics and partitions; 2 and 28 have had spikes, the events of 7 and 23 another key."""
GONE = {"account-3", "account-14"}
"""Erased accounts that have no further event; the others come again."""
FIRST, SECOND = scenario()[:320], scenario()[320:]
SECOND = [
    line for line in SECOND if not any(f'"{name}"'.encode() in (line.value or b"") for name in GONE)
]
LINES = FIRST + SECOND
NOW = to_rfc3339(START_US + DAYS * DAY)


def control(kind: str, account: str, id_: str = "", key: bytes | None = None, **more: str) -> Line:
    """A control event, keyed by its account unless told."""
    body = {"type": kind, "id": id_ or f"{kind}:{account}", "occurred_at": NOW}
    body |= {"account_id": account, **more}
    return Line(CONTROL, key or account.encode(), json.dumps(body).encode())


def erasures(accounts: Iterable[str] = ERASED) -> list[Line]:
    return [control("account.erase", account) for account in accounts]


def remains(world: World) -> dict[str, Erased]:
    """What the store keeps of erased accounts, by digest."""
    decode = msgspec.json.Decoder(Erased).decode
    return {
        digest: decode(past)
        for p in range(PARTITIONS)
        for digest, past in world.store._partitions[p].erased.items()
    }


def numbers(world: World) -> dict[str, tuple[int, int, str]]:
    """`remains` without when it was."""
    return {d: (past.sequence, past.spikes, past.by) for d, past in remains(world).items()}


def last_stated(world: World) -> dict[str, bytes | None]:
    """What compaction leaves of `account-segments`."""
    return {(record.key or b"").decode(): record.value for record in world.read(SEGMENTS)}


@dataclass
class Expected:
    """The undisturbed run."""

    outcome: Outcome
    remains: dict[str, tuple[int, int, str]]


async def rest(world: World) -> None:
    """The second half, and half a year of silence."""
    await world.settle()
    world.produce(SECOND)
    await world.finish()


def check(world: World, expected: Expected) -> None:
    assert outcome(world) == expected.outcome
    assert numbers(world) == expected.remains
    stated = last_stated(world)
    assert {account for account in ERASED if stated[account] is None} == GONE
    profiles = expected.outcome.profiles
    assert {a: v for a, v in stated.items() if v is not None} == {
        account: profiles[account] for account in profiles
    }


async def half_way() -> tuple[World, Node]:
    """A worker that has done the first half and has nothing left to do."""
    world = await World.create(FIRST)
    node = await world.node().start()
    await world.settle()
    return world, node


@pytest.fixture(scope="module")
def expected() -> Expected:
    async def run() -> Expected:
        world, _ = await half_way()
        before = outcome(world)
        world.produce(erasures())
        await world.settle()
        after = outcome(world)
        assert set(before.states) - set(after.states) == set(ERASED) & set(before.states)
        assert {a: s for a, s in before.states.items() if a not in ERASED} == after.states
        await rest(world)
        return Expected(outcome(world), numbers(world))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found = runner.run(run())
    assert set(ERASED) - set(found.outcome.states) == GONE
    reasons = [change["reason"] for change in found.outcome.changes.values()]
    assert reasons.count("erased") == len(ERASED)
    return found


# What an erasure leads to


async def test_nothing_is_left_of_an_erased_account_in_the_store(expected: Expected) -> None:
    world, node = await half_way()
    world.produce(erasures())
    await world.settle()
    content = repr([vars_of(world, p) for p in range(PARTITIONS)])
    for account in ERASED:
        assert repr(account) not in content
        assert remains(world)[digest_of(account)].by == (f"account.erase:{account}",)
        assert last_stated(world)[account] is None
    assert "account-1'" in content, "an account that was not erased"
    assert node.count("controls_total", kind="account.erase") == len(ERASED)
    assert node.count("segment_changes_total", reason="erased") == len(ERASED)
    assert node.count("events_total") < len(FIRST) + len(ERASED), "no behaviour"
    assert [change["sequence"] for change in published(world, CHANGES) if not change["current"]]


def vars_of(world: World, partition: int) -> list[Any]:
    stored = world.store._partitions[partition]
    return [stored.states, stored.profiles, stored.outbox, stored.names, stored.erased]


async def test_the_others_do_not_notice(expected: Expected) -> None:
    """Byte for byte, and change for change, as in a run without erasures."""
    undisturbed = await undisturbed_outcome(LINES)

    def others(found: Outcome) -> list[dict[Any, Any]]:
        numbered = (found.changes, found.spikes)
        return [
            {a: state for a, state in found.states.items() if a not in ERASED},
            *({k: v for k, v in one.items() if k[0] not in ERASED} for one in numbered),
        ]

    assert others(expected.outcome) == others(undisturbed)


async def test_a_late_event_of_an_erased_account_begins_a_new_life() -> None:
    world, _ = await half_way()
    account = ERASED[0]
    world.produce(erasures([account]))
    await world.settle()
    last = remains(world)[digest_of(account)].sequence
    late = Line(VISITS, account.encode(), event(VISITS, account, START_US + HOUR, "late"))
    world.produce([late])
    await world.settle()
    *_, change = [c for c in published(world, CHANGES) if c["account_id"] == account]
    assert (change["reason"], change["previous"]) == ("first_seen", None)
    assert change["sequence"] == last + 1
    fresh = await World.create([late])
    await fresh.node().start()
    await fresh.settle()
    mine, new = (w.table.take(w.table.rows_of([account])) for w in (world, fresh))
    assert (mine["sequence"][0], new["sequence"][0]) == (last + 1, 1)
    for record in (mine, new):
        record["sequence"] = record["spikes"] = 0
    assert mine.tobytes() == new.tobytes()


async def test_the_counts_of_a_partition_are_the_same_after_a_restart() -> None:
    world, node = await half_way()
    world.produce([*erasures(), control("account.erase", "nobody")])
    await world.settle()
    world.produce(SECOND)
    await world.settle()
    before = counts(node)
    await node.stop()
    other = await world.node().start()
    await until(lambda: other.worker.ready and len(counts(other)) == PARTITIONS)
    assert counts(other) == before


def counts(node: Node) -> dict[int, Any]:
    """What displays show of each partition, without when it was counted."""
    found = {p: part.summary for p, part in node.worker._partitions.items() if part.ready}
    return {p: msgspec.structs.replace(one, updated_us=0) for p, one in found.items()}


async def test_a_contact_given_by_its_address_is_forgotten() -> None:
    address = "somebody@example.com"
    lines = [
        Line(VISITS, b"acme", event(VISITS, "acme", START_US + i * HOUR, f"e-{i}", contact_id=who))
        for i, who in enumerate([address, "c-1"])
    ]
    world = await World.create(lines)
    node = await world.node().start()
    await world.settle()
    assert (world.table.live["contacts"] > 0).sum() == 2
    for given in (address, Pseudonyms()(address)):
        world.produce([control("contact.erase", "acme", contact_id=given)])
        await world.settle()
        assert (world.table.live["contacts"] > 0).sum() == 1
    assert node.count("controls_total", kind="contact.erase") == 2
    stated = json.loads(last_stated(world)["acme"] or b"")
    assert stated["features"]["contacts_28d"] < 1.5


# Requests that go astray


def wrong_key_for(account: str) -> bytes:
    home = partition_of(account.encode(), PARTITIONS)
    return next(key for i in range(99) if partition_of(key := b"key-%d" % i, PARTITIONS) != home)


async def test_a_request_with_another_key_reaches_its_account(expected: Expected) -> None:
    world, node = await half_way()
    world.produce([control("account.erase", a, key=wrong_key_for(a)) for a in ERASED])
    await world.settle()
    passed_on = world.read(CONTROL)
    assert len(passed_on) == 2 * len(ERASED)
    assert node.count("forwarded_total") >= len(ERASED)
    assert node.count("controls_total", kind="account.erase") == len(ERASED)
    await rest(world)
    check(world, expected)


async def test_an_address_is_hashed_before_it_is_passed_on() -> None:
    world = await World.create()
    key = wrong_key_for("acme")
    world.produce([control("contact.erase", "acme", key=key, contact_id="a@example.com")])
    await world.node().start()
    await world.settle()
    _, passed_on = sorted(world.read(CONTROL), key=lambda record: record.key == b"acme")
    assert json.loads(passed_on.value or b"")["contact_id"] == Pseudonyms()("a@example.com")


async def test_a_request_that_is_passed_on_twice_is_carried_out_once() -> None:
    world, node = await half_way()
    await node.stop()
    account = ERASED[0]
    world.produce([control("account.erase", account, key=wrong_key_for(account))])
    victim = world.node()
    publish = victim.calls.stop("publish", after=True)
    victim.begin()
    await publish.reached.wait()
    victim.kill()
    other = await world.node().start()
    await world.settle()
    assert len(world.read(CONTROL)) == 3
    assert other.count("controls_total", kind="account.erase") == 1
    assert other.count("duplicates_total") == 1
    erased = [c for c in published(world, CHANGES) if c["reason"] == "erased"]
    assert [change["account_id"] for change in erased] == [account]


async def test_what_is_no_control_event_is_a_dead_letter() -> None:
    world = await World.create()
    visit = event(VISITS, "acme", START_US, "e")
    values = {
        b"no json": "not_json",
        visit: "unknown_type",
        b'{"type": "website.visit", ' + visit[1:]: "unknown_type",
        json.dumps({"type": "account.erase", "id": "e", "occurred_at": NOW}).encode(): "no_account",
    }
    world.produce([Line(CONTROL, b"acme", value) for value in values])
    node = await world.node().start()
    await world.settle()
    letters = world.read(topics.DEAD_LETTERS.name)
    assert {r.value: dict(r.headers)["ce_reason"].decode() for r in letters} == values
    assert node.count("controls_total", kind="account.erase") == 0


async def test_who_may_only_send_events_cannot_erase() -> None:
    world = await World.create(FIRST)
    line = control("account.erase", ERASED[0])
    world.produce([Line(VISITS, line.key, line.value), Line("engagement", line.key, line.value)])
    await world.node().start()
    await world.settle()
    assert ERASED[0] in outcome(world).states
    letters = world.read(topics.DEAD_LETTERS.name)
    found = [dict(r.headers)["ce_reason"] for r in letters if r.value == line.value]
    assert found == [b"unknown_type"] * 2


# Trouble around an erasure


@pytest.mark.parametrize("call", range(1, 30, 2))
@pytest.mark.parametrize("happens", [Node.kill, Node.freeze], ids=["killed", "frozen"])
async def test_killed_or_frozen_at_any_call_around_an_erasure(
    expected: Expected, happens: Callable[[Node], None], call: int
) -> None:
    world, node = await half_way()
    happened = asyncio.Event()
    node.calls.at_call(node.calls.made.total() + call, lambda: (happens(node), happened.set())[0])
    world.produce(erasures())
    await happened.wait()
    await world.node().start()
    await world.settle()
    if happens is Node.freeze:
        await node.thaw()
    await rest(world)
    assert outcome(world) == expected.outcome
    assert numbers(world) == expected.remains


async def test_a_zombie_does_not_bring_an_erased_account_back(expected: Expected) -> None:
    """It was about to commit a step of the account when it was frozen."""
    world, zombie = await half_way()
    account = next(a for a in ERASED if a in outcome(world).states)
    commit = zombie.calls.stop("commit")
    line = Line(VISITS, account.encode(), event(VISITS, account, START_US + 9 * DAY, "more"))
    world.produce([line])
    await commit.reached.wait()
    zombie.freeze()
    await world.node().start()
    await world.settle()
    world.produce(erasures([account]))
    await world.settle()
    before = [vars_of(world, p)[:2] for p in range(PARTITIONS)]
    assert account not in outcome(world).states
    commit.released.set()
    await zombie.thaw()
    assert zombie.count("partition_losses_total", cause="Fenced") >= 1
    await world.settle()
    assert [vars_of(world, p)[:2] for p in range(PARTITIONS)] == before


@pytest.mark.parametrize("applied", ["yes", "no", "later"])
async def test_no_answer_to_the_commit_of_an_erasure(expected: Expected, applied: Applied) -> None:
    world, node = await half_way()
    node.calls.fail("commit", OutcomeUnknown("no answer"), applied, times=2)
    world.produce(erasures())
    await rest(world)
    check(world, expected)


@pytest.mark.parametrize("erased_before", [True, False])
async def test_redis_is_set_back(expected: Expected, erased_before: bool) -> None:
    """To a copy from before the erasures they are carried out again, to one from after it nothing
    comes back; with the same ids either way."""
    world, node = await half_way()
    copy = world.copy_of_store()
    world.produce(erasures())
    await world.settle()
    if erased_before:
        copy = world.copy_of_store()
        world.produce(SECOND)
        await world.settle()
    await node.stop()
    world.restore(copy)
    await world.node().start()
    if erased_before:
        await world.finish()
    else:
        await rest(world)
    check(world, expected)


async def test_an_erasure_waits_while_kafka_takes_nothing_and_is_done_after() -> None:
    """So nothing of the account is in the outbox when its erasure is committed, and nothing of it
    is published afterwards."""
    world = await World.create(FIRST)
    node = world.node()
    node.calls.fail("publish", Unavailable("away"), times=1_000_000)
    await node.start()
    await until(lambda: not world.unread)
    world.produce(erasures())
    await asyncio.sleep(120.0)
    assert world.unread == len(ERASED), "the erasures wait"
    assert world.outbox
    assert not any(commit.removed for commit in node.calls.commits)
    node.calls._plans["publish"].clear()
    held = node.calls.stop("commit", after=True, times=PARTITIONS)
    erasing = {partition_of(account.encode(), PARTITIONS) for account in ERASED}
    await until(lambda: sum(bool(c.removed) for c in node.calls.commits) == len(erasing))
    for partition in erasing:
        entries = world.store._partitions[partition].outbox
        messages = [msgspec.msgpack.decode(entry, type=Message) for entry in entries]
        bodies = [json.loads(message.value or b"null") for message in messages]
        assert bodies
        assert all(body is None or body["reason"] == "erased" for body in bodies)
    held.released.set()
    await world.settle()
    ends = {change["account_id"]: change["reason"] for change in published(world, CHANGES)}
    stated = last_stated(world)
    for account in set(ERASED) - {"account-7", "account-23"}:  # what is passed on comes too late
        assert (ends[account], stated[account]) == ("erased", None)
        assert account not in outcome(world).states


async def test_erasing_while_silence_moves_the_others(expected: Expected) -> None:
    """Rows move while checks are due and a sweep takes a few accounts at a time."""
    settings = World().settings
    worker = settings.worker.model_copy(update={"sweep_accounts": 3})
    world = await World.create(LINES, settings=settings.model_copy(update={"worker": worker}))
    await world.node().start()
    await world.settle()
    world.clock.advance(400 * DAY)
    for account in ERASED:
        world.produce(erasures([account]))
        await asyncio.sleep(0.5)
    await world.finish()
    found = outcome(world)
    undisturbed = await undisturbed_outcome(LINES)
    assert set(found.states) == set(undisturbed.states) - set(ERASED)
    assert found.states == {a: undisturbed.states[a] for a in found.states}
    for key, change in undisturbed.changes.items():
        assert key[0] in ERASED or found.changes[key] == change
