"""What is published compared with what is stored, while workers run and after accidents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from stream_app.errors import Incompatible, Unavailable
from stream_app.events.control import EraseAccount
from stream_app.events.decode import Pseudonyms
from stream_app.features.table import digest_of
from stream_app.streams import topics
from stream_app.streams.comparing import Kind
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher, MemoryRecord
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import LogReader, StateStore
from stream_app.streams.published import Published
from stream_app.streams.reconcile import Reconciler, Report
from tests.worker.scenario import scenario
from tests.worker.world import PARTITIONS, World

ACCOUNTS = topics.ACCOUNT_SEGMENTS.name
CHANGES = topics.SEGMENT_CHANGES.name
CONTROL = topics.ACCOUNT_CONTROL.name
GONE = "gone-for-good"
NOBODYS = b"\xff"
"""A key that no worker writes."""


def reconciler(
    world: World,
    store: StateStore | None = None,
    reader: LogReader | None = None,
    limit: int = 1_000,
) -> Reconciler:
    return Reconciler(
        store or world.store,
        reader or MemoryReader(world.broker),
        MemoryPublisher(world.broker),
        Messages("", Pseudonyms()),
        world.clock,
        topic_prefix="",
        partitions=PARTITIONS,
        patience_seconds=5.0,
        limit=limit,
    )


async def compared(world: World, **options: Any) -> Report:
    return await reconciler(world, **options).run()


def found(report: Report) -> dict[tuple[str, str], tuple[Kind, int | None, int | None]]:
    return {(d.account, d.topic): (d.kind, d.stored, d.published) for d in report.differences}


def newest(world: World) -> dict[str, MemoryRecord]:
    """The last record of each account on account-segments."""
    records = {
        record.key.decode(): record
        for record in world.read(ACCOUNTS)
        if record.key and record.key != NOBODYS
    }
    return {account: record for account, record in records.items() if record.value}


def sequence(record: MemoryRecord) -> int:
    number: int = json.loads(record.value or b"")["sequence"]
    return number


def restless(world: World) -> str:
    """An account that has moved a few times."""
    return max(newest(world), key=lambda account: (sequence(newest(world)[account]), account))


def lose(world: World, account: str, number: int) -> None:
    """As if a change had never reached Kafka."""
    records = world.broker.source(CHANGES, partition_of(account.encode(), PARTITIONS)).records
    for i, record in enumerate(records):
        if record.key == account.encode() and sequence(record) == number:
            records[i] = msgspec.structs.replace(record, key=None)


@pytest.fixture
async def done(world: World) -> World:
    """The scenario, applied and published by a worker that still runs."""
    await world.node().start()
    await world.settle()
    return world


async def test_nothing_differs_after_an_undisturbed_run(done: World) -> None:
    report = await compared(done)
    assert (report.clean, report.counts, report.undecided) == (True, {}, 0)
    assert report.accounts == report.records == len(done.table) > 20
    assert report.changes == len(done.read(CHANGES)) > 100


async def test_an_older_record_that_a_zombie_leaves_last(world: World) -> None:
    zombie = world.node()
    publish = await zombie.start_and_hold("publish", 1)
    zombie.freeze()
    await world.node().start()
    await world.settle()
    publish.released.set()
    await zombie.thaw()
    await world.settle()
    report = await compared(world)
    assert report.counts[ACCOUNTS, Kind.STALE] > 0
    assert {topic for topic, _ in report.counts} == {ACCOUNTS}
    assert not report.clean
    number = len(report.differences)
    repaired = await reconciler(world).run(repair=True)
    assert (repaired.clean, repaired.repaired) == (True, number)
    assert (await compared(world)).clean
    standing = {account: sequence(record) for account, record in newest(world).items()}
    table = world.table
    assert standing == dict(zip(table.all_ids(), table.live["sequence"].tolist(), strict=True))


async def test_each_kind_of_wrong_record_is_named_and_repaired(done: World) -> None:
    last = newest(done)
    older, other, without, ahead, broken = sorted(last, key=lambda a: (-sequence(last[a]), a))[:5]
    value = json.loads(last[other].value or b"")

    def put(account: str, **fields: Any) -> None:
        body = json.loads(last[account].value or b"") | fields
        done.broker.append(ACCOUNTS, account.encode(), json.dumps(body).encode())

    put(older, sequence=1)
    put(other, since="2020-01-01T00:00:00Z")
    put(ahead, sequence=99)
    done.broker.append(ACCOUNTS, without.encode(), None)
    done.broker.append(ACCOUNTS, broken.encode(), b"{]")
    done.broker.append(ACCOUNTS, GONE.encode(), json.dumps(value).encode())
    done.broker.append(ACCOUNTS, NOBODYS, b"nobody's")
    done.broker.append(ACCOUNTS, None, b"nobody's")
    report = await compared(done)
    assert found(report) == {
        (older, ACCOUNTS): (Kind.STALE, sequence(last[older]), 1),
        (other, ACCOUNTS): (Kind.DIFFERS, sequence(last[other]), sequence(last[other])),
        (without, ACCOUNTS): (Kind.MISSING, sequence(last[without]), None),
        (ahead, ACCOUNTS): (Kind.AHEAD, sequence(last[ahead]), 99),
        (broken, ACCOUNTS): (Kind.STALE, sequence(last[broken]), None),
        (GONE, ACCOUNTS): (Kind.GHOST, None, sequence(last[other])),
    }
    assert len((await compared(done, limit=2)).differences) == 2
    assert (await compared(done, limit=2)).counts.total() == 6
    before = len(done.read(CHANGES))
    repaired = await reconciler(done).run(repair=True)
    assert (repaired.clean, repaired.repaired) == (True, 6)
    assert GONE not in newest(done)
    assert len(done.read(CHANGES)) == before, "nothing was decided"
    assert (await compared(done)).clean


async def test_changes_that_never_arrived_are_gaps_and_stay_so(done: World) -> None:
    account = restless(done)
    highest = sequence(newest(done)[account])
    assert highest >= 5
    lose(done, account, 1)
    lose(done, account, 3)
    lose(done, account, highest)
    partition = partition_of(account.encode(), PARTITIONS)
    others = [a for a in newest(done) if partition_of(a.encode(), PARTITIONS) == partition]
    done.broker.append(ACCOUNTS, next(a for a in others if a != account).encode(), None)
    report = await reconciler(done).run(repair=True)
    assert (report.repaired, len(report.differences)) == (1, 1)
    for repair in (False, True):
        report = await reconciler(done).run(repair=repair)
        assert report.repaired == 0
        (difference,) = report.differences
        assert (difference.topic, difference.kind, difference.account) == (
            (CHANGES, Kind.GAP, account)
        )
        assert difference.missing == ((1, 1), (3, 3), (highest, highest))
        assert (difference.stored, difference.published) == (highest, highest - 1)
        assert not report.clean


async def test_what_retention_has_removed_is_no_gap(done: World) -> None:
    account = restless(done)
    partition = partition_of(account.encode(), PARTITIONS)
    done.broker.delete_records(CHANGES, partition, done.broker.source(CHANGES, partition).end // 2)
    assert (await compared(done)).clean
    done.broker.delete_records(CHANGES, partition, done.broker.source(CHANGES, partition).end)
    assert (await compared(done)).clean


async def test_a_topic_that_was_made_anew_lacks_everything(done: World) -> None:
    for partition in range(PARTITIONS):
        done.broker.source(CHANGES, partition).records.clear()
    report = await compared(done)
    assert report.counts == {(CHANGES, Kind.GAP): len(done.table)}


async def test_a_change_that_leads_elsewhere_than_the_state(done: World) -> None:
    account = restless(done)
    records = done.broker.source(CHANGES, partition_of(account.encode(), PARTITIONS)).records
    number = sequence(newest(done)[account])
    for i, record in enumerate(records):
        if record.key == account.encode() and sequence(record) == number:
            body = json.loads(record.value or b"")
            body["current"]["id"] += 1_000
            value = json.dumps(body).encode()
            records[i] = msgspec.structs.replace(record, value=value)
    assert found(await compared(done)) == {(account, CHANGES): (Kind.DIFFERS, number, number)}


async def test_redis_that_was_set_back_is_behind_until_workers_have_caught_up(
    world: World,
) -> None:
    node = await world.node().start()
    lines = scenario()
    await world.settle()
    early = world.copy_of_store()
    world.clock.advance(1)
    world.produce(lines_of_later(lines))
    await world.settle()
    await node.stop()
    world.restore(early)
    report = await compared(world)
    kinds = {kind for _, kind in report.counts}
    assert kinds == {Kind.AHEAD, Kind.GHOST}
    assert {(t, k) for t, k in report.counts} >= {(CHANGES, Kind.AHEAD), (ACCOUNTS, Kind.GHOST)}
    with pytest.raises(Unavailable, match="no worker has taken"):
        await reconciler(world).run(repair=True)
    await world.node().start()
    await world.settle()
    assert (await compared(world)).clean


def lines_of_later(lines: list[Any]) -> list[Any]:
    """The same once more, for accounts that are new."""
    return [
        type(line)(
            line.topic,
            (line.key or b"").replace(b"account-", b"later-"),
            (line.value or b"").replace(b"account-", b"later-").replace(b'"e-', b'"l-'),
            line.headers,
        )
        for line in lines
    ]


async def test_what_waits_in_the_outbox_is_waited_for(world: World) -> None:
    node = world.node()
    publish = await node.start_and_hold("publish", 3)
    report = await compared(world)
    assert report.waiting
    assert not report.clean
    assert report.undecided > 0
    assert report.differences == [], "nothing is certain before it is published"
    publish.released.set()
    await world.settle()
    assert (await compared(world)).clean


async def test_a_state_that_cannot_be_read_is_named_and_left_alone(done: World) -> None:
    account, other = sorted(newest(done))[:2]
    partition = partition_of(account.encode(), PARTITIONS)
    states = done.store._partitions[partition].states
    good, states[account] = states[account], b"xx"
    done.broker.append(ACCOUNTS, other.encode(), None)
    report = await compared(done)
    number = sequence(newest(done)[account])
    assert found(report)[account, ACCOUNTS] == (Kind.UNREADABLE, None, number)
    assert found(report)[other, ACCOUNTS][0] is Kind.MISSING, "the others are compared as ever"
    repaired = await reconciler(done).run(repair=True)
    assert (repaired.repaired, repaired.counts) == (1, {(ACCOUNTS, Kind.UNREADABLE): 1})
    assert states[account] == b"xx"
    states[account] = good
    assert (await compared(done)).clean


async def test_a_state_that_was_removed_by_hand_is_still_in_its_owners_memory(
    world: World,
) -> None:
    node = await world.node().start()
    await world.settle()
    account = restless(world)
    partition = partition_of(account.encode(), PARTITIONS)
    assert (await reconciler(world).run(repair=True)).unrepaired == {}
    stored = world.store._partitions[partition]
    del stored.states[account], stored.profiles[account]
    assert (await compared(world)).unrepaired == {}, "nothing was asked for yet"
    report = await reconciler(world).run(repair=True)
    assert report.counts == {(ACCOUNTS, Kind.GHOST): 1, (CHANGES, Kind.AHEAD): 1}
    assert (report.repaired, report.unrepaired) == (0, {partition: 1})
    await node.stop()
    await world.node().start()
    report = await reconciler(world).run(repair=True)
    assert (report.repaired, report.unrepaired) == (1, {})
    assert report.counts == {(CHANGES, Kind.AHEAD): 1}


async def test_remains_of_an_erased_account_that_cannot_be_read(done: World) -> None:
    account = restless(done)
    last = newest(done)[account]
    await erased(done, account)
    partition = partition_of(account.encode(), PARTITIONS)
    done.store._partitions[partition].erased[digest_of(account)] = b"{]"
    done.broker.append(ACCOUNTS, account.encode(), last.value)
    report = await compared(done)
    assert found(report) == {(account, ACCOUNTS): (Kind.UNREADABLE, None, sequence(last))}


async def test_a_worker_that_finds_such_a_state_names_account_and_partition(world: World) -> None:
    partition = partition_of(b"acme", PARTITIONS)
    world.store._partitions[partition].states["acme"] = b"xx"
    node = await world.node().start()
    assert node.running is not None
    with pytest.raises(Incompatible, match=f"^partition {partition}: .*'acme' has 2 bytes"):
        await node.running


class SlowReader(MemoryReader):
    """Workers go on while it reads."""

    async def stretches(self, topic: str, since_us: int | None = None) -> dict[int, range]:
        found = await super().stretches(topic, since_us)
        await asyncio.sleep(0.1)
        return found


async def test_while_workers_run_nothing_is_reported_that_is_only_late(world: World) -> None:
    await world.node().start()
    looks = candidates = 0
    while world.unread:
        slow = reconciler(world, reader=SlowReader(world.broker))
        decide = slow._decide

        async def counted(*args: Any, decide: Any = decide) -> Any:
            nonlocal candidates
            candidates += len(args[2])
            return await decide(*args)

        slow._decide = counted  # type: ignore[method-assign]
        report = await slow.run()
        assert (report.counts, report.waiting) == ({}, {})
        looks += 1
    assert looks > 0
    assert candidates > 0, "at first sight something differed"
    await world.settle()
    assert (await compared(world)).clean


class Moving(MemoryStore):
    """An account in it is never the same twice."""

    account_id = ""
    looks = 0

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        state, profile = await super().account(partition, account_id)
        if account_id == self.account_id and profile:
            self.looks += 1
            profile += b" " * (self.looks % 2)
        return state, profile


async def test_an_account_that_never_stands_still_is_undecided(done: World) -> None:
    account = restless(done)
    store = Moving()
    vars(store).update(vars(done.store))
    assert (await compared(done, store=store)).clean
    store.account_id = account
    done.broker.append(ACCOUNTS, account.encode(), None)
    report = await compared(done, store=store)
    assert (report.undecided, report.counts, report.clean) == (1, {}, False)


class Repeating(MemoryStore):
    """Gives accounts more than once, as a scan of Redis may."""

    async def load(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        for _ in range(2):
            async for chunk in super().load(partition):
                yield chunk


async def test_an_account_that_a_scan_gives_twice_counts_once(done: World) -> None:
    store = Repeating()
    vars(store).update(vars(done.store))
    report = await compared(done, store=store)
    assert (report.clean, report.accounts) == (True, len(done.table))


async def erased(world: World, account: str) -> None:
    event = EraseAccount(
        id="c-1", occurred_at=datetime(2026, 2, 16, tzinfo=UTC), account_id=account
    )
    await MemoryPublisher(world.broker).publish([Messages("", Pseudonyms()).redirect(event)])
    await world.settle()
    assert world.table.row_of(account) is None


async def test_an_erased_account_is_no_difference(done: World) -> None:
    account = restless(done)
    last = newest(done)[account]
    await erased(done, account)
    assert (await compared(done)).clean
    done.broker.append(ACCOUNTS, account.encode(), last.value)
    assert found(await compared(done)) == {(account, ACCOUNTS): (Kind.GHOST, None, sequence(last))}
    assert (await reconciler(done).run(repair=True)).clean
    lose(done, account, sequence(last) + 1)
    (difference,) = (await compared(done)).differences
    assert difference.missing == ((sequence(last) + 1,) * 2,)


async def test_topics_with_other_numbers_of_partitions_than_the_state() -> None:
    broker = MemoryBroker()
    broker.create_topic(ACCOUNTS, 3)
    broker.create_topic(CHANGES, 5)
    accounts = [f"account-{n}" for n in range(40)]
    value = b'{"sequence":1,"segment":{"id":2},"since":"","current":{"id":2}}'
    for account in accounts:
        broker.append(ACCOUNTS, account.encode(), value)
        broker.append(CHANGES, account.encode(), value)
    for partition in range(PARTITIONS):
        published = Published(MemoryReader(broker), "", partition, PARTITIONS)
        for _ in range(2):
            await published.read_on()
            mine = {a for a in accounts if partition_of(a.encode(), PARTITIONS) == partition}
            assert published.seen.keys() == mine
            assert published.changes == len(mine)
            assert {(s.sequence, s.highest) for s in published.seen.values()} == {(1, 1)}


async def test_only_of_these_accounts() -> None:
    broker = MemoryBroker()
    broker.create_topic(ACCOUNTS, 1)
    broker.create_topic(CHANGES, 1)
    published = Published(MemoryReader(broker), "", 0, 1)
    await published.read_on()
    for account in (b"acme", b"globex"):
        broker.append(CHANGES, account, b'{"sequence":1,"current":{"id":2}}')
    await published.read_on(only={"acme"})
    assert published.seen.keys() == {"acme"}
