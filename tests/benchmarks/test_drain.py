"""One small drain of everything that needs no other framework, on real servers."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from benchmarks import ceilings
from benchmarks.broker import Broker, Written
from benchmarks.contenders import Place, drain, worker
from benchmarks.load import Load
from benchmarks.throughput import ceiling

EVENTS = 2_000
MARKERS = 2 * 3 * 8


@pytest.fixture
def place(kafka_bootstrap: str, redis_url: str, tmp_path: Path) -> Place:
    return Place(Broker(kafka_bootstrap), redis_url, tmp_path)


@pytest.fixture
async def written(place: Place) -> Written:
    prefix = f"drain-{uuid.uuid4().hex[:8]}."
    await place.broker.create_all(prefix)
    load = Load(EVENTS, 40, ends_us=time.time_ns() // 1_000 - 1_000_000)
    return await place.broker.write(prefix, load)


async def test_a_worker_and_the_ceilings_process_the_whole_load(
    place: Place, written: Written
) -> None:
    assert written.records == EVENTS + MARKERS
    for what in ceilings.WHAT:
        run = await ceiling(what, place, written)
        assert run.events == written.records
        assert run.seconds > 0
    run = await drain(worker(), place, written)
    assert run.changes >= 40 + MARKERS
    assert run.cpu_seconds > 0
    assert run.facts["resident_bytes"] > 0
