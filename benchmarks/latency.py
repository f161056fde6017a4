"""Latency: from when an event was to be sent to when its change can be read."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from benchmarks.bench import Bench
from benchmarks.broker import Watch
from benchmarks.contenders import worker
from benchmarks.measurement import Measurement
from benchmarks.processes import Failed, Program
from benchmarks.section import Section

RATES = (2_000, 5_000)
_WARM_SECONDS = 2.0
"""Of the load, which does not count."""
_EVENTS_PER_ACCOUNT = 25
_TOP_P50, _TOP_P99 = 10.0, 40.0
_METHOD = """\
A worker runs and has caught up. A source of its own process sends events at a fixed rate, each
when it is due, whatever became of those before (open loop), and a consumer reads `segment-
changes`. Latency is the time from when the event that caused a change was *to be* sent until
the consumer has the change in hand; so a stall counts for every event that was due during it.
All share two cores: source, broker, Redis, worker and consumer. A first round at each rate does not
count, for a broker just started compiles what it does often; nor do the first seconds of a round.
Percentiles are of one run; the median is over the runs."""


_Told = dict[str, float]
"""What the source says at its end."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One run at one rate, milliseconds."""

    p50: float
    p99: float
    source_p99: float
    changes: int


async def run(bench: Bench) -> Section:
    """Measure each rate in turn, with one worker that runs all the while."""
    section = Section("Latency", _METHOD)
    place = bench.place
    found: dict[int, list[_Seen]] = {rate: [] for rate in RATES}
    prefix = f"latency-{uuid.uuid4().hex[:6]}."
    await place.broker.create_all(prefix)
    log = place.folder / f"{prefix}log"
    async with worker().start(place, prefix) as start:
        with Program("stream-app worker", start.command, start.environment, log) as program:
            await _reading(program)
            for number in range(bench.plan.rounds + 1):
                for rate in RATES:
                    source = _source(bench, prefix, rate, seed=100 * number + rate // 1_000)
                    # At once: a fetch that waits for more bytes would be the reader's own delay.
                    async with place.broker.watching(start.output, prompt=True) as watch:
                        each = await _seen(watch, source, program)
                    told = f"{rate}/s: p50 {each.p50:.1f} ms, p99 {each.p99:.1f} ms"
                    if number:
                        found[rate].append(each)
                    bench.say(f"round {number}, {told}" if number else f"does not count: {told}")
    figures: dict[str, dict[str, float]] = {}
    for rate, seen in found.items():
        p50 = Measurement.of([each.p50 for each in seen])
        p99 = Measurement.of([each.p99 for each in seen])
        late = Measurement.of([each.source_p99 for each in seen])
        changes = Measurement.of([each.changes for each in seen])
        section.add(f"{rate:,}/s: p50", p50, "ms", form=".1f", at_most=_TOP_P50)
        section.add(f"{rate:,}/s: p99", p99, "ms", form=".1f", at_most=_TOP_P99)
        section.add(f"{rate:,}/s: source itself late, p99", late, "ms", form=".1f")
        section.add(f"{rate:,}/s: changes that were timed", changes, "changes")
        figures[str(rate)] = {"p50": p50.median, "p99": p99.median}
    section.figures["latency_ms"] = figures
    return section


async def _reading(program: Program) -> None:
    """Wait until the worker owns all partitions and reads them."""
    deadline = time.monotonic() + 60.0
    while program.wrote().count(": claimed with epoch") < 8:
        program.check()
        if time.monotonic() > deadline:
            raise Failed(f"the worker did not claim its partitions:\n{program.last_words()}")
        await asyncio.sleep(0.1)


async def _seen(watch: Watch, told: Coroutine[Any, Any, _Told], program: Program) -> _Seen:
    """Read changes until a second after the source's end."""
    taken: list[tuple[float, float]] = []
    source, ends = asyncio.create_task(told), float("inf")
    while time.time() < ends:
        if source.done() and ends == float("inf"):
            source.result()
            ends = time.time() + 1.0
        for record in await watch.some():
            now = time.time()
            at = datetime.fromisoformat(json.loads(record.value)["occurred_at"]).timestamp()
            taken.append((at, now - at))
        program.check()
    counts_from = source.result()["begins"] + _WARM_SECONDS
    waits = [took for at, took in taken if at >= counts_from]
    if not waits:
        raise Failed(f"no change was read:\n{program.last_words()}")
    p50, p99 = np.percentile(np.array(waits) * 1e3, [50, 99])
    return _Seen(float(p50), float(p99), source.result()["p99"], len(waits))


async def _source(bench: Bench, prefix: str, rate: int, seed: int) -> _Told:
    """Run the source. Returns when it began and how late it was itself."""
    seconds = bench.plan.latency_seconds
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.sender", "--kafka", bench.place.broker.bootstrap),
        *("--prefix", prefix, "--rate", str(rate), "--seconds", str(seconds)),
        *("--seed", str(seed)),
        *("--accounts", str(round(rate * seconds / _EVENTS_PER_ACCOUNT))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 3 * seconds + 60.0)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Failed("the source of events did not end") from None
    if process.returncode:
        raise Failed("the source of events failed")
    found: _Told = json.loads(out)
    return found
