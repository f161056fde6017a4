"""What a store promises to `stream-app repartition`, in memory and in Redis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_app.errors import Fenced, Incompatible
from stream_app.streams.deployment import Deployment, Former, MovableStore, Move
from stream_app.streams.ports import Claim, Commit, Position
from tests.conformance.stores import Backend
from tests.conformance.test_state_store import P, after, claimed, loaded

FOUR = Deployment(partitions=4, layout="layout-1")
MOVING = FOUR.moving(Move(partitions=8, generation=1))
EIGHT = MOVING.moved()


@pytest.fixture
async def store(backend: Backend) -> MovableStore:
    return await backend.store()  # type: ignore[return-value]


def full(position: Position, name: str) -> Commit:
    """A commit with something of every kind."""
    return after(
        position,
        offsets={"website-visits": 7},
        model_version=2,
        states=[(name, b"state")],
        profiles=[(name, b"{}")],
        outbox=[b"entry"],
        names=[(5, "pricing")],
        erased=[("0a" * 16, b"remains")],
        summary=b"{}",
    )


# The deployment


async def test_a_deployment_goes_through_a_move(backend: Backend, store: MovableStore) -> None:
    assert await store.deployed() is None
    await store.register(4, "layout-1")
    assert await store.deployed() == FOUR
    assert await store.redeploy(FOUR, MOVING)
    assert await store.deployed() == MOVING
    assert await store.deployment() == (4, "layout-1"), "until it is done"
    assert await store.redeploy(MOVING, EIGHT)
    assert await store.deployment() == (8, "layout-1")
    assert await store.deployed() == Deployment(
        partitions=8, layout="layout-1", generation=1, former=Former(partitions=4, generation=0)
    )


async def test_of_two_who_change_it_one_is_refused(store: MovableStore) -> None:
    assert not await store.redeploy(FOUR, MOVING), "there is none yet"
    await store.register(4, "layout-1")
    assert await store.redeploy(FOUR, MOVING)
    assert not await store.redeploy(FOUR, EIGHT)
    assert await store.deployed() == MOVING


async def test_nobody_starts_while_it_is_being_moved(backend: Backend, store: MovableStore) -> None:
    await store.register(4, "layout-1")
    await store.redeploy(FOUR, MOVING)
    for partitions in (4, 8):
        with pytest.raises(Incompatible, match="from 4 to 8") as failure:
            await (await backend.store()).register(partitions, "layout-1")
        assert "--cancel" in failure.value.hint


async def test_after_a_move_only_the_new_number_fits(backend: Backend, store: MovableStore) -> None:
    await store.register(4, "layout-1")
    await store.redeploy(FOUR, MOVING)
    await store.redeploy(MOVING, EIGHT)
    with pytest.raises(Incompatible):
        await (await backend.store()).register(4, "layout-1")
    await (await backend.store()).register(8, "layout-1")


# Generations


async def test_generations_do_not_share_partitions(backend: Backend, store: MovableStore) -> None:
    await store.commit(P, full(await claimed(store), "acme"))
    second = store.generation(1)
    assert await second.claim(P, "owner") == Claim(await second.position(P), (), {}, {})
    await second.commit(P, full(await claimed(second), "globex"))
    assert await loaded(store) == {"acme": b"state"}
    assert await loaded(second) == {"globex": b"state"}
    assert await second.account(P, "globex") == (b"state", b"{}")
    assert await second.account(P, "acme") == (None, None)


async def test_who_registers_after_a_move_has_the_new_generation(
    backend: Backend, store: MovableStore
) -> None:
    await store.register(4, "layout-1")
    await store.commit(P, full(await claimed(store), "acme"))
    second = store.generation(1)
    await second.commit(P, full(await claimed(second), "globex"))
    zombie = store.generation(0)
    await store.redeploy(FOUR, MOVING)
    await store.redeploy(MOVING, EIGHT)
    for late in (await backend.store(), await backend.store()):
        await late.register(8, "layout-1")
        assert await loaded(late) == {"globex": b"state"}
    tool = await backend.store()
    assert await tool.deployment() == (8, "layout-1")
    assert await loaded(tool) == {"globex": b"state"}
    assert await loaded(zombie) == {"acme": b"state"}


# Closing


async def test_a_closed_partition_can_be_claimed_by_nobody_else(
    backend: Backend, store: MovableStore
) -> None:
    old = await store.commit(P, full(await claimed(store), "acme"))
    claim = await store.close(P, "repartition")
    assert claim.position == replace(old, epoch=claim.position.epoch)
    assert claim.outbox == (b"entry",)
    assert claim.names == {5: "pricing"}
    assert claim.erased == {"0a" * 16: b"remains"}
    before = await backend.picture()
    with pytest.raises(Fenced):
        await store.commit(P, after(old, states=[("acme", b"late")]))
    with pytest.raises(Incompatible, match="partition 3 was closed") as failure:
        await store.claim(P, "zombie")
    assert "restart" in failure.value.hint
    assert await backend.picture() == before
    await store.trim(P, claim.position.epoch, 1)
    assert await store.outbox_length(P) == 0, "whoever closed it owns it"


async def test_closing_twice_fences_the_first(store: MovableStore) -> None:
    first = await store.close(P, "first")
    second = await store.close(P, "second")
    assert second.position.epoch > first.position.epoch
    with pytest.raises(Fenced):
        await store.commit(P, after(first.position))


async def test_a_reopened_partition_goes_on(store: MovableStore) -> None:
    await store.reopen(P)
    left = await store.commit(P, full(await claimed(store), "acme"))
    await store.close(P, "repartition")
    await store.reopen(P)
    position = await claimed(store)
    assert position == replace(left, epoch=position.epoch)
    await store.commit(P, after(position, offsets={"website-visits": 8}))


async def test_other_partitions_stay_open(store: MovableStore) -> None:
    await store.close(P, "repartition")
    await claimed(store, P + 1)
    await store.generation(1).claim(P, "owner")


# Size and clearing


async def test_the_size_is_the_number_of_accounts(store: MovableStore) -> None:
    assert await store.size(P) == 0
    at = await store.commit(P, after(await claimed(store), states=[("acme", b"1"), ("b", b"2")]))
    assert await store.size(P) == 2
    await store.commit(P, after(at, removed=["acme"]))
    assert await store.size(P) == 1


@pytest.mark.parametrize("accounts", [1, 3_000])
async def test_nothing_is_left_of_a_cleared_partition(store: MovableStore, accounts: int) -> None:
    ids = [f"account-{i}" for i in range(accounts)]
    at = await store.commit(P, full(await claimed(store), "acme"))
    many = [(id_, b"state") for id_ in ids]
    at = await store.commit(P, after(at, states=many, profiles=many, outbox=[b"entry"] * accounts))
    other = await store.commit(P + 1, full(await claimed(store, P + 1), "globex"))
    await store.clear(P)
    assert await store.position(P) == Position(at.epoch)
    assert await loaded(store) == {}
    assert await store.account(P, "acme") == (None, None)
    assert await store.names(P) == {}
    assert await store.erased(P, "0a" * 16) is None
    assert await store.outbox_length(P) == 0
    assert (await store.summaries(P + 1))[P] == b""
    assert await store.position(P + 1) == other
    await store.clear(P)  # as after an interruption
    claim = await store.claim(P, "owner")
    assert claim == Claim(Position(claim.position.epoch), (), {}, {})
    assert claim.position.epoch > at.epoch


async def test_a_closed_partition_stays_closed_when_it_is_cleared(store: MovableStore) -> None:
    await store.close(P, "repartition")
    await store.clear(P)
    with pytest.raises(Incompatible):
        await store.claim(P, "zombie")
