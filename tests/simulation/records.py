"""The events of a run, and what producers get wrong about them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from stream_app.events.instants import DAY, HOUR, MINUTE, to_rfc3339
from stream_app.streams.partitioning import partition_of
from tests.simulation.constants import (
    ACCOUNTS,
    PARTITIONS,
    POISON,
    PRODUCED_BY,
    START_US,
    TOPICS,
)

CONTACTS = ("c1", "c2", "c3@example.com")


class Planned(msgspec.Struct, frozen=True):
    """A record that a producer sends."""

    at: float
    topic: str
    partition: int
    key: bytes | None
    value: bytes
    account: str
    event_id: str
    fate: str
    """`event`, the type of a control record, or the reason code of its dead letter."""
    waits: bool = False
    """Comes only when everything of its account that was sent before has been applied."""

    @property
    def refused(self) -> bool:
        """Whether it becomes a dead letter."""
        return not self.event_id

    @property
    def stray(self) -> bool:
        """Whether it is sent to the wrong partition, without a key."""
        return self.partition != partition_of(self.account.encode(), PARTITIONS)


def make_records(random: Random, mixed: bool, speed: int) -> list[Planned]:
    """Events of four accounts, and records that are none; `speed`: microseconds of the wall clock
    per virtual second."""
    records = []
    busy = random.sample(ACCOUNTS[0], 2) + random.sample(ACCOUNTS[1], 2)
    strays = {account for account in busy if random.random() < 0.3}
    homes = {account: random.choice(TOPICS) for account in busy}
    bursts = [random.uniform(0.3, PRODUCED_BY) for _ in range(5)]
    for i in range(random.randint(6, 13)):
        account = random.choice(busy)
        # Records that come together are applied together, which is much cheaper.
        at = random.choice(bursts) if i % 6 else random.uniform(0.3, PRODUCED_BY)
        topic = random.choice(TOPICS) if mixed else homes[account]
        home = partition_of(account.encode(), PARTITIONS)
        partition = home
        if account in strays:
            # In unmixed runs all records of a stray take the same detour, so that their order
            # is the log's.
            partition = random.randrange(PARTITIONS) if mixed else 1 - home
        planned = event_at(random, at, topic, partition, account, f"e{i}", speed)
        records.append(planned)
        if random.random() < 0.12:
            records.append(again_at(planned, later(random, at, bursts)))
    bad = random.choice((0, 1, 1, 2, 3))
    return records + [
        _bad(random, i, random.choice(bursts), random.choice(busy), homes, mixed)
        for i in range(bad)
    ]


def event_at(
    random: Random, at: float, topic: str, partition: int, account: str, event_id: str, speed: int
) -> Planned:
    """An event, perhaps a late one."""
    late = random.random()
    behind = random.randrange(1, 10 * MINUTE)
    if late < 0.2:
        behind = random.randrange(1, 4 * DAY)
    occurred_us = START_US + round(at * speed) - behind
    body = _body(random, topic, account, event_id, occurred_us)
    home = partition_of(account.encode(), PARTITIONS)
    key = account.encode() if partition == home else None
    value = msgspec.json.encode(body)
    return Planned(at, topic, partition, key, value, account, event_id, "event")


def again_at(planned: Planned, at: float) -> Planned:
    """The same record once more."""
    return msgspec.structs.replace(planned, at=at)


def _body(
    random: Random, topic: str, account: str, event_id: str, occurred_us: int
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": event_id,
        "occurred_at": to_rfc3339(occurred_us),
        "account_id": account,
        "contact_id": random.choice(CONTACTS),
        "topics": random.choice((["a"], ["a", "b"], [])),
    }
    if topic == "website-visits":
        body |= {"type": "website.visit", "dwell_seconds": random.randrange(600)}
        body |= {"page_category": random.choice(("", "product", "pricing"))}
    elif topic == "content-downloads":
        body |= {"type": "content.download"}
        body |= {"stage": random.choice(("awareness", "consideration", "decision"))}
    else:
        body |= {"type": "email.engagement"}
        body |= {"kind": random.choice(("sent", "opened", "clicked", "clicked", "replied"))}
    return body


def later(random: Random, at: float, moments: Sequence[float]) -> float:
    """One of the moments after `at`, or soon after it."""
    after = [moment for moment in moments if moment > at]
    if after and random.random() < 0.7:
        return random.choice(after)
    return min(at + random.expovariate(1.0), PRODUCED_BY)


def _bad(
    random: Random, i: int, at: float, account: str, homes: dict[str, str], mixed: bool
) -> Planned:
    topic = random.choice(TOPICS) if mixed else homes[account]
    body = _body(random, topic, account, f"bad-{i}", START_US - HOUR)
    fate = random.choice(("not_json", "empty", "missing_field", "in_the_future", "unprocessable"))
    value = b""
    if fate == "not_json":
        value = b"{broken %d" % i
    elif fate == "missing_field":
        del body["id"]
    elif fate == "in_the_future":
        body["occurred_at"] = "2055-01-01T00:00:00Z"
    elif fate == "unprocessable":
        body["id"] = POISON[i]
    if not value and fate != "empty":
        value = msgspec.json.encode(body)
    return Planned(
        at,
        topic,
        partition_of(account.encode(), PARTITIONS),
        account.encode(),
        value,
        account,
        "",
        fate,
    )
