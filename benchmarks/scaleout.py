"""Two worker processes against one, on the same two cores as everything else."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AsyncExitStack

from benchmarks.bench import Bench
from benchmarks.broker import drained, stretch
from benchmarks.contenders import worker
from benchmarks.load import Load
from benchmarks.measurement import Measurement
from benchmarks.processes import Failed, Program
from benchmarks.section import Section

_JOIN_SECONDS = 60.0
_PATIENCE_SECONDS = 180.0
_METHOD = """\
Workers join one group on empty topics; when each owns its share of the partitions, the load is
written, and what both take of the CPU from the first change to the last is added up. On two
cores that broker, Redis and load share, two workers cannot be faster than one: CPU per event
counts."""


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


async def _cpu_us(bench: Bench, count: int) -> float:
    """CPU of an event, microseconds."""
    place, plan = bench.place, bench.plan
    prefix = f"group-{uuid.uuid4().hex[:6]}."
    await place.broker.create_all(prefix)
    events = plan.events // 2
    async with AsyncExitStack() as running:
        start = await running.enter_async_context(worker().start(place, prefix))
        watch = await running.enter_async_context(place.broker.watching(start.output))
        workers = []
        for n in range(count):
            log = place.folder / f"{prefix}{n}.log"
            program = Program(f"worker {n}", start.command, start.environment, log)
            workers.append(running.enter_context(program))
        await _shared(workers)
        load = Load(events, plan.accounts(events), ends_us=time.time_ns() // 1_000 - 5_000_000)
        await place.broker.write(prefix, load)
        try:
            await watch.until(drained, _PATIENCE_SECONDS, workers[0].check)
        except TimeoutError:
            raise Failed(f"{count} workers did not finish:\n{workers[0].last_words()}") from None
        began, ended = stretch(watch)
        cpu_seconds = sum(each.cpu_between(began, ended) for each in workers)
    return 1e6 * cpu_seconds / events


async def _shared(workers: list[Program]) -> None:
    """Wait until the partitions are divided and all claimed."""
    share = 8 // len(workers)
    deadline = time.monotonic() + _JOIN_SECONDS
    while not all(_owns(each) == share for each in workers):
        if time.monotonic() > deadline:
            raise Failed(f"the partitions were not shared out:\n{workers[0].last_words()}")
        await asyncio.sleep(0.1)
    await asyncio.sleep(2.0)  # claims follow at once


def _owns(worker: Program) -> int:
    """Partitions that a worker says it owns."""
    told = worker.wrote().rpartition("owns partitions [")[2].partition("]")[0]
    return len([number for number in told.split(",") if number.strip().isdecimal()])
