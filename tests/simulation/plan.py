"""What a seed stands for: settings, records to produce, and faults with their moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

import msgspec

from stream_app.events.instants import DAY, HOUR, MINUTE, parse, to_rfc3339
from stream_app.streams.partitioning import partition_of

PARTITIONS = 2
START_US = parse("2025-03-03T00:00:00Z")
"""Wall clock at virtual time 0."""
PRODUCED_BY = 6.0
"""Virtual seconds by which every record has been produced."""
HEALED_AT = 9.0
"""From then on nothing fails any more."""
SESSION_SECONDS = 2.0
"""A member that is silent for so long loses its partitions."""

TOPICS = ("website-visits", "content-downloads", "email-events")


def _accounts() -> tuple[tuple[str, ...], ...]:
    """Account ids by partition."""
    names = [f"acme-{i}" for i in range(40)]
    return tuple(
        tuple(n for n in names if partition_of(n.encode(), PARTITIONS) == p)[:4]
        for p in range(PARTITIONS)
    )


ACCOUNTS = _accounts()

Phase = Literal["before", "after"]


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that goes wrong."""

    kind: str
    op: str = ""
    """Port call that it strikes; empty: it comes at a time instead."""
    phase: Phase = "before"
    """Before the call reaches the world, or after it did and before the answer is back."""
    nth: int = 0
    """The so many-th such call of the run, from 1."""
    at: float = 0.0
    """Virtual seconds."""
    seconds: float = 0.0
    """How long it lasts, or how much it is."""
    variant: str = ""
    who: int = -1
    """Slot of a worker, -1: all of them."""

    def __str__(self) -> str:
        when = f"{self.phase} {self.op} #{self.nth}" if self.op else f"at {self.at:.2f} s"
        more = f" ({self.variant})" if self.variant else ""
        span = f" for {self.seconds:.2f} s" if self.seconds else ""
        whom = f" of worker {self.who}" if self.who >= 0 and not self.op else ""
        return f"{self.kind}{more} {when}{whom}{span}"


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
    """`event`, or the reason code of its dead letter."""


@dataclass(frozen=True)
class Shape:
    """Settings that differ between runs."""

    mixed: bool
    """Mixed runs have everything, and the oracle follows what was committed. In the others the
    oracle needs nothing but the log: see docs/simulation.md."""
    max_batch: int
    outbox_limit: int
    sweep_accounts: int


@dataclass(frozen=True)
class Plan:
    """Everything that a seed decides in advance. The rest is the scheduler's choice."""

    seed: int
    shape: Shape
    workers: int
    model: bool
    """Whether there is a model from the start."""
    us_per_second: int
    """How fast the wall clock runs against virtual time."""
    records: tuple[Planned, ...]
    faults: tuple[Fault, ...]

    def without(self, faults: Sequence[Fault]) -> Plan:
        """The same run with only these faults."""
        return replace(self, faults=tuple(faults))

    def wall_us(self, at: float) -> int:
        """True wall clock at a virtual time."""
        return START_US + round(at * self.us_per_second)


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(seed)
    mixed = random.random() < 0.5
    shape = Shape(
        mixed=mixed,
        max_batch=random.choice((2, 4, 50)),
        outbox_limit=random.choice((3, 1_000)),
        sweep_accounts=random.choice((1, 100)),
    )
    speed = random.choice((HOUR // 2, 2 * HOUR, 6 * HOUR))
    return Plan(
        seed=seed,
        shape=shape,
        workers=random.choice((2, 2, 3)),
        model=random.random() < 0.9,
        us_per_second=speed,
        records=tuple(sorted(_records(random, mixed, speed), key=lambda r: r.at)),
        faults=tuple(_faults(random, mixed)),
    )


def _records(random: Random, mixed: bool, speed: int) -> list[Planned]:
    records = []
    busy = random.sample(ACCOUNTS[0], 2) + random.sample(ACCOUNTS[1], 2)
    strays = {account for account in busy if random.random() < 0.3}
    homes = {account: random.choice(TOPICS) for account in busy}
    bursts = [random.uniform(0.3, PRODUCED_BY) for _ in range(5)]
    for i in range(random.randint(6, 13)):
        account = random.choice(busy)
        # Records that come together are applied together, which is much cheaper.
        at = random.choice(bursts) if i % 5 else random.uniform(0.3, PRODUCED_BY)
        topic = random.choice(TOPICS) if mixed else homes[account]
        home = partition_of(account.encode(), PARTITIONS)
        partition = home
        if account in strays:
            # In unmixed runs all records of a stray take the same detour, so that their order
            # is the log's.
            partition = random.randrange(PARTITIONS) if mixed else 1 - home
        late = random.random()
        behind = random.randrange(1, 10 * MINUTE)
        if late < 0.2:
            behind = random.randrange(1, 4 * DAY)
        occurred_us = START_US + round(at * speed) - behind
        event_id = f"e{i}"
        body = _body(random, topic, account, event_id, occurred_us)
        planned = Planned(
            at,
            topic,
            partition,
            account.encode() if partition == home else None,
            msgspec.json.encode(body),
            account,
            event_id,
            "event",
        )
        records.append(planned)
        if random.random() < 0.12:
            records.append(replace_at(planned, min(at + random.expovariate(1.0), PRODUCED_BY)))
    bad = random.choice((0, 1, 1, 2, 3))
    return records + [_bad(random, i, random.choice(busy), homes, mixed) for i in range(bad)]


def replace_at(planned: Planned, at: float) -> Planned:
    """The same record once more."""
    return msgspec.structs.replace(planned, at=at)


def _body(
    random: Random, topic: str, account: str, event_id: str, occurred_us: int
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": event_id,
        "occurred_at": to_rfc3339(occurred_us),
        "account_id": account,
        "contact_id": random.choice(("c1", "c2", "c3@example.com")),
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


POISON = tuple(f"poison-{i}" for i in range(4))
"""Ids of events on which the engine is made to fail."""


def _bad(random: Random, i: int, account: str, homes: dict[str, str], mixed: bool) -> Planned:
    topic = random.choice(TOPICS) if mixed else homes[account]
    body = _body(random, topic, account, f"bad-{i}", START_US - HOUR)
    fate = random.choice(
        ("not_json", "empty", "missing_field", "in_the_future", "unprocessable", "unprocessable")
    )
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
        random.uniform(0.3, PRODUCED_BY),
        topic,
        partition_of(account.encode(), PARTITIONS),
        account.encode(),
        value,
        account,
        "",
        fate,
    )


# (calls that a typical run makes, port call); a fault strikes one of the first so many.
_CALLS = {
    "commit": 14,
    "publish": 12,
    "claim": 5,
    "load": 5,
    "trim": 6,
    "position": 3,
    "poll": 40,
    "seek": 5,
    "current_version": 20,
    "end_offsets": 10,
    "register": 3,
    "join": 3,
}
_TRAINER_CALLS = {
    "save_snapshot": 3,
    "trainer_checkpoint": 3,
    "snapshot": 6,
    "publish": 12,
    "samples": 8,
}
_FAVOURITES = ("commit", "publish", "claim", "load", "trim", "position", "seek")
_STORE_CALLS = (
    "commit",
    "claim",
    "trim",
    "load",
    "position",
    "current_version",
    "snapshot",
    "register",
)


def _faults(random: Random, mixed: bool) -> list[Fault]:
    faults = []
    count = random.choice((0, 1, 2, 3, 4, 5, 6, 8))
    calls = dict(_CALLS)
    if mixed:
        calls |= {op: n for op, n in _TRAINER_CALLS.items() if op not in calls}
    names = list(_KINDS)
    weights = [weight for weight, _ in _KINDS.values()]
    for kind in random.choices(names, weights, k=count):
        faults += _KINDS[kind][1](random, kind, calls)
    if random.random() < 0.12:
        at = random.uniform(0.5, 5.0)
        back = random.uniform(at, min(at + 4.0, HEALED_AT))
        faults.append(Fault("set-back", at=at, seconds=back - at))
    return faults


def _call(random: Random, calls: dict[str, int], ops: Sequence[str] = ()) -> dict[str, Any]:
    """A port call of the run."""
    if not ops:
        ops = _FAVOURITES if random.random() < 0.7 else tuple(calls)
    op = random.choice([op for op in ops if op in calls])
    return {"op": op, "nth": random.randint(1, calls[op]), "phase": random.choice(_PHASES)}


_PHASES: tuple[Phase, Phase] = ("before", "after")


def _crash(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    return [Fault(kind, **_call(random, calls), seconds=random.uniform(0.1, 4.0))]


def _stall(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    long = random.random() < 0.7
    seconds = random.uniform(SESSION_SECONDS + 0.2, 5.0) if long else random.uniform(0.1, 1.8)
    return [Fault(kind, **_call(random, calls), seconds=seconds)]


def _refused(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    found = _call(random, calls, _STORE_CALLS)
    return [Fault(kind, op=found["op"], nth=found["nth"])]


def _unknown(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    ops = ("commit", "commit", "commit", "claim", "trim", "save_snapshot")
    found = _call(random, calls, ops)
    variant = random.choice(("applied", "not applied", "applied late"))
    return [
        Fault(
            kind,
            op=found["op"],
            nth=found["nth"],
            variant=variant,
            seconds=random.uniform(0.01, 2.5) if variant == "applied late" else 0.0,
        )
    ]


def _unsent(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    variant = random.choice(("nothing", "a part", "everything"))
    return [Fault(kind, op="publish", nth=random.randint(1, calls["publish"]), variant=variant)]


def _outage(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    at = random.uniform(0.0, HEALED_AT - 2.0)
    seconds = min(random.choice((0.3, 1.5, 4.0)) * random.uniform(0.5, 1.5), HEALED_AT - at)
    return [Fault(kind, at=at, seconds=seconds, who=random.choice((-1, 0, 1, 1)))]


def _moment(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    if random.random() < 0.5:
        return [Fault(kind, **_call(random, calls), who=0)]
    return [Fault(kind, at=random.uniform(0.0, HEALED_AT - 2.0), who=random.choice((0, 1)))]


def _leave(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    return [
        Fault(
            kind,
            at=random.uniform(0.0, HEALED_AT - 3.0),
            who=random.choice((0, 1)),
            seconds=random.uniform(0.1, 3.0),
        )
    ]


def _clock(random: Random, kind: str, calls: dict[str, int]) -> list[Fault]:
    hours = random.choice((-10.0, -0.5, 0.5, 30.0, 24.0 * 40))
    return [
        Fault(kind, at=random.uniform(0.0, HEALED_AT), who=random.choice((0, 1)), seconds=hours)
    ]


_Maker = Callable[[Random, str, dict[str, int]], list[Fault]]
_KINDS: dict[str, tuple[float, _Maker]] = {
    "crash": (3.0, _crash),
    "stall": (3.0, _stall),
    "store-refused": (1.0, _refused),
    "store-unknown": (3.0, _unknown),
    "store-outage": (1.0, _outage),
    "log-unsent": (1.5, _unsent),
    "log-outage": (1.0, _outage),
    "rebalance": (2.5, _moment),
    "leave": (1.0, _leave),
    "join": (0.7, _moment),
    "clock-jump": (0.7, _clock),
}
# Erasures belong here, and `erase` records in `_records`, once a worker understands them.
