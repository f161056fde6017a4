"""The sweep over many accounts that are all due at once, in portions, without I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.bench import Bench
from benchmarks.measurement import Measurement
from benchmarks.section import Section
from stream_app.events.instants import DAY, SECOND
from stream_app.features import silence
from stream_app.features.table import states_of
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.settings import Settings
from stream_app.streams.processor import Pipeline, Processor
from tests.scale.accounts import MODEL, Records, templates

_CHUNK = 50_000
_METHOD = """\
Every account's next silence check is due at the same instant, and most accounts stay where they
are. The worker's own processor sweeps them in portions of the size that its pace settles at (3
ms) and in portions of 2,000, its upper limit, until nothing is left: the engine's decisions and
the packing of the states, without the commit. That is the worst that can happen, after a long
stop; a row below has what a second brings in ordinary times. CPU time of the process; `make
scale ARGS=wave` has the same with everything around it."""


@dataclass(frozen=True, slots=True)
class _Sweep:
    cpu_seconds: float
    longest_ms: float


async def run(bench: Bench) -> Section:
    """Sweep the same accounts with both portions, in turns."""
    section = Section("Sweep of silent accounts", _METHOD)
    accounts = bench.plan.swept_accounts
    settings = Settings()
    due_us = time.time_ns() // 1_000
    drawn = templates(due_us, settings)
    records = drawn.drawn(accounts, 0.02, np.random.default_rng(1))
    for limit in (250, 2_000):
        found = [_swept(settings, records, due_us, limit) for _ in range(bench.plan.rounds)]
        cpu = Measurement.of([each.cpu_seconds for each in found])
        longest = Measurement.of([each.longest_ms for each in found])
        name = f"{accounts:,} accounts in portions of {limit:,}"
        million = Measurement.of([1e6 * one.cpu_seconds / accounts for one in found])
        section.add(f"{name}: CPU", cpu, "s", form=".2f")
        section.add(
            f"{name}: CPU for 1,000,000 at that rate", million, "s", form=".1f", at_most=1.0
        )
        section.figures.setdefault("sweep_cpu_us_per_account", million.median)
        section.add(f"{name}: longest portion", longest, "ms", form=".1f", at_most=20.0)
    steady = [_second(settings, records, due_us) for _ in range(bench.plan.rounds)]
    seconds = [1e6 / accounts * each for each, _ in steady]
    section.add(
        "silences of all lengths: a second's checks of 1,000,000 at that rate, CPU",
        Measurement.of(seconds),
        "s",
        form=".3f",
    )
    due = [1e6 / accounts * count for _, count in steady]
    section.add("accounts of these that are due", Measurement.of(due), "accounts", form=",.0f")
    looks = [_looked(settings, records, due_us) for _ in range(bench.plan.rounds)]
    name = f"one look at {accounts:,} accounts of which none is due"
    section.add(name, Measurement.of(looks), "ms", form=".2f", at_most=20.0)
    return section


def _swept(settings: Settings, records: Records, due_us: int, limit: int) -> _Sweep:
    processor, assigner = _owner(settings, records)
    began, longest = time.process_time(), 0.0
    while True:
        before = time.process_time()
        work = processor.sweep(due_us + 1, assigner, due_us, limit)
        longest = max(longest, time.process_time() - before)
        if not work.states:
            break
    return _Sweep(time.process_time() - began, 1e3 * longest)


def _second(settings: Settings, records: Records, now_us: int) -> tuple[float, int]:
    """CPU seconds of what a second brings in ordinary times, and how many accounts that concerns:
    silences from an hour to a quarter of a year, as many of each order of magnitude."""
    spread = records.copy()
    shortest, longest = float(silence.FIRST_US), 90.0 * DAY
    silences = np.exp(
        np.random.default_rng(2).uniform(np.log(shortest), np.log(longest), len(records))
    ).astype(np.int64)
    spread["latest_us"] = now_us - silences
    spread["checks"] = np.searchsorted(silence.OFFSETS_US, silences)
    processor, assigner = _owner(settings, spread)
    began = time.process_time()
    concerned = 0
    while processor.due(now_us + SECOND):
        concerned += len(processor.sweep(now_us + SECOND, assigner, now_us, 250).states)
    return time.process_time() - began, concerned


def _looked(settings: Settings, records: Records, due_us: int) -> float:
    """Milliseconds of CPU of what every tick does where silence moves nobody."""
    processor, assigner = _owner(settings, records)
    began = time.process_time()
    assert not processor.unchecked(assigner)
    assert not processor.due(due_us - 1)
    return 1e3 * (time.process_time() - began)


def _owner(settings: Settings, records: Records) -> tuple[Processor, Assigner]:
    processor = Processor(Pipeline(settings), 0, 1)
    for start in range(0, len(records), _CHUNK):
        part = records[start : start + _CHUNK]
        processor.put([f"account-{start + n:07}" for n in range(len(part))], states_of(part))
    processor.recount()
    # The model is not new to them: only silence is to be decided.
    processor.table.data["model"] = MODEL.version
    return processor, Assigner(MODEL, Hysteresis.of(settings.segments))
