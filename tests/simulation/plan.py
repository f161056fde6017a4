"""What a seed stands for: settings, records to produce, and faults with their moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from stream_app.events.instants import HOUR
from tests.simulation.constants import START_US
from tests.simulation.controls import with_controls
from tests.simulation.faults import Fault, make_faults
from tests.simulation.records import Planned, make_records


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
        max_batch=random.choice((2, 8, 50)),
        outbox_limit=random.choice((3, 1_000)),
        sweep_accounts=random.choice((1, 100)),
    )
    speed = random.choice((HOUR // 2, 2 * HOUR, 6 * HOUR))
    workers, model = random.choice((2, 2, 3)), random.random() < 0.9
    records = make_records(random, mixed, speed)
    faults = make_faults(random, mixed)
    if mixed or not any(fault.kind == "set-back" for fault in faults):
        records = with_controls(Random(f"controls {seed}"), records, mixed, speed)
    return Plan(
        seed=seed,
        shape=shape,
        workers=workers,
        model=model,
        us_per_second=speed,
        records=tuple(sorted(records, key=lambda r: r.at)),
        faults=tuple(faults),
    )
