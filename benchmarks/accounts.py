"""What an account costs: CPU of an event by the number of accounts, memory of worker and Redis."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.contenders import Contender, Run, worker, worker_settings
from benchmarks.load import Load
from benchmarks.measurement import Measurement
from benchmarks.population import fill, redis_bytes, sizes, templates
from benchmarks.section import Section
from benchmarks.serving import serve
from stream_app.settings import Settings

_METHOD = """\
Two deployments lie in the same Redis, with few and with many accounts: states and profiles that
the worker's own steps have made of events, stored through commits. In each round a worker
process takes over one and then the other; when all is claimed, a load of the same size is
written, spread over all accounts, and CPU counts from then to its last change. Memory of the
worker is what Linux counts as resident after the drain, the difference of the two by the
difference in accounts: so it has in it what the load left behind, which is more where each event
belongs to another account. Memory in Redis is what it says of the hashes with states and profiles
(`MEMORY USAGE`), by accounts."""


@dataclass
class _Deployment:
    prefix: str
    accounts: int
    contender: Contender
    redis: Mapping[str, int]
    """Bytes by kind of what is stored."""


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
            run_ = await serve(place, each.contender, each.prefix, load, tag=str(number))
            runs[each.accounts].append(run_)
        told = ", ".join(f"{runs[e.accounts][-1].cpu_us:.1f} µs" for e in both)
        bench.say(f"round {number}: CPU of an event {told}")
    costs = {n: Measurement.of([r.cpu_us for r in each]) for n, each in runs.items()}
    for count, cost in costs.items():
        section.add(f"CPU with {count:,} accounts", cost, "µs/event", form=".1f")
    for count, each_run in runs.items():
        share = Measurement.of([run.changes / run.events for run in each_run])
        section.add(f"changes per event with {count:,} accounts", share, "", form=".3f")
    ratio = costs[many].over(costs[few])
    section.add(f"{many:,} / {few:,} accounts", ratio, "x", form=".2f", at_most=1.25)
    resident, claimed = (
        Measurement.of(
            [
                (b.facts[when] - a.facts[when]) / (many - few)
                for a, b in zip(runs[few], runs[many], strict=True)
            ]
        )
        for when in ("resident_bytes", "claimed_bytes")
    )
    section.add("worker: resident", resident, "bytes/account", at_most=1_024.0)
    section.add("worker: resident before the load", claimed, "bytes/account")
    stored = {kind: size / many for kind, size in both[1].redis.items()}
    total = sum(stored.values())
    section.add("Redis: state and profile", total, "bytes/account", at_most=1_536.0)
    section.add("Redis: the state of it", stored["state"], "bytes/account")
    section.add("Redis: the profile of it", stored["profile"], "bytes/account")
    state, profile = sizes(templates(time.time_ns() // 1_000))
    section.add("the packed state alone", state, "bytes/account")
    section.add("the profile alone, JSON", profile, "bytes/account")
    if many == 1_000_000:
        section.figures["cost_ratio_1m_to_10k_accounts"] = ratio.median
    section.figures["worker_bytes_per_account"] = resident.median
    section.figures["redis_bytes_per_account"] = total
    place.clear_redis()
    return section


def _settings(bench: Bench, prefix: str, name: str) -> Settings:
    return worker_settings(bench.place.broker.bootstrap, bench.place.redis_url, prefix, name)


async def _deploy(bench: Bench, accounts: int) -> _Deployment:
    place = bench.place
    name = f"accounts-{uuid.uuid4().hex[:6]}"
    bench.say(f"storing {accounts:,} accounts")
    await place.broker.create_all(f"{name}.")
    await fill(_settings(bench, f"{name}.", name), accounts, time.time_ns() // 1_000)
    contender = worker(keep=name)
    return _Deployment(f"{name}.", accounts, contender, redis_bytes(place.redis_url, name))
