"""What the Redis store promises when Redis, the network or the caller fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import hiredis
import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from stream_app.errors import Fenced, Incompatible, OutcomeUnknown, Unavailable
from stream_app.streams.ports import Commit, Position
from stream_app.streams.redis_store import RedisStore
from tests.conformance.redis_help import NOWHERE, Between, changed, store_at, tell
from tests.services import redis

P = 3
SOON_SECONDS = 2.0
"""Of a store whose calls are to get no answer: some of its others must get theirs in this time."""


def step(at: Position) -> Commit:
    """A commit that can be told from the ones before and after it."""
    number = b"%d" % (at.revision + 1)
    return Commit(
        expected=at,
        offsets={"a": at.revision + 1},
        model_version=0,
        outbox_first=at.outbox_first,
        states=[("acme", number)],
        outbox=[number],
    )


async def begun(store: RedisStore) -> Position:
    """Claim and commit once."""
    return await store.commit(P, step((await store.claim(P, "owner")).position))


async def answers_rightly(store: RedisStore) -> bool:
    """Many different questions at once; a stale answer would reach one of them."""
    at = (await store.claim(P, "owner")).position
    at = await store.commit(P, step(at))
    number = b"%d" % at.revision
    for _ in range(3):
        answers = await asyncio.gather(
            *(store.account(P, "acme") for _ in range(10)),
            *(store.position(P) for _ in range(10)),
            *(store.deployment() for _ in range(10)),
        )
        expected = [(number, None)] * 10 + [at] * 10 + [None] * 10
        if answers != expected:
            return False
    return True


@pytest.fixture
async def between(redis_url: str) -> AsyncIterator[Between]:
    async with Between(redis_url).running() as proxy:
        yield proxy


@pytest.fixture
async def admin(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


# No answer, or an answer that comes late


async def test_applied_but_not_answered_is_an_unknown_outcome(
    between: Between, redis_url: str
) -> None:
    store, direct = store_at(between.url, timeout_seconds=SOON_SECONDS), store_at(redis_url)
    at = await begun(store)
    between.hold_answers_to = b"EXEC"
    with pytest.raises(OutcomeUnknown, match="no answer to EXEC"):
        await store.commit(P, step(at))
    await between.holds_an_answer.wait()
    assert (await direct.position(P)).revision == at.revision + 1
    between.let_answers_through.set()
    assert await answers_rightly(store)
    await store.stop()
    await direct.stop()


@pytest.mark.parametrize("where", [b"WATCH", b"EXEC"])
async def test_after_a_cut_nothing_is_sent_again(between: Between, where: bytes) -> None:
    store = store_at(between.url)
    at = await begun(store)
    between.cut_at = where
    with pytest.raises(Unavailable) as caught:
        await store.commit(P, step(at))
    assert isinstance(caught.value, OutcomeUnknown) == (where == b"EXEC")
    assert await store.position(P) == at
    assert (await store.commit(P, step(at))).revision == 2
    assert await answers_rightly(store)
    await store.stop()


async def test_a_read_without_an_answer_is_unavailable(between: Between) -> None:
    store = store_at(between.url, timeout_seconds=SOON_SECONDS)
    await store.position(P)
    between.let_answers_through.clear()
    with pytest.raises(Unavailable) as caught:
        await store.position(P)
    assert not isinstance(caught.value, OutcomeUnknown)
    between.let_answers_through.set()
    assert await answers_rightly(store)
    await store.stop()


@pytest.mark.parametrize("answered_later", [True, False])
async def test_a_cancelled_commit_does_not_reach_the_next_call(
    between: Between, redis_url: str, answered_later: bool
) -> None:
    store = store_at(between.url, timeout_seconds=20.0 if answered_later else SOON_SECONDS)
    direct = store_at(redis_url)
    at = await begun(store)
    between.hold_answers_to = b"EXEC"
    commit = asyncio.create_task(store.commit(P, step(at)))
    await between.holds_an_answer.wait()
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    assert (await direct.position(P)).revision == at.revision + 1, "the commit itself went on"
    if answered_later:
        next_call = asyncio.create_task(store.deployment())
        between.let_answers_through.set()
        assert await next_call is None
    else:
        with pytest.raises(Unavailable):
            await store.deployment()
        between.let_answers_through.set()
    assert await answers_rightly(store)
    await store.stop()
    await direct.stop()


async def test_stopping_waits_for_a_commit_whose_caller_is_gone(between: Between) -> None:
    store = store_at(between.url)
    at = await begun(store)
    between.let_answers_through.clear()
    commit = asyncio.create_task(store.commit(P, step(at)))
    await between.holds_an_answer.wait()
    commit.cancel()
    stop = asyncio.create_task(store.stop())
    done, _ = await asyncio.wait({commit, stop}, timeout=0.1)
    assert done == {commit}
    between.let_answers_through.set()
    await stop


async def test_many_cancelled_calls_leave_the_store_usable(between: Between) -> None:
    store = store_at(between.url)
    await store.claim(P, "owner")
    between.let_answers_through.clear()
    calls = [asyncio.create_task(store.position(P)) for _ in range(100)]
    await between.holds_an_answer.wait()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    between.let_answers_through.set()
    assert await answers_rightly(store)
    await store.stop()


async def test_a_paused_redis_times_out_and_the_store_recovers(
    redis_url: str, admin: Redis
) -> None:
    store = store_at(redis_url, timeout_seconds=SOON_SECONDS)
    at = await begun(store)
    await tell(admin, "CLIENT PAUSE 60000 WRITE")
    try:
        with pytest.raises(Unavailable, match="no answer to WATCH"):
            await store.commit(P, step(at))
    finally:
        await tell(admin, "CLIENT UNPAUSE")
    assert (await store.position(P)) == at
    assert await answers_rightly(store)
    await store.stop()


# Somebody else writes between a commit's look and its writes


async def test_a_trim_meanwhile_is_taken_into_account(between: Between, redis_url: str) -> None:
    store, direct = store_at(between.url), store_at(redis_url)
    at = await begun(store)

    async def trim() -> None:
        between.before = None
        await direct.trim(P, at.epoch, at.outbox_first + 1)

    between.before = (b"EXEC", trim)
    new = await store.commit(P, step(at))
    assert (new.revision, new.outbox_first) == (at.revision + 1, at.outbox_first + 1)
    assert await direct.position(P) == new
    assert await direct.outbox_length(P) == 1
    assert await answers_rightly(store)
    await store.stop()
    await direct.stop()


async def test_a_claim_meanwhile_fences(between: Between, redis_url: str) -> None:
    store, direct = store_at(between.url), store_at(redis_url)
    at = await begun(store)

    async def claim() -> None:
        between.before = None
        await direct.claim(P, "other")

    between.before = (b"EXEC", claim)
    with pytest.raises(Fenced):
        await store.commit(P, step(at))
    assert (await direct.position(P)).revision == at.revision
    assert await direct.account(P, "acme") == (b"1", None)
    assert await answers_rightly(store)
    await store.stop()
    await direct.stop()


async def test_a_key_that_changes_all_the_time_is_unavailable(
    between: Between, redis_url: str, admin: Redis
) -> None:
    store = store_at(between.url)
    at = await begun(store)
    between.before = (b"EXEC", lambda: tell(admin, "HSET sa:{3}:state globex x"))
    with pytest.raises(Unavailable, match="written to by others") as caught:
        await store.commit(P, step(at))
    assert not isinstance(caught.value, OutcomeUnknown)
    between.before = None
    assert await store.position(P) == at
    assert await answers_rightly(store)
    await store.stop()


async def test_after_a_transaction_that_is_carried_out_in_part_nobody_goes_on() -> None:
    """Redis refuses before it begins; should it ever not, no owner may take what is stored for what
    it wrote, as one does whose commit had no answer."""
    looked_at = b"*2\r\n*5\r\n$1\r\n1\r\n$1\r\n0\r\n$2\r\n{}\r\n$1\r\n0\r\n$1\r\n0\r\n:0\r\n"
    answers = {
        b"EVALSHA": looked_at,
        b"HSET": b"+QUEUED\r\n",
        b"RPUSH": b"+QUEUED\r\n",
        b"EXEC": b"*3\r\n:1\r\n-NOPERM this user has no permissions\r\n:3\r\n",
    }

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while command := commands.gets():
                writer.write(answers.get(command[0], b"+OK\r\n"))
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = store_at(f"redis://127.0.0.1:{port}/0")
        with pytest.raises(Incompatible, match="only a part") as caught:
            await store.commit(P, step(Position(epoch=1)))
        assert caught.value.hint
        await store.stop()


# Connections


async def test_nobody_listening_is_unavailable() -> None:
    store = store_at(NOWHERE)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 cannot be reached") as caught:
        await store.start()
    assert caught.value.hint
    with pytest.raises(Unavailable) as caught:
        await store.commit(P, step(Position(epoch=1)))
    assert not isinstance(caught.value, OutcomeUnknown), "nothing was sent"
    await store.stop()


async def test_a_connection_killed_while_idle_is_replaced(redis_url: str, admin: Redis) -> None:
    store = store_at(redis_url)
    at = await begun(store)
    assert await tell(admin, "CLIENT KILL TYPE normal SKIPME yes") >= 1
    assert (await store.commit(P, step(at))).revision == 2
    assert await answers_rightly(store)
    await store.stop()


async def test_a_stopped_store_can_be_used_again(redis_url: str) -> None:
    store = store_at(redis_url)
    await store.start()
    await store.stop()
    await store.start()
    assert await answers_rightly(store)
    await store.stop()


async def test_forgotten_scripts_are_sent_again(redis_url: str, admin: Redis) -> None:
    store = store_at(redis_url)
    at = await begun(store)
    await admin.script_flush()
    at = await store.commit(P, step(at))
    await admin.script_flush()
    await store.trim(P, at.epoch, 2)
    assert await store.outbox_length(P) == 0
    await store.stop()


@pytest.mark.integration
async def test_a_restarted_redis_is_found_again() -> None:
    with redis(own=True) as own:
        store = store_at(own.url)
        at = await begun(store)
        await asyncio.to_thread(own.stop)
        with pytest.raises(Unavailable):
            await store.position(P)
        await asyncio.to_thread(own.start)
        assert await store.position(P) == at
        assert await answers_rightly(store)
        await store.stop()


async def test_a_redirected_call_goes_to_the_node_that_has_the_key(redis_url: str) -> None:
    target = urlsplit(changed(redis_url, user="nobody")).netloc.partition("@")[2]

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while command := commands.gets():
                if command[0] in {b"AUTH", b"CLIENT", b"SELECT"}:
                    writer.write(b"+OK\r\n")
                else:
                    key = next(word for word in command if b"{" in word or word.startswith(b"sa:"))
                    writer.write(b"-MOVED %d %s\r\n" % (key_slot(key), target.encode()))
        writer.close()

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = store_at(changed(redis_url, address=f"127.0.0.1:{port}"))
        assert await answers_rightly(store)
        await store.stop()
