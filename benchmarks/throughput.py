"""Throughput of one worker process, Kafka to Kafka, beside the ceilings of the same run."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict

from benchmarks import ceilings
from benchmarks.bench import Bench
from benchmarks.broker import Written
from benchmarks.contenders import Place, Run, drain, worker
from benchmarks.measurement import Measurement
from benchmarks.processes import Failed
from benchmarks.section import Section

ZIPF = 1.0
_LOADS = 2
"""Times the usual load, so that the loading of accounts is a small part."""
_CEILING_SECONDS = 120.0
_LABELS = {
    "read": "ceiling (a): getmany alone",
    "decode": "ceiling (b): getmany and typed decode",
    "redis": "ceiling (c): Redis writing the same bytes",
}
_METHOD = """\
Every contender is a process of its own, reads the same log from its start, and is measured from
when it has claimed its first partition until the change of the last record is on Kafka, by the
broker's clock: start and stop do not count, but the loading of its other partitions' accounts
does. The ceilings read with aiokafka's `getmany`, (b) decodes with the worker's decoder in
Python, (c) sends commits that were computed beforehand. CPU is user and system time of the
process from /proc, without broker and Redis. Events happen at the pace at which they would
arrive, so no account falls silent on the way; the model is fixed. The worker has known most
accounts for a month. Everything else is on: epochs, offset check, outbox, de-duplication,
contacts, topics, spikes, dead letters."""

Runs = dict[str, list[Run]]


async def run(bench: Bench) -> Section:
    """Measure all, round by round."""
    plan, place = bench.plan, bench.place
    section = Section("Throughput of one worker process", _METHOD)
    loads = {
        "uniform": await bench.written(_LOADS * plan.events, accounts=plan.load_accounts),
        "Zipf": await bench.written(_LOADS * plan.events, accounts=plan.load_accounts, zipf=ZIPF),
    }
    found: dict[str, Runs] = {name: defaultdict(list) for name in loads}
    for number in range(1, plan.rounds + 1):
        for name, written in loads.items():
            for what in ceilings.WHAT:
                found[name][what].append(await ceiling(what, place, written))
            found[name]["worker"].append(await drain(worker(knows=written.load), place, written))
            bench.say(f"round {number}, {name}: {_brief(found[name])}")
    for name, runs in found.items():
        _rows(section, name, runs)
    ratios = {name: rate(runs["worker"]).over(rate(runs["decode"])) for name, runs in found.items()}
    # The less favourable load counts.
    section.figures["ratio_to_decode_ceiling"] = min(r.median for r in ratios.values())
    section.figures["ratio_to_decode_ceiling_by_load"] = {n: r.median for n, r in ratios.items()}
    section.figures["worker"] = {name: _worker(runs["worker"]) for name, runs in found.items()}
    section.figures["redis_writes"] = _redis(found["uniform"]["redis"])
    return section


async def ceiling(what: str, place: Place, written: Written) -> Run:
    """One ceiling, in a process of its own. Raises Failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.ceilings", what, "--kafka", place.broker.bootstrap),
        *("--redis", place.redis_url, "--prefix", written.prefix),
        *("--accounts", str(written.load.accounts), "--ends-us", str(written.load.ends_us)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _CEILING_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Failed(f"the ceiling {what} was not done after {_CEILING_SECONDS:.0f} s") from None
    if process.returncode:
        raise Failed(f"the ceiling {what} failed:\n{err.decode(errors='replace')[-2_000:]}")
    place.clear_redis()
    told = json.loads(out)
    return Run(told["records"], told["seconds"], told["cpu_seconds"], 0, told)


def rate(runs: list[Run]) -> Measurement:
    """Events a second."""
    return Measurement.of([run.per_second for run in runs])


def cpu(runs: list[Run]) -> Measurement:
    """CPU of an event, microseconds."""
    return Measurement.of([run.cpu_us for run in runs])


def _worker(runs: list[Run]) -> dict[str, float]:
    """What docs/scaling.md reckons with."""
    changes = Measurement.of([run.changes / run.events for run in runs])
    return {
        "events_per_second": rate(runs).median,
        "cpu_us_per_event": cpu(runs).median,
        "changes_per_event": changes.median,
    }


def _redis(runs: list[Run]) -> dict[str, float]:
    """The same of Redis and of what goes through Kafka, per event."""
    per_event = {
        "redis_cpu_us_per_event": ("redis_cpu_seconds", 1e6),
        "read_bytes_per_event": ("read_bytes", 1.0),
        "stored_bytes_per_event": ("stored_bytes", 1.0),
        "published_bytes_per_event": ("published_bytes", 1.0),
    }
    return {"events_per_second": rate(runs).median} | {
        name: Measurement.of([factor * run.facts[fact] / run.events for run in runs]).median
        for name, (fact, factor) in per_event.items()
    }


def _rows(section: Section, name: str, runs: Runs) -> None:
    for what, label in _LABELS.items():
        section.add(f"{name}: {label}", rate(runs[what]), "events/s")
    section.add(f"{name}: worker", rate(runs["worker"]), "events/s")
    ratio = rate(runs["worker"]).over(rate(runs["decode"]))
    section.add(f"{name}: worker / ceiling (b)", ratio, "x", form=".2f", at_least=0.5)
    section.add(f"{name}: CPU of ceiling (b)", cpu(runs["decode"]), "µs/event", form=".1f")
    section.add(f"{name}: CPU of the worker", cpu(runs["worker"]), "µs/event", form=".1f")
    by_cpu = cpu(runs["decode"]).over(cpu(runs["worker"]))
    section.add(
        f"{name}: worker / ceiling (b), by CPU",
        by_cpu,
        "x",
        form=".2f",
        note="what the ratio is when nobody waits",
    )
    share = Measurement.of([run.changes / run.events for run in runs["worker"]])
    section.add(f"{name}: changes per event", share, "", form=".3f")
    served = Measurement.of(
        [1e6 * run.facts["redis_cpu_seconds"] / run.events for run in runs["redis"]]
    )
    section.add(
        f"{name}: CPU of Redis in ceiling (c)",
        served,
        "µs/event",
        form=".1f",
        note="the server's, of which one core is all that a shard has",
    )


def _brief(runs: Runs) -> str:
    return ", ".join(f"{what} {run[-1].per_second:,.0f}/s" for what, run in runs.items())
