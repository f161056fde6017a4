"""What every state store promises about models, in memory and in Redis."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from stream_app.errors import Incompatible
from stream_app.streams.ports import StateStore
from stream_app.streams.registry import NEWEST_KEPT, Registry
from tests.conformance.stores import ALL_BYTES, Backend, InRedis
from tests.models import AT, save_model


async def test_there_is_nothing_before_the_first_version(store: StateStore) -> None:
    assert await store.registry() == Registry()
    assert await store.snapshot() is None
    assert await store.trainer_checkpoint() is None


async def test_of_two_trainers_one_saves_a_version(backend: Backend) -> None:
    one, two = await backend.store(), await backend.store()
    saved = await asyncio.gather(
        save_model(one, 1, b"one", b"trainer of one"),
        save_model(two, 1, b"two", b"trainer of two"),
    )
    assert sorted(saved) == [False, True]
    winner = b"one" if saved[0] else b"two"
    assert await two.snapshot() == (1, winner)
    assert await one.trainer_checkpoint() == b"trainer of " + winner


async def test_who_has_not_seen_the_last_change_writes_nothing(
    backend: Backend, store: StateStore
) -> None:
    assert await save_model(store, 1, ALL_BYTES, ALL_BYTES)
    seen = await store.registry()
    assert await store.update_registry(seen, msgspec.structs.replace(seen, pinned=True))
    before = await backend.picture()
    late = seen.issued(2, by_trainer=True)
    assert not await store.update_registry(seen, late, snapshot=(2, b"late"), trainer=b"late")
    assert await backend.picture() == before
    assert (await store.registry()).pinned


async def test_the_registry_comes_back_as_it_was_written(store: StateStore) -> None:
    registry = Registry(pinned=True, refits_asked=2, announced_versions=3)
    for version in (1, 2, 3):
        registry = registry.issued(version, by_trainer=version < 3)
    registry = registry.activated(2, AT, "Zo\u00eb", "activated")
    assert await store.update_registry(Registry(), registry)
    assert await store.registry() == registry.next()
    assert (await store.registry()).revision == 1


async def test_the_active_snapshot_is_the_one_that_is_asked_for(store: StateStore) -> None:
    assert await save_model(store, 1, ALL_BYTES)
    assert await save_model(store, 2, b"second", activate=False)
    assert await store.snapshot() == (1, ALL_BYTES)
    assert await store.snapshot(2) == (2, b"second")
    assert await store.snapshot(3) is None
    registry = await store.registry()
    assert registry.waiting == (2,)
    assert await store.update_registry(registry, registry.activated(2, AT, "me", "activated"))
    assert await store.snapshot() == (2, b"second")
    registry = await store.registry()
    assert await store.update_registry(registry, registry.activated(1, AT, "me", "rolled_back"))
    assert await store.snapshot() == (1, ALL_BYTES)


async def test_old_snapshots_go_unless_they_matter(store: StateStore) -> None:
    last = NEWEST_KEPT + 5
    for version in range(1, last + 1):
        # 1 is in use all the time, 2 waits for somebody.
        assert await save_model(store, version, b"%d" % version, activate=version == 1)
    kept = [v for v in range(1, last + 1) if await store.snapshot(v) is not None]
    assert kept == [1, *range(last - NEWEST_KEPT + 1, last + 1)]
    assert (await store.registry()).versions == tuple(kept)


async def test_a_checkpoint_stays_where_none_is_given(store: StateStore) -> None:
    await store.save_trainer_checkpoint(ALL_BYTES)
    assert await store.trainer_checkpoint() == ALL_BYTES
    assert (await store.registry()).newest == 0
    assert await save_model(store, 1, b"by an operator")
    assert await store.trainer_checkpoint() == ALL_BYTES


@pytest.mark.integration
async def test_models_of_earlier_versions_of_the_program_are_found(
    redis_url: str, worker_redis_url: str
) -> None:
    """They had no registry, and the newest version was in use."""
    backend = InRedis(redis_url, worker_redis_url)
    await backend.admin.hset("sa:{model}:meta", mapping={"version": 3, "trainer": "state"})  # type: ignore[misc]
    await backend.admin.hset("sa:{model}:snapshots", mapping={1: "a", 2: "b", 3: "c"})  # type: ignore[misc]
    store = await backend.store()
    assert await store.snapshot() == (3, b"c")
    assert (await store.registry()).versions == (1, 2, 3)
    assert not (await store.registry()).unannounced
    assert await save_model(store, 4, b"d", b"new state")
    assert await store.snapshot() == (4, b"d")
    assert (await store.registry()).before == 3
    assert await store.trainer_checkpoint() == b"new state"
    await backend.close()


@pytest.mark.integration
async def test_a_registry_that_cannot_be_read_is_said(
    redis_url: str, worker_redis_url: str
) -> None:
    backend = InRedis(redis_url, worker_redis_url)
    await backend.admin.hset("sa:{model}:registry", "document", "[]")  # type: ignore[misc]
    with pytest.raises(Incompatible, match="no registry of models"):
        await (await backend.store()).registry()
    await backend.close()
