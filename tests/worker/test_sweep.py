"""Time alone moves accounts: when, as of when, and how many at once."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from stream_app.events.instants import DAY, parse, to_rfc3339
from stream_app.streams import topics
from stream_app.streams.partitioning import partition_of
from tests.worker.outcome import outcome, published, undisturbed_outcome
from tests.worker.scenario import DAYS, DOWNLOADS, EMAILS, START_US, VISITS, Line, event, scenario
from tests.worker.test_failures import well_keyed
from tests.worker.world import PARTITIONS, Node, World, until, with_worker

LIVE = with_worker(sweep_grace_seconds=60.0)
"""The sweep follows the clock at a minute's distance, as by default."""
END_US = START_US + DAYS * DAY
NOW = to_rfc3339(END_US)


def one_visit_each(accounts: int, at_us: int = END_US, name: str = "acme") -> list[Line]:
    return [
        Line(VISITS, account.encode(), event(VISITS, account, at_us, f"{account}-{at_us}"))
        for account in (f"{name}-{i}" for i in range(accounts))
    ]


def gone_quiet(world: World) -> list[str]:
    """Accounts by their changes with the reason `inactivity`."""
    changes = published(world, topics.SEGMENT_CHANGES.name)
    return [change["account_id"] for change in changes if change["reason"] == "inactivity"]


async def test_silence_moves_an_account_that_has_no_more_events() -> None:
    world = await World.create(one_visit_each(1), settings=LIVE)
    await world.node().start()
    await world.settle()
    assert gone_quiet(world) == []
    world.clock.advance(60 * DAY)
    await until(lambda: gone_quiet(world) == ["acme-0"])
    (change,) = [c for c in outcome(world).changes.values() if c["reason"] == "inactivity"]
    assert END_US < parse(change["occurred_at"]) < END_US + 60 * DAY, "as of when it fell due"


async def test_silence_moves_accounts_after_a_restart() -> None:
    world = await World.create(one_visit_each(8), settings=LIVE)
    first = await world.node().start()
    await world.settle()
    await first.stop()
    world.clock.advance(60 * DAY)
    await world.node().start()
    await until(lambda: len(gone_quiet(world)) == 8)


@pytest.mark.parametrize("topic", [None, VISITS, EMAILS, DOWNLOADS])
async def test_a_backlog_does_not_look_like_silence(topic: str | None) -> None:
    """While two weeks of events are read, the clock stands at their end. The outcome is the same
    as if the sweep had waited until everything was read, also when one topic is read later."""
    lines = [line for line in scenario() if well_keyed(line)]
    expected = await undisturbed_outcome(lines)
    first = [line for line in lines if line.topic != topic]
    later = [line for line in lines if line.topic == topic]
    world = await World.create(first, settings=with_worker(LIVE, max_batch=3, sweep_seconds=0.01))
    node = world.node()
    node.calls.slow("commit", 0.015)
    held = await node.start_and_hold("commit", 0)
    world.produce(later)
    held.released.set()
    await world.finish()
    assert node.calls.made["end_offsets"] > 20
    assert outcome(world) == expected


async def test_a_portion_has_a_limited_number_of_accounts() -> None:
    world = await World.create(one_visit_each(60), settings=with_worker(LIVE, sweep_accounts=4))
    node = await world.node().start()
    await asyncio.sleep(30.0)
    before = len(node.calls.commits)
    world.clock.advance(60 * DAY)
    await until(lambda: len(gone_quiet(world)) == 60)
    sweeps = node.calls.commits[before:]
    assert max(len(commit.states) for commit in sweeps) == 4


async def test_events_are_applied_between_portions() -> None:
    world = await World.create(one_visit_each(60), settings=with_worker(LIVE, sweep_accounts=1))
    node = await world.node().start()
    await asyncio.sleep(100.0)
    node.calls.slow("commit", 0.1)
    world.clock.advance(60 * DAY)
    await until(lambda: len(gone_quiet(world)) > 4)
    world.produce(one_visit_each(60, END_US + 59 * DAY, "globex"))
    await until(lambda: len(world.table) == 120)
    assert len(gone_quiet(world)) < 60


async def test_portions_do_not_keep_an_erasure_waiting() -> None:
    """It waits for an empty outbox, which each portion fills again."""
    home = partition_of(b"acme-7", PARTITIONS)
    lines = [line for line in one_visit_each(400) if partition_of(line.key, PARTITIONS) == home]
    world = await World.create(lines, settings=with_worker(LIVE, sweep_accounts=1))
    node = await world.node().start()
    await asyncio.sleep(100.0)
    a_portion_takes(node, 0.005)
    node.calls.slow("publish", 0.1)
    world.clock.advance(60 * DAY)
    before = len(node.calls.commits)
    await until(lambda: len(node.calls.commits) > before + 3)
    before = len(node.calls.commits)
    request = {"id": "e", "type": "account.erase", "account_id": "acme-7", "occurred_at": NOW}
    world.produce([Line(topics.ACCOUNT_CONTROL.name, b"acme-7", json.dumps(request).encode())])
    await until(lambda: "acme-7" not in world.states)
    assert len(node.calls.commits) < before + 20 < before + len(lines) / 2


async def test_after_a_portion_the_worker_rests_four_times_as_long() -> None:
    """With a fifth of its time for them. The rest is the whole worker's, not each partition's."""
    world = await World.create(one_visit_each(60), settings=with_worker(LIVE, sweep_accounts=1))
    node = await world.node().start()
    await asyncio.sleep(100.0)
    a_portion_takes(node, 0.5)
    world.clock.advance(60 * DAY)
    began = world.clock.monotonic()
    await until(lambda: len(gone_quiet(world)) > 10)
    assert 10 * 4 * 0.5 <= world.clock.monotonic() - began < 12 * 4 * 0.5


def a_portion_takes(node: Node, seconds: float) -> None:
    """Virtual time passes only where something is waited for."""
    pace = node.worker._context.pace  # type: ignore[union-attr]
    took = pace.took
    pace.took = lambda accounts, _: took(accounts, seconds)  # type: ignore[method-assign]


async def test_silence_waits_while_the_outbox_is_full() -> None:
    settings = with_worker(LIVE, outbox_limit=4, sweep_accounts=1)
    world = await World.create(one_visit_each(60), settings=settings)
    node = await world.node().start()
    await asyncio.sleep(100.0)
    publish = node.calls.stop("publish", times=PARTITIONS)
    world.clock.advance(60 * DAY)
    await publish.reached.wait()
    await asyncio.sleep(30.0)
    assert 4 * PARTITIONS <= len(world.outbox) <= 6 * PARTITIONS
    publish.released.set()
    await until(lambda: len(gone_quiet(world)) == 60)


async def test_topics_that_were_never_read_do_not_hold_time_up() -> None:
    """Retention has removed all their records: there is nothing to wait for."""
    world = await World.create(one_visit_each(4), settings=LIVE)
    for p in range(PARTITIONS):
        for _ in range(10):
            world.broker.append(EMAILS, None, b"{}", partition=p)
        world.broker.delete_records(EMAILS, p, 10)
    await world.node().start()
    await until(lambda: len(world.table) == 4)
    world.clock.advance(60 * DAY)
    await until(lambda: len(gone_quiet(world)) == 4)


async def test_records_that_retention_removed_are_counted_and_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = one_visit_each(1)
    world = await World.create(lines * 5)
    first = await world.node().start()
    await world.settle()
    await first.stop()
    (home,) = [p for p, topic in world.positions if topic == VISITS]
    world.produce(lines * 20)
    world.broker.delete_records(VISITS, home, 12)
    with caplog.at_level(logging.ERROR):
        second = await world.node().start()
        await world.settle()
    assert second.count("offset_gaps_total") == 7
    assert f"partition {home}: retention removed 7 unread records of website-visits" in caplog.text
    assert second.count("records_total", topic=VISITS) == 13
