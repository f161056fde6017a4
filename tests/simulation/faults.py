"""The faults of a run and their moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

import msgspec

from tests.simulation.constants import HEALED_AT, SESSION_SECONDS

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
    "registry": 20,
    "end_offsets": 10,
    "register": 3,
    "join": 3,
}
_TRAINER_CALLS = {
    "update_registry": 3,
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
    "registry",
    "snapshot",
    "register",
)


def make_faults(random: Random, mixed: bool) -> list[Fault]:
    """What goes wrong in a run."""
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
    ops = ("commit", "commit", "commit", "claim", "trim", "update_registry")
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
