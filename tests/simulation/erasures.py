"""The invariants of control records after a run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from stream_app.events.batch import hash32
from stream_app.features.table import Erased, records_of
from tests.simulation.constants import CONTROL
from tests.simulation.controls import CONTROLS
from tests.simulation.lives import Life, Lives
from tests.simulation.oracle import Expected, content_of, in_order
from tests.simulation.world import World

_erased = msgspec.json.Decoder(Erased).decode


def check_erasures(world: World, want: Expected) -> None:
    """What remains of erased accounts, their last changes, and where control records went."""
    lives = _lives(world)
    _check_applied_once(world, lives)
    _check_remains(world, want)
    if not (world.plan.shape.mixed and world.ledger.set_back):
        _check_changes(world, lives)
    _check_redirected(world)


def _lives(world: World) -> dict[str, Life]:
    """Accounts as their records say."""
    found: dict[str, Life] = {}
    for partition, book in world.ledger.books.items():
        lives = book.lives
        if not world.plan.shape.mixed:  # there the log alone tells
            lives = Lives(partition, world.refused.keys())
            lives.apply(in_order(world, partition))
        found |= lives
    return found


def _check_applied_once(world: World, lives: dict[str, Life]) -> None:
    """Each event was applied exactly once in a life: the ring of ids that an account remembers
    holds each of them, and nothing has been written a second time."""
    states = {
        account: records_of([account], [state])[0]
        for stored in world.ledger.store._partitions.values()
        for account, state in stored.states.items()
    }
    for account in sorted(
        {account for account, life in lives.items() if life.events} ^ set(states)
    ):
        world.violate(f"{account} is {'there' if account in states else 'lost'}")
    for account, record in states.items():
        ring = record["ring"].tolist()[: int(record["ring_next"])]
        if len(ring) != len(set(ring)):
            world.violate(f"{account}: an event was applied twice")
        life = lives.get(account, Life())
        if set(ring) != set(map(hash32, life.events)):
            world.violate(f"{account}: not the events that were produced")
    produced: defaultdict[str, set[str]] = defaultdict(set)
    for record in world.plan.records:
        if record.fate == "event":
            produced[record.account].add(record.event_id)
    for account, ids in produced.items():
        life = lives.get(account, Life())
        if ids != life.events | life.past:
            world.violate(f"{account}: its events are lost, or not its own")


def _check_remains(world: World, want: Expected) -> None:
    """What is stored of erased accounts, apart from when they were erased."""
    stored = world.ledger.store._partitions.values()
    erased = [item for partition in stored for item in partition.erased.items()]
    found = {digest: _without_time(_erased(past)) for digest, past in erased}
    wanted = {digest: _without_time(past) for digest, past in want.erased.items()}
    if found != wanted:
        world.violate(f"the store remembers {found} of erased accounts, not {wanted}")


def _without_time(past: Erased) -> Erased:
    return msgspec.structs.replace(past, at_us=0)


def _check_changes(world: World, lives: dict[str, Life]) -> None:
    """Each life begins and ends with a change of its own, and each change goes on from the one
    before it."""
    changes: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for record in world.broker.read_all("segment-changes"):
        id_, (body, *_) = content_of(record)
        changes[body["account_id"]].setdefault(id_, body)
    for account, said in changes.items():
        before: Any = None
        for id_, body in said.items():
            previous, current = body["previous"], body["current"]
            if (previous and previous["id"]) != (before and before["id"]):
                world.violate(f"change {id_} does not go on from the one before it")
            if (current is None) != (body["reason"] == "erased"):
                world.violate(f"change {id_}: {body['reason']}, and then {current}")
            before = current
        deaths = sum(body["current"] is None for body in said.values())
        if deaths != lives[account].deaths:
            world.violate(f"{account} was erased {lives[account].deaths} times, published {deaths}")


def _check_redirected(world: World) -> None:
    """Each control record that was sent astray is in its account's partition, and without an
    address."""
    sent = {record.value for record in world.plan.records}
    passed_on = [r for r in world.broker.read_all(CONTROL) if r.value not in sent]
    ids = {msgspec.json.decode(record.value or b"")["id"] for record in passed_on}
    wanted = {r.event_id for r in world.plan.records if r.fate in CONTROLS and r.stray}
    # Encoded as it was sent, a record cannot be told from one that was sent there.
    if not ids <= wanted:
        world.violate(f"control records passed on: {sorted(ids)}, not {sorted(wanted)}")
    for record in world.plan.records:
        if record.event_id in wanted:
            home = world.broker.read(CONTROL, 1 - record.partition)
            if not any(record.event_id.encode() in (r.value or b"") for r in home):
                world.violate(f"{record.event_id} of {record.account} was not passed on")
    if any(b"@" in (record.value or b"") for record in passed_on):
        world.violate("an address was passed on in the clear")
