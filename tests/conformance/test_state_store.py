"""What every state store promises, in memory and in Redis: one test for each promise."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from stream_app.errors import Fenced, Incompatible, Moved
from stream_app.streams.ports import Commit, Position, StateStore
from tests.conformance.stores import ALL_BYTES, Backend

P = 3
"""The partition of most tests."""


def after(position: Position, **changes: Any) -> Commit:
    """A commit that changes nothing but what is named."""
    same = {
        "offsets": position.offsets,
        "model_version": position.model_version,
        "outbox_first": position.outbox_first,
    }
    return Commit(expected=position, **{**same, **changes})


async def claimed(store: StateStore, partition: int = P) -> Position:
    return (await store.claim(partition, "owner")).position


async def loaded(store: StateStore, partition: int = P) -> dict[str, bytes]:
    return dict([pair async for chunk in store.load(partition) for pair in chunk])


# Positions and ownership


async def test_a_new_partition_is_empty(store: StateStore) -> None:
    assert await store.position(P) == Position(epoch=0)
    assert await loaded(store) == {}
    assert await store.account(P, "acme") == (None, None)
    assert await store.erased(P, "acme") is None
    assert await store.summaries(2) == [b"", b""]


async def test_nothing_is_committed_without_a_claim(store: StateStore) -> None:
    with pytest.raises(Fenced):
        await store.commit(P, after(Position(epoch=0)))
    with pytest.raises(Fenced):
        await store.trim(P, 0, 0)


async def test_a_claim_returns_what_the_last_owner_left(backend: Backend) -> None:
    first, second = await backend.store(), await backend.store()
    left = await first.commit(
        P,
        after(
            await claimed(first),
            offsets={"website-visits": 7, "engagement": 0},
            model_version=4,
            outbox=[b"one", b"two"],
            names=[(5, "pricing"), (2**32 - 1, "Überblick")],
            erased=[("0a" * 16, b"remains")],
        ),
    )
    claim = await second.claim(P, "second")
    assert claim.position == replace(left, epoch=claim.position.epoch)
    assert claim.position.offsets == {"website-visits": 7, "engagement": 0}
    assert claim.outbox == (b"one", b"two")
    assert claim.names == {5: "pricing", 2**32 - 1: "Überblick"}
    assert claim.erased == {"0a" * 16: b"remains"}


async def test_a_claim_fences_every_earlier_owner(backend: Backend) -> None:
    old, new = await backend.store(), await backend.store()
    at = await old.commit(P, after(await claimed(old), outbox=[b"entry"]))
    await claimed(new)
    before = await backend.picture()
    with pytest.raises(Fenced):
        await old.commit(P, after(at, states=[("acme", b"late")]))
    with pytest.raises(Fenced):
        await old.trim(P, at.epoch, 1)
    assert await backend.picture() == before


async def test_an_owner_that_claims_again_goes_on(store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), offsets={"a": 1}))
    again = await claimed(store)
    assert again == replace(at, epoch=again.epoch)
    assert again.epoch > at.epoch
    await store.commit(P, after(again, offsets={"a": 2}))


async def test_an_epoch_is_not_given_twice_although_the_store_was_set_back(
    backend: Backend,
) -> None:
    old, new = await backend.store(), await backend.store()
    at = await claimed(old)
    await backend.set_back()
    assert (await claimed(new)).epoch > at.epoch
    with pytest.raises(Fenced):
        await old.commit(P, after(at, states=[("acme", b"late")]))


async def test_each_partition_has_its_own_owner_and_content(store: StateStore) -> None:
    ours, other = await claimed(store, 1), await claimed(store, 11)
    await claimed(store, 11)
    await store.commit(1, after(ours, states=[("acme", b"1")], outbox=[b"1"]))
    with pytest.raises(Fenced):
        await store.commit(11, after(other))
    assert await loaded(store, 11) == {}
    assert (await store.claim(11, "owner")).outbox == ()


# Commits


async def test_a_commit_returns_the_position_that_is_stored(store: StateStore) -> None:
    at = await claimed(store)
    new = await store.commit(P, after(at, offsets={"b": 2**53 - 1, "a": 3}, model_version=9))
    assert new == Position(
        epoch=at.epoch,
        revision=1,
        offsets={"a": 3, "b": 2**53 - 1},
        model_version=9,
        outbox_first=0,
    )
    assert await store.position(P) == new


async def test_a_commit_writes_all_it_is_given(store: StateStore) -> None:
    at = await store.commit(
        P,
        after(
            await claimed(store),
            states=[("acme", b"state"), ("globex", b"other")],
            profiles=[("acme", b"{}")],
            summary=b'{"accounts":2}',
        ),
    )
    await store.commit(P, after(at, states=[("acme", b"newer")]))
    assert await store.account(P, "acme") == (b"newer", b"{}")
    assert await store.account(P, "globex") == (b"other", None)
    assert await loaded(store) == {"acme": b"newer", "globex": b"other"}
    summaries = await store.summaries(P + 2)
    assert summaries == [b"", b"", b"", b'{"accounts":2}', b""], "an empty summary changes nothing"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"epoch": -1}, Fenced),
        ({"epoch": +1}, Fenced),
        ({"revision": 0}, Moved),
        ({"revision": 2}, Moved),
        ({"offsets": {"a": 4, "b": 6}}, Moved),
        ({"offsets": {"a": 5}}, Moved),
        ({"offsets": {"a": 5, "b": 6, "c": 0}}, Moved),
        ({"offsets": {}}, Moved),
    ],
)
async def test_a_refused_commit_changes_nothing(
    backend: Backend, store: StateStore, wrong: dict[str, Any], error: type[Exception]
) -> None:
    await claimed(store)
    at = await store.commit(
        P,
        after(
            await claimed(store),
            offsets={"a": 5, "b": 6},
            states=[("acme", b"state"), ("globex", b"state")],
            profiles=[("acme", b"{}")],
            outbox=[b"0", b"1"],
            names=[(1, "one")],
            summary=b"{}",
        ),
    )
    if "epoch" in wrong:
        wrong = {"epoch": at.epoch + wrong["epoch"]}
    before = await backend.picture()
    with pytest.raises(error):
        await store.commit(
            P,
            after(
                replace(at, **wrong),
                offsets={"a": 7, "b": 8},
                model_version=3,
                outbox_first=1,
                states=[("acme", b"wrong"), ("initech", b"wrong")],
                profiles=[("acme", b"wrong")],
                removed=["globex"],
                erased=[("digest", b"wrong")],
                outbox=[b"wrong"],
                names=[(1, "wrong")],
                summary=b"wrong",
            ),
        )
    assert await backend.picture() == before


async def test_of_two_commits_on_one_position_one_wins(backend: Backend) -> None:
    one, two = await backend.store(), await backend.store()
    at = await claimed(one)
    results = await asyncio.gather(
        one.commit(P, after(at, states=[("acme", b"one")], outbox=[b"one"])),
        two.commit(P, after(at, states=[("acme", b"two")], outbox=[b"two"])),
        return_exceptions=True,
    )
    winner = next(r for r in results if isinstance(r, Position))
    assert [type(r) for r in results if r is not winner] == [Moved]
    claim = await one.claim(P, "owner")
    assert claim.position == replace(winner, epoch=claim.position.epoch)
    assert claim.outbox == ((await one.account(P, "acme"))[0],)


async def test_values_may_hold_any_bytes(store: StateStore) -> None:
    names = ["acme", "日本 株式会社", "with:colon {and} \r\n \x00 \U0001f600", "x" * 512]
    at = await claimed(store)
    await store.commit(
        P,
        after(
            at,
            states=[(name, ALL_BYTES * size) for size, name in enumerate(names)],
            profiles=[(name, ALL_BYTES[::-1]) for name in names],
            outbox=[ALL_BYTES, b"", ALL_BYTES * 300],
            summary=ALL_BYTES,
        ),
    )
    for size, name in enumerate(names):
        assert await store.account(P, name) == (ALL_BYTES * size, ALL_BYTES[::-1])
    assert await loaded(store) == {name: ALL_BYTES * size for size, name in enumerate(names)}
    assert (await store.claim(P, "owner")).outbox == (ALL_BYTES, b"", ALL_BYTES * 300)
    assert (await store.summaries(P + 1))[P] == ALL_BYTES


async def test_a_commit_may_be_large(store: StateStore) -> None:
    states = [(f"account-{n}", n.to_bytes(4, "big") * 256) for n in range(20_000)]
    outbox = [b"entry %d" % n for n in range(20_000)]
    await store.commit(P, after(await claimed(store), states=states, outbox=outbox))
    claim = await store.claim(P, "owner")
    assert claim.outbox == tuple(outbox)
    assert await loaded(store) == dict(states)
    gone = [account for account, _ in states[:15_000]]
    await store.commit(P, after(claim.position, removed=gone, outbox_first=19_999))
    assert await loaded(store) == dict(states[15_000:])
    assert (await store.claim(P, "owner")).outbox == (outbox[-1],)


async def test_removed_accounts_go_with_state_and_profile(store: StateStore) -> None:
    both = [("acme", b"x"), ("globex", b"y")]
    at = await store.commit(P, after(await claimed(store), states=both, profiles=both))
    at = await store.commit(P, after(at, removed=["acme", "unknown"]))
    assert await store.account(P, "acme") == (None, None)
    assert await loaded(store) == {"globex": b"y"}
    await store.commit(P, after(at, removed=["globex"], states=[("globex", b"new life")]))
    assert await store.account(P, "globex") == (b"new life", None)


async def test_profiles_come_in_the_order_asked_for(store: StateStore) -> None:
    both = [("acme", b"x"), ("globex", b"y")]
    await store.commit(P, after(await claimed(store), states=both, profiles=both))
    assert await store.profiles(P, ["globex", "unknown", "acme"]) == [b"y", None, b"x"]
    assert await store.profiles(P, []) == []
    assert await store.profiles(P + 1, ["acme"]) == [None]


async def test_what_remains_of_erased_accounts_collects(store: StateStore) -> None:
    """Also when there is more of it than a call of Lua or one scan takes."""
    many = {f"{number:032x}": b'{"sequence":%d}' % number for number in range(5_000)}
    at = await store.commit(P, after(await claimed(store), erased=list(many.items())))
    digest = next(iter(many))
    many[digest] = ALL_BYTES
    await store.commit(P, after(at, erased=[(digest, ALL_BYTES)], states=[("acme", b"new life")]))
    assert (await store.claim(P, "owner")).erased == many
    assert await store.erased(P, digest) == ALL_BYTES
    assert await store.erased(P + 1, digest) is None
    assert (await store.claim(P + 1, "owner")).erased == {}


async def test_names_collect(store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), names=[(1, "one"), (2, "two")]))
    await store.commit(P, after(at, names=[(2, "two"), (3, "three")]))
    assert (await store.claim(P, "owner")).names == {1: "one", 2: "two", 3: "three"}


@pytest.mark.parametrize("accounts", [1, 300, 5_000])
async def test_load_returns_each_account_at_least_once(store: StateStore, accounts: int) -> None:
    states = [(f"account-{n}", b"state %d" % n * 20) for n in range(accounts)]
    await store.commit(P, after(await claimed(store), states=states))
    chunks = [chunk async for chunk in store.load(P)]
    assert {pair for chunk in chunks for pair in chunk} == set(states)
    assert accounts < 5_000 or max(map(len, chunks)) < 2_500, "chunks are bounded"


# The outbox


async def test_the_outbox_is_trimmed_by_absolute_index(store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), outbox=[b"0", b"1", b"2"]))
    await store.trim(P, at.epoch, 2)
    assert (await store.position(P)).outbox_first == 2
    at = await store.commit(P, after(await store.position(P), outbox=[b"3"]))
    assert at.outbox_first == 2
    await store.trim(P, at.epoch, 3)
    claim = await store.claim(P, "owner")
    assert (claim.position.outbox_first, claim.outbox) == (3, (b"3",))


async def test_the_length_of_the_outbox_is_what_is_not_trimmed(store: StateStore) -> None:
    assert await store.outbox_length(P) == 0
    at = await store.commit(P, after(await claimed(store), outbox=[b"0", b"1", b"2"]))
    assert await store.outbox_length(P) == 3
    await store.trim(P, at.epoch, 2)
    assert await store.outbox_length(P) == 1


async def test_trimming_again_or_less_changes_nothing(backend: Backend, store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), outbox=[b"0", b"1", b"2"]))
    await store.trim(P, at.epoch, 2)
    before = await backend.picture()
    for index in (2, 1, 0):
        await store.trim(P, at.epoch, index)
    assert await backend.picture() == before


async def test_a_commit_trims_and_appends(store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), outbox=[b"0", b"1"]))
    at = await store.commit(P, after(at, outbox_first=2, outbox=[b"2"]))
    assert at.outbox_first == 2
    at = await store.commit(P, after(at, outbox_first=3))
    claim = await store.claim(P, "owner")
    assert (claim.position.outbox_first, claim.outbox) == (3, ())


async def test_a_commit_that_knows_less_than_a_trim_brings_nothing_back(store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), outbox=[b"0", b"1", b"2"]))
    await store.trim(P, at.epoch, 2)
    at = await store.commit(P, after(at, outbox_first=1, outbox=[b"3"]))
    assert at.outbox_first == 2
    assert (await store.claim(P, "owner")).outbox == (b"2", b"3")


async def test_an_index_beyond_the_outbox_is_refused(backend: Backend, store: StateStore) -> None:
    at = await store.commit(P, after(await claimed(store), outbox=[b"0", b"1"]))
    before = await backend.picture()
    with pytest.raises(Moved):
        await store.trim(P, at.epoch, 3)
    with pytest.raises(Moved):
        await store.commit(P, after(at, outbox_first=3, states=[("acme", b"x")], outbox=[b"2"]))
    assert await backend.picture() == before


# Deployment and model


async def test_the_deployment_is_remembered(backend: Backend) -> None:
    store = await backend.store()
    assert await store.deployment() is None
    await store.register(8, "layout-1")
    await (await backend.store()).register(8, "layout-1")
    assert await store.deployment() == (8, "layout-1")
    for partitions, layout in ((9, "layout-1"), (8, "layout-2")):
        with pytest.raises(Incompatible):
            await store.register(partitions, layout)
    assert await store.deployment() == (8, "layout-1")
