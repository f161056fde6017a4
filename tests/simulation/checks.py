"""The invariants after a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from stream_app.features.table import ACCOUNT, records_of
from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.processor import Summary
from tests.simulation.constants import ACCOUNTS, PARTITIONS, TOPICS
from tests.simulation.erasures import check_erasures
from tests.simulation.oracle import Expected, content_of, expected
from tests.simulation.world import World


def check(world: World) -> None:
    """Compare the world after its run with what should have come out."""
    poison = _places(world, {"unprocessable"})
    want = expected(world, poison)
    _check_states(world, want)
    _check_summaries(world)
    check_erasures(world, want)
    for topic in ("segment-changes", "intent-spikes"):
        _check_published(world, want, topic)
    _check_accounts(world, want)
    _check_letters(world)
    _check_forwarded(world)
    if world.plan.shape.mixed:
        _check_models(world)


def _places(world: World, fates: set[str]) -> set[tuple[str, int, int]]:
    """(topic, partition, offset) of the records with one of these fates."""
    wanted = {r.value for r in world.plan.records if r.fate in fates}
    if not wanted:
        return set()
    return {
        (record.topic, record.partition, record.offset)
        for topic in world.consumed
        for partition in range(PARTITIONS)
        for record in world.broker.read(topic, partition)
        if record.value in wanted
    }


def _check_states(world: World, want: Expected) -> None:
    """The state of every account, byte by byte, and its profile."""
    partitions = world.ledger.store._partitions.values()
    states = {a: s for stored in partitions for a, s in stored.states.items()}
    profiles = {a: s for stored in partitions for a, s in stored.profiles.items()}
    for account in sorted(states.keys() | want.states.keys()):
        if states.get(account) != want.states.get(account):
            world.violate(
                f"state of {account}: {_differences(states.get(account), want.states.get(account))}"
            )
        elif profiles.get(account) != want.profiles.get(account):
            world.violate(f"profile of {account} is not that of its state")


def _differences(found: bytes | None, want: bytes | None) -> str:
    if found is None or want is None:
        return "missing" if found is None else "not expected"
    a, b = records_of(["found", "wanted"], [found, want])
    names = [n for n in ACCOUNT.names or () if a[n].tobytes() != b[n].tobytes()]
    return "differs in " + ", ".join(
        f"{n} ({a[n]}, not {b[n]})" if a[n].ndim == 0 else n for n in names
    )


def _check_summaries(world: World) -> None:
    """The counts for displays are those of the accounts that are stored."""
    for partition, stored in world.ledger.store._partitions.items():
        if not stored.summary:
            continue
        records = records_of(list(stored.states), list(stored.states.values()))
        said = msgspec.json.decode(stored.summary, type=Summary)
        want = msgspec.structs.replace(
            said,
            accounts=len(records),
            segments=dict(sorted(Counter(records["segment"].tolist()).items())),
            changes=int(records["sequence"].sum()),
            spikes=int(records["spikes"].sum()),
        )
        if said != want:
            world.violate(f"summary of partition {partition}: {said}, not {want}")


def _by_account(records: Iterable[MemoryRecord]) -> dict[str, list[MemoryRecord]]:
    found: dict[str, list[MemoryRecord]] = {}
    for record in records:
        found.setdefault((record.key or b"").decode(), []).append(record)
    return found


def _check_published(world: World, want: Expected, topic: str) -> None:
    """Per account the distinct messages are the oracle's sequence, in order of first publication;
    copies with one id say the same."""
    found = _by_account(world.broker.read_all(topic))
    for account in sorted(found.keys() | want.published[topic].keys()):
        ordered = want.published[topic].get(account, [])
        if world.plan.shape.mixed and world.ledger.set_back:
            _check_redecided(world, topic, account, found.get(account, []), ordered)
            continue
        first: dict[str, Any] = {}
        for record in found.get(account, ()):
            id_, content = content_of(record)
            if first.setdefault(id_, content) != content:
                world.violate(f"{topic}: two messages {id_} differ")
        if list(first) != [id_ for id_, _ in ordered]:
            world.violate(f"{topic} of {account}: {list(first)}, not {[id_ for id_, _ in ordered]}")
        elif list(first.items()) != ordered:
            wrong = [i for (i, a), (_, b) in zip(first.items(), ordered, strict=True) if a != b]
            world.violate(f"{topic}: {wrong} do not say what the oracle says")


def _check_redecided(
    world: World,
    topic: str,
    account: str,
    found: list[MemoryRecord],
    ordered: list[tuple[str, Any]],
) -> None:
    """After the store was set back, what had been decided since was decided again, perhaps in
    another order of topics, under another model or after other looks at silence. Then a number may
    be given to something else. But numbers have no gap, and the last word is the oracle's."""
    copies: dict[str, list[Any]] = {}
    for record in found:
        id_, content = content_of(record)
        copies.setdefault(id_, []).append(content)
    numbers = [int(id_.rpartition(":")[2]) for id_ in copies]
    if numbers != list(range(1, len(numbers) + 1)):
        world.violate(f"{topic} of {account}: first published as {numbers}")
    for id_, content in ordered:
        if content not in copies.get(id_, []):
            world.violate(f"{topic}: {id_} does not say what the oracle says")
    world.redecided += sum(copy != said[0] for said in copies.values() for copy in said)


def _check_accounts(world: World, want: Expected) -> None:
    """Where each account stands was published."""
    found = _by_account(world.broker.read_all("account-segments"))
    for account, profile in want.profiles.items():
        values = [record.value for record in found.get(account, ())]
        _check_last(world, account, values, profile)
    for account in want.gone:
        _check_last(world, account, [record.value for record in found.get(account, ())], None)


def _check_last(world: World, account: str, values: list[bytes | None], want: bytes | None) -> None:
    """An older message may come last only from a process that published belatedly."""
    if want not in values:
        world.violate(f"account-segments: where {account} stands was never published")
    elif values[-1] != want:
        world.stale += want is not None
        world.stale_tombstones += want is None
        if account not in world.ledger.belated and not world.ledger.set_back:
            world.violate(f"account-segments: what is said last of {account} is not the newest")


def _check_letters(world: World) -> None:
    """Each refused record lies in `dead-letters`, once or more, and nothing else does."""
    fates = world.refused
    want = {}
    for topic, partition, offset in _places(world, set(fates.values())):
        value = world.broker.read(topic, partition, offset)[0].value
        want[f"{topic}:{partition}:{offset}"] = fates[value or b""], value
    found = {}
    for record in world.broker.read_all("dead-letters"):
        headers = dict(record.headers)
        found[headers["ce_id"].decode()] = headers["ce_reason"].decode(), record.value
    for origin in sorted(want.keys() | found.keys()):
        if want.get(origin) != found.get(origin):
            world.violate(f"dead letter {origin}: {found.get(origin)}, not {want.get(origin)}")


def _check_forwarded(world: World) -> None:
    """Each stray record was forwarded, those of one account in the order of their log, and
    nothing else was."""
    strays = {r.event_id: r.account for r in world.plan.records if r.fate == "event" and r.stray}
    forwarded = _event_ids(world.broker.read_all("engagement"))
    wanted: set[str] = set()
    for topic in TOPICS:
        for partition in range(PARTITIONS):
            for account in ACCOUNTS[1 - partition]:
                ids = [
                    event_id
                    for event_id in _event_ids(
                        r for r in world.broker.read(topic, partition) if r.key is None
                    )
                    if strays[event_id] == account
                ]
                wanted.update(ids)
                found = [event_id for event_id in forwarded if event_id in ids]
                if found != ids:
                    world.violate(f"forwarded of {account}: {found}, not {ids}")
    if wanted != set(forwarded):
        world.violate(f"forwarded: {sorted(forwarded)}, not {sorted(wanted)}")


def _event_ids(records: Iterable[MemoryRecord]) -> list[str]:
    """Ids of the events, each once, by first appearance."""
    return list(dict.fromkeys(msgspec.json.decode(r.value or b"")["id"] for r in records))


def _check_models(world: World) -> None:
    """Every version and every activation was published, in order, and says the same each time."""
    stored = world.ledger.store._snapshots
    if world.ledger.set_back:  # and with it the trainer, who gives the same numbers again
        values = {record.value for record in world.broker.read_all("segment-models")}
        if not values.issuperset(stored.values()):
            world.violate("segment-models: a stored version was never published")
        return
    first: dict[str, bytes | None] = {}
    for record in world.broker.read_all("segment-models"):
        id_ = dict(record.headers)["ce_id"].decode()
        if first.setdefault(id_, record.value) != record.value:
            world.violate(f"segment-models: two messages {id_} differ")
    for version, data in stored.items():
        if first.get(f"model:{version}") != data:
            world.violate(f"segment-models: not version {version} as it is stored")
    registry = world.ledger.store._registry
    for kind, count in (("model:", registry.newest), ("model:activated:", registry.activations)):
        numbers = [id_.removeprefix(kind) for id_ in first if id_.rpartition(":")[0] + ":" == kind]
        if numbers != [str(number) for number in range(1, count + 1)]:
            world.violate(f"segment-models: {kind}{numbers}, of {count}")
