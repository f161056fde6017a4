"""What the Redis store promises when Redis refuses, and that it never shows a password."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from stream_app.errors import ConfigError, Incompatible, StreamAppError, Unavailable
from stream_app.streams.ports import Commit
from tests.conformance.redis_help import NOWHERE, changed, store_at, tell
from tests.services import Service, redis

P = 3
SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Service]:
    """A Redis whose settings may be changed."""
    with redis(own=True) as service:
        yield service


@pytest.mark.integration
@pytest.mark.parametrize(
    ("setup", "undo", "error", "hint"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", Unavailable, "maxmemory"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", Unavailable, "primary"),
        ("SET sa:{3}:profile x", "DEL sa:{3}:profile", Incompatible, "PREFIX"),
    ],
)
async def test_a_commit_that_redis_refuses_changes_nothing(
    own_redis: Service, setup: str, undo: str, error: type[StreamAppError], hint: str
) -> None:
    store = store_at(own_redis.url)
    async with Redis.from_url(own_redis.url) as admin:
        await admin.flushall()
        at = (await store.claim(P, "owner")).position
        at = await store.commit(P, Commit(at, {"a": 1}, 0, 0, states=[("globex", b"x")]))
        await tell(admin, setup)
        commit = Commit(at, {"a": 2}, 0, 0, states=[("acme", b"x")], removed=["globex"])
        with pytest.raises(error) as caught:
            await store.commit(P, commit)
        await tell(admin, undo)
        assert type(caught.value) is error, "refused, not unknown"
        assert hint in caught.value.hint
        assert await store.position(P) == at
        assert await admin.hkeys("sa:{3}:state") == [b"globex"]
        await store.commit(P, commit)
    await store.stop()


@pytest.mark.integration
async def test_a_redis_that_may_evict_is_refused(own_redis: Service) -> None:
    store = store_at(own_redis.url)
    async with Redis.from_url(own_redis.url) as admin:
        await admin.config_set("maxmemory-policy", "allkeys-lru")
        await store.start()  # without a limit nothing is evicted
        await admin.config_set("maxmemory", "1gb")
        with pytest.raises(Incompatible, match="allkeys-lru") as caught:
            await store.start()
        assert "noeviction" in caught.value.hint
        await admin.config_set("maxmemory-policy", "noeviction")
        await store.start()
        await admin.config_set("maxmemory", "0")
    await store.stop()


@pytest.mark.integration
async def test_a_user_without_a_command_that_is_needed_is_refused_at_the_start(
    own_redis: Service,
) -> None:
    limited = changed(own_redis.url, user=f"limited:{SECRET}")
    async with Redis.from_url(own_redis.url) as admin:
        for rights in ("+@all -ltrim", "+@all -info", "+@all -eval -evalsha"):
            await tell(admin, f"ACL SETUSER limited reset on >{SECRET} ~sa:* {rights}")
            store = store_at(limited)
            with pytest.raises(ConfigError) as caught:
                await store.start()
            assert SECRET not in printed(caught.value)
            await store.stop()
        await tell(admin, "ACL DELUSER limited")


@pytest.mark.integration
@pytest.mark.parametrize(
    "command", ["watch", "multi", "exec", "evalsha", "hlen", "hset", "hdel", "rpush"]
)
async def test_a_commit_that_lacks_a_right_writes_nothing(own_redis: Service, command: str) -> None:
    """Above all if the right is that to a transaction: its commands are no use one by one."""
    async with Redis.from_url(own_redis.url) as admin:
        await admin.flushall()
        whole = store_at(own_redis.url)
        store = store_at(changed(own_redis.url, user=f"limited:{SECRET}"))
        at = (await whole.claim(P, "owner")).position
        at = await whole.commit(P, Commit(at, {"a": 1}, 0, 0, states=[("globex", b"x")]))
        await tell(admin, f"ACL SETUSER limited reset on >{SECRET} ~sa:* +@all -{command}")
        commit = Commit(
            at, {"a": 2}, 0, 0, states=[("acme", b"x")], outbox=[b"1"], removed=["globex"]
        )
        with pytest.raises(ConfigError):
            await store.commit(P, commit)
        await tell(admin, "ACL DELUSER limited")
        assert await whole.position(P) == at
        assert await admin.hgetall("sa:{3}:state") == {b"globex": b"x"}
        assert await whole.outbox_length(P) == 0
        await store.stop()
        await whole.stop()


# Secrets


def printed(error: StreamAppError) -> str:
    return "".join(traceback.format_exception(error)) + error.hint + repr(error)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@localhost",
        f"redis://:1/{SECRET}@localhost",
        f"redis://:ab/{SECRET}@localhost",
        f"redis://:1#{SECRET}@localhost",
        f"redis://:1?{SECRET}=@localhost",
        f"redis://localhost/{SECRET}",
        f"redis://localhost?{SECRET}=1",
        f"redis://localhost:{SECRET}",
        f"redis://localhost?socket_timeout={SECRET}",
        "",
    ],
)
def test_a_bad_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        store_at(url)
    assert SECRET not in printed(caught.value)
    assert "redis://user:password@host" in caught.value.hint


async def test_a_password_is_not_repeated(redis_url: str) -> None:
    wrong = changed(redis_url, user=f"user:{SECRET}")
    nowhere = changed(NOWHERE, user=f"user:{SECRET}")
    for url, error in ((wrong, ConfigError), (nowhere, Unavailable)):
        store = store_at(url)
        with pytest.raises(error) as caught:
            await store.start()
        assert SECRET not in printed(caught.value)
        await store.stop()


async def test_a_server_that_repeats_the_password_is_not_believed_to_hide_it() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(65_536):
            said = b" ".join(command.split())
            writer.write(b"-ERR unknown command 'AUTH', beginning with: %s\r\n" % said)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = store_at(f"redis://user:{SECRET}@127.0.0.1:{port}/0")
        with pytest.raises(StreamAppError, match=r"user.*\*\*\*") as caught:
            await store.start()
        assert SECRET not in printed(caught.value)
        await store.stop()
