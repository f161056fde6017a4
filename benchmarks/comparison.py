"""The same job in other frameworks, beside the product's worker, in turns."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.broker import Written
from benchmarks.contenders import Run, drain, worker
from benchmarks.measurement import Measurement
from benchmarks.peers.registry import PEERS, Peer
from benchmarks.processes import Failed
from benchmarks.section import LeftOut, Section
from benchmarks.throughput import cpu, rate
from benchmarks.verify import verified

_METHOD = """\
The job is defined in benchmarks/peers/JOB.md. Everybody begins with no accounts. Before it is
timed each peer is compared with the reference, change by change and across a restart (`python
-m benchmarks.verify NAME`). The loads have as many events per account as that of the worker,
and fewer accounts where a peer is slower, so that each is measured for some seconds. The worker
does its whole work here, which is more than the job; the peers are measured from their first
event, and have the guarantees that their documentation starts from. Rates are by the wall
clock; the CPU of Kafka Streams includes its garbage collector and compiler."""
_TARGETS = {"faust": 15.0, "quix": 5.0, "bytewax": 5.0}
_BY_CPU = {"kafka_streams": ("ratio_to_kafka_streams_cpu", 1.0)}

Runs = dict[str, list[Run]]


async def run(bench: Bench) -> Section:
    """Measure worker and peers, round by round."""
    plan, place = bench.plan, bench.place
    section = Section("The same job in other frameworks", _METHOD)
    ready = await _ready(bench, section)
    own = await bench.written(plan.events)
    loads: dict[str, Written] = {}
    for peer, _ in ready:
        loads[peer.name] = await bench.written(max(round(peer.events * plan.peer_share), 1_000))
    runs: Runs = defaultdict(list)
    for number in range(1, plan.rounds + 1):
        runs["worker"].append(await drain(worker(), place, own))
        for peer, packages in ready:
            if peer.title in section.left_out:
                continue
            try:
                done = await drain(peer.contender(packages), place, loads[peer.name])
            except Failed as failed:
                section.left_out[peer.title] = str(failed)
                continue
            runs[peer.name].append(done)
        told = ", ".join(f"{name} {each[-1].per_second:,.0f}/s" for name, each in runs.items())
        bench.say(f"round {number}: {told}")
    _rows(section, [peer for peer, _ in ready if peer.title not in section.left_out], runs)
    return section


async def _ready(bench: Bench, section: Section) -> list[tuple[Peer, Path]]:
    """The peers that are to be had here and do the same job."""
    found = []
    for peer in PEERS:
        try:
            bench.say(f"{peer.title}: installing, if it is not")
            packages = peer.install()
            if (verification := verified(peer, packages, bench.place)) is not None:
                bench.say(f"{peer.title}: comparing what it publishes with the reference")
                await verification
        except (LeftOut, Failed) as error:
            section.left_out[peer.title] = str(error)
            continue
        found.append((peer, packages))
    return found


def _rows(section: Section, peers: list[Peer], runs: Runs) -> None:
    own = runs["worker"]
    section.add("stream-app worker", rate(own), "events/s")
    section.add("stream-app worker: CPU", cpu(own), "µs/event", form=".1f")
    for peer in peers:
        theirs = runs[peer.name]
        section.add(peer.title, rate(theirs), "events/s")
        section.add(f"{peer.title}: CPU", cpu(theirs), "µs/event", form=".1f")
        ratio, by_cpu = rate(own).over(rate(theirs)), cpu(theirs).over(cpu(own))
        target = _TARGETS.get(peer.name)
        section.add(f"worker / {peer.title}", ratio, "x", form=".2f", at_least=target)
        key, least = _BY_CPU.get(peer.name, ("", None))
        section.add(f"worker / {peer.title}, per CPU second", by_cpu, "x", form=".2f",
                    at_least=least)  # fmt: skip
        if key:
            section.figures[key] = by_cpu.median
        else:
            section.figures[f"ratio_to_{peer.name}"] = ratio.median
        share = Measurement.of([run.changes / run.events for run in theirs])
        section.add(f"{peer.title}: changes per event", share, "", form=".3f")
