"""What an account costs: CPU of an event by the number of accounts, memory of worker and Redis."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.contenders import Contender, Run, drain, worker, worker_settings
from benchmarks.load import Load
from benchmarks.measurement import Measurement
from benchmarks.population import fill, sizes, templates, used_memory
from benchmarks.section import Section
from stream_app.settings import Settings

_PATIENCE_SECONDS = 240.0
_METHOD = """\
Two deployments lie in the same Redis, with few and with many accounts: states and profiles that
the worker's own steps have made of events, stored through commits. In each round a worker
process takes over one and then the other, and drains a load of the same size that is spread
over all of its accounts. Memory of the worker is what Linux counts as resident after the drain,
the difference of the two by the difference in accounts; memory in Redis is the growth of
`used_memory` by accounts."""


@dataclass
class _Deployment:
    prefix: str
    accounts: int
    contender: Contender
    redis_bytes: float = 0.0


async def run(bench: Bench) -> Section:
    """Fill both, then measure in turns."""
    plan, place = bench.plan, bench.place
    section = Section("What an account costs", _METHOD)
    few, many = plan.few_accounts, plan.many_accounts
    both = [await _deploy(bench, count) for count in (few, many)]
    runs: dict[int, list[Run]] = {few: [], many: []}
    events = plan.events // 2
    for number in range(1, plan.rounds + 1):
        for each in both:
            load = Load(
                events,
                each.accounts,
                span_seconds=60.0,
                ends_us=time.time_ns() // 1_000 - 1_000_000,
                seed=1_000 + number,
            )
            written = await place.broker.write(each.prefix, load, tag=str(number))
            runs[each.accounts].append(await drain(each.contender, place, written))
        told = ", ".join(f"{runs[e.accounts][-1].cpu_us:.1f} µs" for e in both)
        bench.say(f"round {number}: CPU of an event {told}")
    costs = {n: Measurement.of([r.cpu_us for r in each]) for n, each in runs.items()}
    for count, cost in costs.items():
        section.add(f"CPU with {count:,} accounts", cost, "µs/event", form=".1f")
    ratio = costs[many].over(costs[few])
    section.add(f"{many:,} / {few:,} accounts", ratio, "x", form=".2f", at_most=1.25)
    resident = Measurement.of(
        [
            (b.facts["resident_bytes"] - a.facts["resident_bytes"]) / (many - few)
            for a, b in zip(runs[few], runs[many], strict=True)
        ]
    )
    section.add("worker: resident", resident, "bytes/account", at_most=1_024.0)
    section.add("Redis: used_memory", both[1].redis_bytes, "bytes/account", at_most=1_536.0)
    state, profile = sizes(templates(_settings(bench, "sizes."), time.time_ns() // 1_000))
    section.add("Redis: of it the packed state", state, "bytes/account")
    section.add("Redis: of it the profile (JSON)", profile, "bytes/account")
    if many == 1_000_000:
        section.figures["cost_ratio_1m_to_10k_accounts"] = ratio.median
    section.figures["worker_bytes_per_account"] = resident.median
    section.figures["redis_bytes_per_account"] = both[1].redis_bytes
    place.clear_redis()
    return section


def _settings(bench: Bench, prefix: str, name: str = "sizes") -> Settings:
    return worker_settings(bench.place.broker.bootstrap, bench.place.redis_url, prefix, name)


async def _deploy(bench: Bench, accounts: int) -> _Deployment:
    place = bench.place
    name = f"accounts-{uuid.uuid4().hex[:6]}"
    bench.say(f"storing {accounts:,} accounts")
    await place.broker.create_all(f"{name}.")
    before = used_memory(place.redis_url)
    await fill(_settings(bench, f"{name}.", name), accounts, time.time_ns() // 1_000)
    grown = used_memory(place.redis_url) - before
    contender = worker(keep=name, patience_seconds=_PATIENCE_SECONDS)
    return _Deployment(f"{name}.", accounts, contender, grown / accounts)
