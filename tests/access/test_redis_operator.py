"""deploy/redis/users.acl: the user for `erase`, `reconcile`, `dlq`, `report` and `model` has what
it needs alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from redis import Redis

from stream_app.cli.stored import stored
from stream_app.errors import ConfigError
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import DAY
from stream_app.features.table import ACCOUNT, LAYOUT, states_of
from stream_app.report.live import read_live
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.clock import SystemClock
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.messages import Messages
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit
from stream_app.streams.reconcile import Reconciler
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.replay_marks import ReplayMarks
from tests.access.test_redis_users import REFUSED, commands, settings
from tests.models import save_model
from tests.services import Service
from tests.services.redis_users import OPERATOR, READER, as_user, install_users

PARTITIONS = 2
pytestmark = pytest.mark.integration


@pytest.fixture
def operator(own_redis: Service, admin: Redis) -> Iterator[str]:
    """Its name, on a Redis that knows no script yet. A test may take rights from it."""
    admin.script_flush()
    yield OPERATOR
    install_users(admin)


@pytest.fixture
def selectors(admin: Redis) -> None:
    if int(admin.info("server")["redis_version"].split(".")[0]) < 7:
        pytest.skip("Redis 6.2 has no selectors: there, what writes needs the workers' user")


async def filled(service: Service) -> None:
    """One account, as a worker leaves it."""
    store = RedisStore(settings(service))
    await store.register(PARTITIONS, LAYOUT)
    partition = partition_of(b"acme", PARTITIONS)
    at = (await store.claim(partition, "owner")).position
    (state,) = states_of(np.zeros(1, ACCOUNT))
    await store.commit(partition, Commit(at, {}, 0, 0, states=[("acme", state)]))
    await store.stop()


async def erase_and_reconcile(service: Service) -> None:
    """What these commands ask of Redis."""
    as_operator = settings(service, OPERATOR)
    async with stored(Settings(redis=as_operator)) as opened:
        assert await opened.erased("acme") is None
        assert await opened.offsets(0) == {}
        assert (await opened.account("acme")).account_id == "acme"
    broker, store = MemoryBroker(), RedisStore(as_operator)
    for topic in (topics.ACCOUNT_SEGMENTS, topics.SEGMENT_CHANGES):
        broker.create_topic(topic.name, PARTITIONS)
    try:
        report = await Reconciler(
            store,
            MemoryReader(broker),
            MemoryPublisher(broker),
            Messages("", Pseudonyms()),
            SystemClock(),
            topic_prefix="",
            partitions=PARTITIONS,
        ).run()
    finally:
        await store.stop()
    assert report.accounts == 1
    assert len(report.differences) == 1, "Kafka has nothing of it"


async def replay(service: Service) -> None:
    """What `dlq replay` asks of Redis besides."""
    marks = ReplayMarks(settings(service, OPERATOR))
    try:
        assert await marks.begin(["website-visits:1:2"], 1) == [True]
        await marks.finish(["website-visits:1:2"], 1)
        (mark,) = await marks.look(["website-visits:1:2"])
        assert mark is not None
        assert mark.sent
    finally:
        await marks.stop()


async def change_models(service: Service) -> None:
    """What `model` asks of Redis besides."""
    store = RedisStore(settings(service, OPERATOR))
    try:
        assert await save_model(store, 1, b"{}")
        assert await save_model(store, 2, b"{}", activate=False)
        assert await store.snapshot(2) == (2, b"{}")
    finally:
        await store.stop()


async def test_it_can_erase_and_reconcile(own_redis: Service, admin: Redis, operator: str) -> None:
    await filled(own_redis)
    admin.execute_command("ACL", "LOG", "RESET")
    await erase_and_reconcile(own_redis)
    assert admin.execute_command("ACL", "LOG") == []


@pytest.mark.usefixtures("operator")
async def test_it_can_make_reports(own_redis: Service) -> None:
    await filled(own_redis)
    broker, store = MemoryBroker(), RedisStore(settings(own_redis, OPERATOR))
    for topic in topics.TOPICS:
        broker.create_topic(topic.name, PARTITIONS)
    try:
        found = await read_live(store, MemoryReader(broker), Settings(), PARTITIONS, DAY)
    finally:
        await store.stop()
    assert [account.account_id for account in found.accounts] == ["acme"]


@pytest.mark.usefixtures("selectors", "operator")
async def test_it_can_replay(own_redis: Service) -> None:
    await replay(own_redis)


@pytest.mark.usefixtures("selectors", "operator")
async def test_it_can_change_models(own_redis: Service, admin: Redis) -> None:
    admin.execute_command("ACL", "LOG", "RESET")
    await change_models(own_redis)
    assert admin.execute_command("ACL", "LOG") == []


@pytest.mark.parametrize("command", commands(OPERATOR))
async def test_it_needs_each_of_its_commands(
    own_redis: Service, admin: Redis, operator: str, command: str
) -> None:
    await filled(own_redis)
    admin.script_flush()
    admin.execute_command("ACL", "SETUSER", operator, f"-{command}")
    with pytest.raises(ConfigError, match=REFUSED):
        await erase_and_reconcile(own_redis)


@pytest.mark.usefixtures("selectors")
async def test_it_needs_the_right_to_write_marks_and_models(
    own_redis: Service, admin: Redis, operator: str
) -> None:
    admin.execute_command("ACL", "SETUSER", operator, "clearselectors")
    with pytest.raises(ConfigError, match=REFUSED):
        await replay(own_redis)
    with pytest.raises(ConfigError, match=REFUSED):
        await change_models(own_redis)


@pytest.mark.parametrize("name", [OPERATOR, READER])
@pytest.mark.parametrize(
    "command",
    [
        "SET sa:{3}:meta x",
        "SET sa:deployment x",
        "SET sa:{model}:meta x",
        "SET sa:{model}:registry x",
        "HSET sa:{model}:meta trainer x",
        "EVAL return(redis.call('SET',KEYS[1],'x')) 1 sa:{3}:meta",
        "EVAL return(redis.call('SET','sa:deployment','x')) 0",
        "EVAL return(redis.call('HSET',KEYS[1],'a','b')) 1 sa:{3}:state",
        "HSET sa:{3}:state a b",
        "HDEL sa:{3}:state a",
        "RPUSH sa:{3}:outbox x",
        "LTRIM sa:{3}:outbox 1 0",
        "DEL sa:{dlq}:website-visits:1:2",
    ],
)
def test_it_cannot_change_state(
    own_redis: Service, admin: Redis, operator: str, name: str, command: str
) -> None:
    with (
        Redis.from_url(as_user(own_redis.url, name)) as client,
        pytest.raises(Exception, match=REFUSED),
    ):
        client.execute_command(*command.split())
