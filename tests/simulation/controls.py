"""Control records of a run: accounts and contacts to erase, accounts to restate, and what senders
get wrong about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from stream_app.events.instants import HOUR, to_rfc3339
from stream_app.streams.partitioning import partition_of
from tests.simulation.constants import CONTROL, PARTITIONS, POISON, START_US, TOPICS
from tests.simulation.records import CONTACTS, Planned, again_at, event_at, later

ERASE, ERASE_CONTACT, RESTATE = "account.erase", "contact.erase", "account.restate"
CONTROLS = (ERASE, ERASE_CONTACT, RESTATE)
_OFTEN = (ERASE, ERASE, *CONTROLS)


def with_controls(random: Random, records: list[Planned], mixed: bool, speed: int) -> list[Planned]:
    """The records of a run together with control records of its accounts, and events that follow
    them.

    Between topics the log has no order. In mixed runs that is as it is. In the others each control
    record, and what follows it, waits until everything before it has been applied, so that the log
    alone tells what an account has become. Accounts whose records take a detour are left out
    there, because a record that is passed on a second time would come at another moment. So are
    control records with the wrong key, apart from erasures, for which a repetition is nothing.
    """
    accounts = sorted({r.account for r in records if mixed or not _detours(records, r.account)})
    if not accounts:
        return records
    more: list[Planned] = []
    moments = [record.at for record in records]
    for i in range(random.choice((0, 0, 0, 1, 1, 2))):
        account = random.choice(accounts)
        at = random.choice(moments)
        more += _control(random, i, at, account, moments, mixed, speed)
        if random.random() < 0.6:
            moment = later(random, at, moments)
            more += _events_after(random, i, moment, records, account, mixed, speed)
    bad = random.choice((0, 0, 0, 0, 0, 0, 1, 2)) if mixed or more else 0
    more += [_bad(random, i, random.choice(moments), random.choice(accounts)) for i in range(bad)]
    return records + more if mixed else list(_one_after_the_other(records + more))


def _detours(records: list[Planned], account: str) -> bool:
    return any(r.stray for r in records if r.account == account)


def _control(
    random: Random,
    i: int,
    at: float,
    account: str,
    moments: Sequence[float],
    mixed: bool,
    speed: int,
) -> Iterator[Planned]:
    kind = random.choice(_OFTEN)
    home = partition_of(account.encode(), PARTITIONS)
    astray = random.random() < 0.3 and (mixed or kind == ERASE)
    control = Planned(
        at,
        CONTROL,
        1 - home if astray else home,
        None if astray else account.encode(),
        msgspec.json.encode(_body(random, kind, account, f"control-{i}", at, speed)),
        account,
        f"control-{i}",
        kind,
    )
    yield control
    if random.random() < 0.3 and (mixed or kind == ERASE):
        yield again_at(control, later(random, at, moments))


def _body(
    random: Random, kind: str, account: str, event_id: str, at: float, speed: int
) -> dict[str, Any]:
    body: dict[str, Any] = {"type": kind, "id": event_id, "account_id": account}
    body["occurred_at"] = to_rfc3339(START_US + round(at * speed) - random.randrange(1, HOUR))
    if kind == ERASE_CONTACT:
        body["contact_id"] = random.choice(CONTACTS)
    return body


def _events_after(
    random: Random,
    i: int,
    at: float,
    records: list[Planned],
    account: str,
    mixed: bool,
    speed: int,
) -> Iterator[Planned]:
    """Late ones, or the beginning of a new life."""
    home = partition_of(account.encode(), PARTITIONS)
    topic = next(r.topic for r in records if r.account == account)
    for j in range(random.choice((1, 1, 2))):
        if mixed:
            topic = random.choice(TOPICS)
        yield event_at(random, at, topic, home, account, f"after-{i}-{j}", speed)


def _bad(random: Random, i: int, at: float, account: str) -> Planned:
    """A control record that cannot be read, or that the worker fails on."""
    fate = random.choice(
        ("not_json", "unknown_type", "missing_field", "in_the_future", "unprocessable")
    )
    body = _body(random, ERASE, account, f"bad-control-{i}", 0.0, 0)
    match fate:
        case "unknown_type":
            body["type"] = "account.delete"
        case "missing_field":
            body["type"] = ERASE_CONTACT
        case "in_the_future":
            body["occurred_at"] = "2055-01-01T00:00:00Z"
        case "unprocessable":
            body["id"] = POISON[i]
    value = b"{control %d" % i if fate == "not_json" else msgspec.json.encode(body)
    home = partition_of(account.encode(), PARTITIONS)
    return Planned(at, CONTROL, home, account.encode(), value, account, "", fate)


def _one_after_the_other(records: list[Planned]) -> Iterator[Planned]:
    """What waits: a control record, and from then on everything of its account."""
    waiting: set[str] = set()
    for record in sorted(records, key=lambda r: r.at):
        if record.fate in CONTROLS:
            waiting.add(record.account)
        waits = record.account in waiting and bool(record.event_id)
        yield msgspec.structs.replace(record, waits=waits)
