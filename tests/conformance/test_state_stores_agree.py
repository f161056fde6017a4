"""Memory and Redis give the same answers to the same calls, so what is proved over one holds for
the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from stream_app.errors import StreamAppError
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.ports import Commit, Position, StateStore
from tests.conformance.redis_help import store_at
from tests.models import save_model

ACCOUNTS = ("acme", "globex", "initech")

accounts = st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.binary(max_size=3)), max_size=3)
commits = st.fixed_dictionaries(
    {
        "offsets": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)),
        "model_version": st.integers(0, 2),
        "trimmed": st.integers(-1, 2),
        "states": accounts,
        "profiles": accounts,
        "removed": st.lists(st.sampled_from(ACCOUNTS), max_size=2),
        "outbox": st.lists(st.binary(max_size=3), max_size=3),
        "names": st.lists(st.tuples(st.integers(0, 2), st.sampled_from("xyz")), max_size=2),
        "erased": st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.binary(max_size=3)), max_size=2),
        "summary": st.binary(max_size=2),
    }
)
# Mostly one owner that knows where it stands: else nearly every commit would be refused.
owners = st.sampled_from((0, 0, 0, 1))
calls = st.one_of(
    st.tuples(st.just("claim"), owners, st.none()),
    st.tuples(st.just("commit"), owners, commits),
    st.tuples(st.just("commit"), owners, commits),
    st.tuples(st.just("look, then commit"), owners, commits),
    st.tuples(st.just("trim"), owners, st.integers(-1, 3)),
    st.tuples(st.just("save_snapshot"), owners, st.integers(0, 3)),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, max_size=12))
def test_both_stores_answer_alike(redis_url: str, script: list[tuple[str, int, Any]]) -> None:
    async def in_redis() -> list[object]:
        async with Redis.from_url(redis_url) as admin:
            await admin.flushdb()
        store = store_at(redis_url)
        try:
            return await answers(store, script)
        finally:
            await store.stop()

    assert asyncio.run(in_redis()) == asyncio.run(answers(MemoryStore(), script))


class Epochs:
    """Epochs may be any numbers that grow: the first one counts as 1, and so on."""

    def __init__(self) -> None:
        self.known = [0]

    def counted(self, position: Position) -> Position:
        if position.epoch not in self.known:
            assert position.epoch > max(self.known)
            self.known.append(position.epoch)
        return replace(position, epoch=self.known.index(position.epoch))


async def answers(store: StateStore, script: list[tuple[str, int, Any]]) -> list[object]:
    counted = Epochs().counted
    known = [(await store.claim(0, "0")).position, Position(epoch=0)]
    seen: list[object] = []
    for name, owner, argument in script:
        at = known[owner]
        try:
            if name == "claim":
                claim = await store.claim(0, str(owner))
                known[owner] = claim.position
                seen.append(replace(claim, position=counted(claim.position)))
            elif name == "trim":
                await store.trim(0, at.epoch, max(0, at.outbox_first + argument))
            elif name == "save_snapshot":
                seen.append(await save_model(store, argument, b"s%d" % owner, b"t%d" % owner))
            else:
                if name == "look, then commit":
                    at = replace(await store.position(0), epoch=at.epoch)
                changes = {**argument}
                first = max(0, at.outbox_first + changes.pop("trimmed"))
                known[owner] = await store.commit(0, Commit(at, outbox_first=first, **changes))
                seen.append(counted(known[owner]))
        except StreamAppError as error:
            seen.append(type(error))
        seen.append(counted(await store.position(0)))
        seen.append(await everything(store))
    return seen


async def everything(store: StateStore) -> object:
    return (
        {account: await store.account(0, account) for account in ACCOUNTS},
        dict([pair async for chunk in store.load(0) for pair in chunk]),
        {account: await store.erased(0, account) for account in ACCOUNTS},
        await store.summaries(1),
        await store.registry(),
        await store.snapshot(),
        await store.trainer_checkpoint(),
    )
