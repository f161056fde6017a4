"""The store on a Redis Cluster of two nodes: every call concerns keys of one slot, and is followed
to the node that has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from redis import Redis

from stream_app.errors import Incompatible
from stream_app.features.table import LAYOUT, FeatureTable
from stream_app.settings import RedisSettings
from stream_app.streams.clock import SystemClock
from stream_app.streams.cluster import MemoryCluster
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.repartition import Repartition
from stream_app.streams.topics import consumed
from tests.cli.stack import until
from tests.services import Service, ServiceError, redis
from tests.services.redis_users import WORKER, as_user

pytestmark = pytest.mark.integration

SLOTS = ((0, 8_191), (8_192, 16_383))
ACCOUNTS = [f"account-{n}" for n in range(300)]
BEFORE, AFTER = 4, 8


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Service, Service]]:
    try:
        first, second = redis(own=True, cluster_node=True), redis(own=True, cluster_node=True)
    except ServiceError as error:
        pytest.skip(str(error))
    with first, second:
        clients = [Redis.from_url(node.url) for node in (first, second)]
        for client, (begins, ends) in zip(clients, SLOTS, strict=True):
            client.execute_command("CLUSTER", "ADDSLOTS", *range(begins, ends + 1))
        clients[0].execute_command("CLUSTER", "MEET", *second.address.split(":"))
        until(lambda: all(_is_whole(client) for client in clients), "nodes that agree")
        for client in clients:
            client.close()
        yield first, second


def _is_whole(client: Redis) -> bool:
    return b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO")


@pytest.fixture
async def store(nodes: tuple[Service, Service]) -> AsyncIterator[RedisStore]:
    """As a worker sees it that knows the first node."""
    for node in nodes:
        with Redis.from_url(node.url) as client:
            client.flushall()
    opened = RedisStore(RedisSettings(url=SecretStr(as_user(nodes[0].url, WORKER)), load_chunk=50))
    await opened.start()
    yield opened
    await opened.stop()


async def fill(store: RedisStore) -> dict[str, bytes]:
    """A deployment with accounts in every partition."""
    await store.register(BEFORE, LAYOUT)
    table = FeatureTable()
    states = dict(table.pack(table.rows_of(ACCOUNTS)))
    for p in range(BEFORE):
        mine = [a for a in ACCOUNTS if partition_of(a.encode(), BEFORE) == p]
        at = (await store.claim(p, "owner")).position
        commit = Commit(
            at,
            {"website-visits": 0},
            0,
            0,
            states=[(a, states[a]) for a in mine],
            profiles=[(a, b"{}") for a in mine],
            names=[(p, f"topic-{p}")],
        )
        await store.commit(p, commit)
    return states


async def loaded(store: RedisStore, partitions: int) -> dict[str, bytes]:
    found = {}
    for p in range(partitions):
        async for chunk in store.load(p):
            for account, state in chunk:
                assert partition_of(account.encode(), partitions) == p
                found[account] = state
    return found


async def test_partitions_lie_on_both_nodes_and_each_is_found(
    nodes: tuple[Service, Service], store: RedisStore
) -> None:
    states = await fill(store)
    assert await loaded(store, BEFORE) == states
    for node in nodes:
        with Redis.from_url(node.url) as client:
            assert [key for key in client.keys("*") if key.endswith(b":state")]
    assert await asyncio.gather(*(store.size(p) for p in range(BEFORE))) == [
        sum(partition_of(a.encode(), BEFORE) == p for a in ACCOUNTS) for p in range(BEFORE)
    ]


async def test_a_deployment_is_moved(store: RedisStore) -> None:
    states = await fill(store)
    broker, topics = MemoryBroker(), consumed()
    for topic in topics:
        broker.create_topic(topic, BEFORE)
    mover = Repartition(
        store,
        MemoryCluster(broker, "workers", topics),
        MemoryReader(broker),
        MemoryPublisher(broker),
        SystemClock(),
        topics,
    )
    done = await mover.run(await mover.survey(AFTER))
    assert done.accounts == len(ACCOUNTS)
    old = store.generation(0)
    with pytest.raises(Incompatible, match="was closed"):
        await old.claim(1, "zombie")
    await store.register(AFTER, LAYOUT)
    assert await loaded(store, AFTER) == states
    assert set((await store.names(5)).values()) == {"topic-1"}
    await mover.forget()
    assert await loaded(old, BEFORE) == {}
    assert await loaded(store, AFTER) == states
