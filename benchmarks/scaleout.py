"""Two worker processes against one, on the same two cores as everything else."""

from __future__ import annotations

import time
import uuid

from benchmarks.bench import Bench
from benchmarks.contenders import worker
from benchmarks.load import Load
from benchmarks.measurement import Measurement
from benchmarks.section import Section
from benchmarks.serving import serve

_METHOD = """\
Workers join one group on empty topics; when each owns its share of the partitions, they are held
until the load is written, and what both take of the CPU from then to the last change is added
up. On two cores that broker and Redis share, two workers cannot be faster than one: CPU per
event counts."""


async def run(bench: Bench) -> Section:
    """Measure one and two in turns."""
    section = Section("Two workers against one", _METHOD)
    found: dict[int, list[float]] = {1: [], 2: []}
    for number in range(1, bench.plan.rounds + 1):
        for count, costs in found.items():
            costs.append(await _cpu_us(bench, count))
        bench.say(f"round {number}: {found[1][-1]:.1f} and {found[2][-1]:.1f} µs/event")
    one, two = Measurement.of(found[1]), Measurement.of(found[2])
    section.add("one worker: CPU", one, "µs/event", form=".1f")
    section.add("two workers: CPU of both", two, "µs/event", form=".1f")
    ratio = two.over(one)
    section.add("CPU per event, two / one", ratio, "x", form=".2f", at_most=1.1)
    section.figures["cpu_ratio_two_workers_to_one"] = ratio.median
    return section


async def _cpu_us(bench: Bench, workers: int) -> float:
    """CPU of an event, microseconds."""
    prefix = f"group-{uuid.uuid4().hex[:6]}."
    await bench.place.broker.create_all(prefix)
    events = bench.plan.events
    load = Load(events, bench.plan.accounts(events), ends_us=time.time_ns() // 1_000 - 5_000_000)
    return (await serve(bench.place, worker(), prefix, load, workers=workers)).cpu_us
