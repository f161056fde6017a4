"""What cannot be spread over workers: one account, and the trainer. CPU in this process."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from benchmarks.bench import Bench
from benchmarks.job import snapshot
from benchmarks.load import Load, items
from benchmarks.measurement import Measurement
from benchmarks.population import recorded
from benchmarks.section import Section
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.segments.trainer import Trainer
from stream_app.settings import Settings
from stream_app.streams.processor import Pipeline, Processor

_BATCH = 4_000
_WARM, _LEARNT, _CHUNK = 8_000, 4_000, 500
_GROUPS = 5
_METHOD = """\
All events of an account go through one partition, and all training vectors through one trainer. A
batch in which every event is of the same account is the worst that an account can do: each event
is applied after the one before. Without reading, commit and publishing. Of the trainer, the median
of portions of 500 vectors, between its refits. CPU time of the process."""


async def run(bench: Bench) -> Section:
    """Measure both, some times."""
    section = Section("What cannot be spread", _METHOD)
    rounds = range(bench.plan.rounds)
    one = Measurement.of([_one_account(bench.plan.events // 10) for _ in rounds])
    section.add("one account has all events", one, "µs/event", form=".1f")
    trainer = Measurement.of([_trainer() for _ in rounds])
    section.add("the trainer learns", trainer, "µs/vector", form=".1f")
    section.figures["one_account_cpu_us_per_event"] = one.median
    section.figures["trainer_cpu_us_per_vector"] = trainer.median
    return section


def _one_account(events: int) -> float:
    """CPU of one of its events, microseconds."""
    settings = Settings()
    load = Load(events, 1, span_seconds=600.0, ends_us=time.time_ns() // 1_000)
    records = recorded(items(load), "")
    processor = Processor(Pipeline(settings), 0, 1)
    assigner = Assigner(snapshot(), Hysteresis.of(settings.segments))
    began = time.process_time()
    for start in range(0, len(records), _BATCH):
        processor.process(records[start : start + _BATCH], assigner, load.ends_us)
    return 1e6 * (time.process_time() - began) / len(records)


def _trainer() -> float:
    """CPU of one vector once there is a model, between refits, microseconds."""
    rng = np.random.default_rng(1)
    centres = rng.exponential(1.5, (_GROUPS, len(MODEL_VECTOR)))
    drawn = rng.integers(_GROUPS, size=_WARM + _LEARNT)
    vectors = np.maximum(centres[drawn] + rng.normal(0.0, 0.2, (len(drawn), len(MODEL_VECTOR))), 0)
    at_us = [1_700_000_000_000_000 + 60_000_000 * n for n in range(len(vectors))]
    rows = vectors.tolist()
    trainer = Trainer(Settings().segments)
    trainer.learn(rows[:_WARM], at_us[:_WARM])
    took = []
    for start in range(_WARM, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        began = time.process_time()
        trainer.learn(rows[part], at_us[part])
        took.append(time.process_time() - began)
    return 1e6 * median(took) / _CHUNK
