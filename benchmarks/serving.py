"""Workers that have claimed everything before a load comes: start and takeover do not count."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AsyncExitStack, ExitStack

from benchmarks.broker import PARTITIONS, drained, finished
from benchmarks.contenders import Contender, Place, Run
from benchmarks.load import Load
from benchmarks.processes import Failed, Program

_JOIN_SECONDS = 120.0
_PATIENCE_SECONDS = 240.0
_SETTLE_SECONDS = 1.0


async def serve(
    place: Place, contender: Contender, prefix: str, load: Load, *, workers: int = 1, tag: str = ""
) -> Run:
    """Write a load for workers that are held meanwhile; CPU of all of them, from then to its last
    change. Who is faster than what is written gets smaller batches, which cost more.

    `tag`: of the load's markers, where the topics have had others. Raises Failed.
    """
    async with AsyncExitStack() as running:
        start = await running.enter_async_context(contender.start(place, prefix))
        watch = await running.enter_async_context(place.broker.watching(start.output))
        programs = []
        for number in range(workers):
            log = place.folder / f"{prefix}{number}-{uuid.uuid4().hex[:6]}.log"
            program = Program(f"worker {number}", start.command, start.environment, log)
            programs.append(running.enter_context(program))
        await _all_claimed(programs)
        claimed_bytes = programs[0].resident_bytes()
        with ExitStack() as held:
            for each in programs:
                held.enter_context(each.held())
            written = await place.broker.write(prefix, load, tag=tag)
        began = time.time()
        try:
            await watch.until(drained, _PATIENCE_SECONDS, programs[0].check)
        except TimeoutError:
            words = programs[0].last_words()
            raise Failed(f"{workers} workers did not finish:\n{words}") from None
        ended = finished(watch)
        cpu_seconds = sum(each.cpu_between(began, ended) for each in programs)
        facts = {
            "claimed_bytes": claimed_bytes,  # before the load
            "resident_bytes": programs[0].resident_bytes(),
        }
    return Run(written.records, ended - began, cpu_seconds, len(watch.records), facts)


async def _all_claimed(programs: list[Program]) -> None:
    """Wait until the partitions are divided and claimed."""
    share, deadline = PARTITIONS // len(programs), time.monotonic() + _JOIN_SECONDS
    while True:
        claims = sum(each.wrote().count(": claimed with epoch") for each in programs)
        if claims >= PARTITIONS and all(_owned(each) == share for each in programs):
            await asyncio.sleep(_SETTLE_SECONDS)
            return
        for each in programs:
            each.check()
        if time.monotonic() > deadline:
            raise Failed(f"the partitions were not claimed:\n{programs[0].last_words()}")
        await asyncio.sleep(0.1)


def _owned(worker: Program) -> int:
    """Partitions that a worker says it owns."""
    told = worker.wrote().rpartition("owns partitions [")[2].partition("]")[0]
    return len([number for number in told.split(",") if number.strip().isdecimal()])
