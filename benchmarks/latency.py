"""Latency: from when an event was to be sent to when its change can be read."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from datetime import datetime

import numpy as np

from benchmarks.bench import Bench
from benchmarks.broker import Watch
from benchmarks.contenders import Place, worker
from benchmarks.measurement import Measurement
from benchmarks.processes import Failed, Program
from benchmarks.section import Section

RATES = (2_000, 5_000)
_START_SECONDS = 6.0
"""Until the first event is due: the source draws its events first."""
_WARM_SECONDS = 3.0
"""Of the load, which does not count."""
_EVENTS_PER_ACCOUNT = 25
_TOP_P50, _TOP_P99 = 10.0, 40.0
_METHOD = """\
A worker runs and has caught up. A source of its own process sends events at a fixed rate, each
when it is due, whatever became of those before (open loop), and a consumer reads `segment-
changes`. Latency is the time from when the event that caused a change was *to be* sent until
the consumer has the change in hand; so a stall counts for every event that was due during it.
All share two cores: source, broker, Redis, worker and consumer. The first three seconds do not
count. Percentiles are of one run; the median is over the runs."""


async def run(bench: Bench) -> Section:
    """Measure each rate in turn."""
    section = Section("Latency", _METHOD)
    found: dict[int, list[tuple[float, float, float, int]]] = {rate: [] for rate in RATES}
    for number in range(1, bench.plan.rounds + 1):
        for rate in RATES:
            each = await _measure(bench, rate, seed=100 * number + rate // 1_000)
            found[rate].append(each)
            bench.say(f"round {number}, {rate}/s: p50 {each[0]:.1f} ms, p99 {each[1]:.1f} ms")
    figures: dict[str, dict[str, float]] = {}
    for rate, runs in found.items():
        p50, p99, late, changes = (Measurement.of(column) for column in zip(*runs, strict=True))
        section.add(f"{rate:,}/s: p50", p50, "ms", form=".1f", at_most=_TOP_P50)
        section.add(f"{rate:,}/s: p99", p99, "ms", form=".1f", at_most=_TOP_P99)
        section.add(f"{rate:,}/s: source itself late, p99", late, "ms", form=".1f")
        section.add(f"{rate:,}/s: changes that were timed", changes, "changes")
        figures[str(rate)] = {"p50": p50.median, "p99": p99.median}
    section.figures["latency_ms"] = figures
    return section


async def _measure(bench: Bench, rate: int, seed: int) -> tuple[float, float, float, int]:
    """(p50, p99, p99 of the source's own lateness, changes), milliseconds."""
    place, seconds = bench.place, bench.plan.latency_seconds
    prefix = f"latency-{uuid.uuid4().hex[:6]}."
    await place.broker.create_all(prefix)
    log = place.folder / f"{prefix}log"
    async with worker().start(place, prefix) as start:
        with Program("stream-app worker", start.command, start.environment, log) as program:
            await _reading(program)
            begins = time.time() + _START_SECONDS
            # At once: a fetch that waits for more bytes would be the reader's own delay.
            async with place.broker.watching(start.output, prompt=True) as watch:
                source = asyncio.create_task(_source(place, prefix, rate, seconds, begins, seed))
                taken = await _taken(watch, source, program)
                late = source.result()
    waits = [took for at, took in taken if at >= begins + _WARM_SECONDS]
    if not waits:
        raise Failed(f"no change was read at {rate} events/s:\n{program.last_words()}")
    p50, p99 = np.percentile(np.array(waits) * 1e3, [50, 99])
    return float(p50), float(p99), late, len(waits)


async def _reading(program: Program) -> None:
    """Wait until the worker owns all partitions and reads them."""
    deadline = time.monotonic() + 60.0
    while program.wrote().count(": claimed with epoch") < 8:
        program.check()
        if time.monotonic() > deadline:
            raise Failed(f"the worker did not claim its partitions:\n{program.last_words()}")
        await asyncio.sleep(0.1)


async def _taken(
    watch: Watch, source: asyncio.Task[float], program: Program
) -> list[tuple[float, float]]:
    """(when the event was due, seconds until its change was read) until a second after the end."""
    taken: list[tuple[float, float]] = []
    ends = float("inf")
    while time.time() < ends:
        if source.done() and ends == float("inf"):
            ends = time.time() + 1.0
        for record in await watch.some():
            now = time.time()
            at = datetime.fromisoformat(json.loads(record.value)["occurred_at"]).timestamp()
            taken.append((at, now - at))
        program.check()
    return taken


async def _source(
    place: Place, prefix: str, rate: int, seconds: float, begins: float, seed: int
) -> float:
    """Run the source. Returns the 99th percentile of its own lateness."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.sender", "--kafka", place.broker.bootstrap),
        *("--prefix", prefix, "--rate", str(rate), "--seconds", str(seconds)),
        *("--begins", str(begins), "--seed", str(seed)),
        *("--accounts", str(round(rate * seconds / _EVENTS_PER_ACCOUNT))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), seconds + 60.0)
    if process.returncode:
        raise Failed("the source of events failed")
    return float(json.loads(out)["p99"])
