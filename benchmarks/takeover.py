"""Claim of a large partition; `tests/scale` has the rig."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from benchmarks.bench import Bench
from benchmarks.measurement import Measurement
from benchmarks.processes import Failed
from benchmarks.section import Section

_SECONDS = 180.0
_METHOD = """\
A worker that owns a busy partition (400 events a second) takes over another one, whose accounts
lie in Redis: from the claim until the partition is read. `make scale ARGS=takeover` is the
same."""


async def run(bench: Bench) -> Section:
    """Measure some takeovers, each in a process of its own."""
    section = Section("Claim of a partition", _METHOD)
    accounts = bench.plan.partition_accounts
    told = [await _takeover(bench, accounts) for _ in range(bench.plan.rounds)]
    seconds = Measurement.of([each["claim_seconds"] for each in told])
    section.add(f"claim of {accounts:,} accounts", seconds, "s", form=".2f", at_most=3.0)
    cpu = Measurement.of([each["cpu_seconds"] for each in told])
    section.add("CPU of the worker meanwhile", cpu, "s", form=".2f")
    longest = Measurement.of([each["longest_round_cpu_ms"] for each in told])
    section.add("longest round of its event loop, CPU", longest, "ms", form=".1f")
    resident = Measurement.of([each["bytes_per_account"] for each in told])
    section.add("worker: resident", resident, "bytes/account")
    section.figures["claim_seconds"] = seconds.median
    section.figures["claim_accounts"] = accounts
    section.figures["claim_cpu_seconds"] = cpu.median
    return section


async def _takeover(bench: Bench, accounts: int) -> dict[str, float]:
    place = bench.place
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.scale", "takeover", "--accounts", str(accounts)),
        *("--redis", place.redis_url),
        env={**os.environ, "STREAM_APP_TEST_KAFKA": place.broker.bootstrap},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Failed(f"a takeover was not done after {_SECONDS:.0f} s") from None
    if process.returncode:
        raise Failed(f"a takeover failed:\n{err.decode(errors='replace')[-2_000:]}")
    place.clear_redis()
    found: dict[str, float] = json.loads(out)["takeover"]
    return found
