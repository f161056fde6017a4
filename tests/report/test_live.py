"""What is live, read from a log and a store in memory. On real ones: tests/cli/test_report.py."""

from __future__ import annotations

import msgspec
import pytest

from stream_app.changes.accounts import account_at
from stream_app.errors import SnapshotRefused
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import DAY
from stream_app.features.table import records_of
from stream_app.report import live
from stream_app.report.figures import figures_of
from stream_app.report.live import read_live
from stream_app.report.material import Material
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot, write_snapshot
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryBroker, MemoryRecord
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit, Message
from stream_app.streams.processor import Pipeline, Processor
from tests.dlq.letters import refused
from tests.engine.scenario import QUIET_OR_BUSY
from tests.features.build import START_US, event
from tests.models import save_model
from tests.replay.runs import line

PARTITIONS = 2
NOW_US = START_US + 10 * DAY
VISITS = topics.WEBSITE_VISITS.name
CHANGES, SPIKES = topics.SEGMENT_CHANGES.name, topics.INTENT_SPIKES.name
ACCOUNTS = [f"account-{n}" for n in range(30)]
MESSAGES = Messages("", Pseudonyms())


class Deployment:
    """A store and a log with what a worker left there."""

    def __init__(self) -> None:
        self.broker, self.store = MemoryBroker(), MemoryStore()
        for topic in topics.TOPICS:
            self.broker.create_topic(topic.name, 1 if topic.partitions == 1 else PARTITIONS)

    def publish(self, *messages: Message) -> None:
        for message in messages:
            self.broker.append(message.topic, message.key, message.value, message.headers)

    async def work(self, model: Snapshot | None = QUIET_OR_BUSY) -> None:
        """One visit of each account."""
        if model:
            await save_model(self.store, model.version, write_snapshot(model), b"")
            self.publish(MESSAGES.model(model))
        for partition in range(PARTITIONS):
            mine = [a for a in ACCOUNTS if partition_of(a.encode(), PARTITIONS) == partition]
            values = [line(event(account=account)) for account in mine]
            records = [
                MemoryRecord(VISITS, partition, n, 0, account.encode(), value)
                for n, (account, value) in enumerate(zip(mine, values, strict=True))
            ]
            assigner = Assigner(model, Hysteresis(0.2)) if model else None
            work = Processor(Pipeline(Settings()), partition, PARTITIONS).process(
                records, assigner, START_US
            )
            at = (await self.store.claim(partition, "owner")).position
            commit = Commit(
                at, work.offsets, 0, 0, states=work.states, names=work.names, summary=work.summary
            )
            await self.store.commit(partition, commit)
            self.publish(*work.outbox)

    async def read(self) -> Material:
        reader = MemoryReader(self.broker)
        return await read_live(self.store, reader, Settings(), PARTITIONS, NOW_US)


async def test_what_a_worker_left_is_found() -> None:
    deployment = Deployment()
    await deployment.work()
    deployment.publish(refused(3, b"broken"), refused(4, b"broken"))
    found = await deployment.read()
    assert (found.events, sum(found.sizes.values())) == (30, 30)
    assert sorted(one.account_id for one in found.accounts) == sorted(ACCOUNTS)
    assert {one.as_of for one in found.accounts} == {"2025-01-16T00:00:00Z"}
    assert found.accounts[0].features["silence_days"] == 10.0
    assert len(found.changes) == 30
    assert found.models == (QUIET_OR_BUSY,)
    assert found.letters == {"too_large": 2}
    assert (found.changes_cut, found.letters_cut, found.unreadable) == (False, False, 0)


async def test_an_account_stands_where_the_command_account_puts_it() -> None:
    deployment = Deployment()
    await deployment.work()
    found = {one.account_id: one for one in (await deployment.read()).accounts}
    assigner, settings = Assigner(QUIET_OR_BUSY, Hysteresis(0.2)), Settings()
    for partition in range(PARTITIONS):
        names = await deployment.store.names(partition)
        async for chunk in deployment.store.load(partition):
            for account, state in chunk:
                record = records_of([account], [state])
                assert found.pop(account) == account_at(
                    account, record, assigner, names, NOW_US, settings.scores
                )
    assert not found


async def test_before_there_is_a_model() -> None:
    deployment = Deployment()
    await deployment.work(model=None)
    figures = figures_of(await deployment.read())
    assert [(row.id, row.accounts) for row in figures.segments] == [(0, 30)]
    assert (figures.model_version, figures.map) == (0, None)


async def test_a_deployment_without_accounts() -> None:
    figures = figures_of(await Deployment().read())
    assert (figures.totals.accounts, figures.totals.events) == (0, 0)


async def test_only_the_newest_is_read_of_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_CHANGES", 6)
    monkeypatch.setattr(live, "MAX_ACCOUNTS", 8)
    monkeypatch.setattr(live, "MAX_LETTERS", 2)
    deployment = Deployment()
    await deployment.work()
    deployment.publish(*(refused(n, b"broken") for n in range(5)))
    found = await deployment.read()
    assert (len(found.changes), found.changes_cut) == (6, True)
    assert (len(found.accounts), sum(found.sizes.values())) == (8, 30)
    assert (found.letters.get("too_large"), found.letters_cut) == (1, True)
    newest = deployment.broker.read(CHANGES, 0)[-1].key
    assert newest is not None
    assert newest.decode() in {change.account for change in found.changes}


async def test_what_retention_removed_is_known_to_be_missing() -> None:
    deployment = Deployment()
    await deployment.work()
    deployment.broker.delete_records(CHANGES, 0, 1)
    assert (await deployment.read()).changes_cut


async def test_records_of_others_are_counted_and_passed_over() -> None:
    deployment = Deployment()
    await deployment.work()
    deployment.publish(
        Message(CHANGES, b"x", b"{]"),
        Message(CHANGES, b"x", None),
        Message(SPIKES, b"x", b'{"account_id": "\xff"}'),
        Message(topics.SEGMENT_MODELS.name, b"model", b"no snapshot, and no header says so"),
        Message(topics.DEAD_LETTERS.name, b"x", b"no letter"),
    )
    found = await deployment.read()
    assert (found.unreadable, len(found.changes), len(found.models)) == (3, 30, 1)
    assert not found.letters


async def test_versions_are_those_that_the_one_in_use_was_made_from() -> None:
    def version(number: int, parent: int, **fields: str) -> Snapshot:
        return msgspec.structs.replace(QUIET_OR_BUSY, version=number, parent=parent, **fields)

    versions = {n: version(n, parent) for n, parent in ((2, 1), (3, 2), (4, 2), (5, 4), (6, 5))}
    deployment = Deployment()
    deployment.publish(
        MESSAGES.model(version(1, 0, catalogue="of an older program")),
        *map(MESSAGES.model, [*versions.values(), versions[4]]),
        MESSAGES.model(version(7, 6)),
    )
    for number in range(1, 6):
        assert await save_model(deployment.store, number, b"")
    await deployment.work(versions[6])
    assert [model.version for model in (await deployment.read()).models] == [2, 4, 5, 6]
    # Redis was set back, and a number came twice: that a parent is newer cannot be.
    deployment.publish(MESSAGES.model(version(2, 6)))
    assert [model.version for model in (await deployment.read()).models] == [2, 4, 5, 6]


async def test_a_model_of_other_features_is_refused() -> None:
    deployment = Deployment()
    model = msgspec.structs.replace(QUIET_OR_BUSY, catalogue="another")
    await save_model(deployment.store, 1, write_snapshot(model), b"")
    with pytest.raises(SnapshotRefused, match="another"):
        await deployment.read()
