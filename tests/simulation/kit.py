"""What runs share because it is costly to build: settings, pipelines, models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec
import numpy as np

from stream_app.control import Controls
from stream_app.effects import Effects
from stream_app.engine import Engine
from stream_app.events.batch import EventBatch, hash32
from stream_app.events.control import Control
from stream_app.events.instants import DAY
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.segments.snapshot import SegmentModel, Snapshot, read_snapshot, write_snapshot
from stream_app.segments.trainer import Trainer
from stream_app.settings import InputSettings, SegmentSettings, Settings, WorkerSettings
from stream_app.streams.processor import Pipeline
from tests.engine.scenario import EAGER_SPIKES
from tests.simulation.constants import POISON, START_US
from tests.simulation.plan import Shape

_POISON_HASHES = frozenset(map(hash32, POISON))

SEGMENTS = SegmentSettings(
    margin=0.05,
    strong_margin=0.2,
    confirm_days=0.5,
    warm_start_vectors=50,
    max_segments=4,
    sample_hours=24.0,
    snapshot_vectors=4,
    snapshot_shift=0.0,
)
"""So that models follow each other quickly, and accounts change at almost every event."""


class FragileEngine(Engine):
    """Fails on the planted events, as an error of the program would."""

    def step(self, table: Any, batch: EventBatch, assigner: Any, now_us: int | None) -> Effects:
        if not _POISON_HASHES.isdisjoint(batch.id_hash.tolist()):
            raise ZeroDivisionError("a planted failure")
        return super().step(table, batch, assigner, now_us)


class FragileControls(Controls):
    """Fails on the planted control records."""

    def apply(self, table: Any, events: Sequence[Control], *more: Any) -> Effects:
        if any(event.id in POISON for event in events):
            raise ZeroDivisionError("a planted failure")
        return super().apply(table, events, *more)


@cache
def settings_of(shape: Shape) -> Settings:
    """Settings of a run."""
    return Settings(
        input=InputSettings(future_tolerance_seconds=86_400.0),
        spikes=EAGER_SPIKES,
        segments=SEGMENTS.model_copy(update={"train": shape.mixed}),
        worker=WorkerSettings(
            max_batch=shape.max_batch,
            ahead_records=1,
            poll_seconds=3.0,
            sweep_seconds=2.0,
            sweep_accounts=shape.sweep_accounts,
            # Unmixed runs leave silence to the next event, so that no clock has a say.
            sweep_grace_seconds=600.0 if shape.mixed else 20.0 * 365 * 86_400,
            outbox_limit=shape.outbox_limit,
            shutdown_seconds=1.5,
            model_poll_seconds=3.0,
        ),
    )


@cache
def pipeline_of(settings_key: Shape) -> Pipeline:
    """The pipeline for the settings of a shape, with parts that can fail."""
    settings = settings_of(settings_key)
    pipeline = Pipeline(settings)
    pipeline.engine = FragileEngine(settings)
    pipeline.controls = FragileControls(pipeline.columns, settings.scores)
    return pipeline


@lru_cache(maxsize=256)
def snapshot_of(data: bytes) -> Snapshot:
    """`read_snapshot`, once for all workers that read the same one."""
    return read_snapshot(data)


def _snapshot(version: int, *centres: dict[str, float]) -> Snapshot:
    names = [dimension.name for dimension in MODEL_VECTOR]
    seen = {name for centre in centres for name in centre}
    return Snapshot(
        version=version,
        created_at="2025-01-01T00:00:00Z",
        catalogue=catalogue_hash(),
        dimensions=names,
        mean=[0.0] * len(names),
        scale=[float(name in seen) for name in names],
        segments=[
            SegmentModel(
                id=number,
                name=f"Segment number {number}",
                description="",
                centre=[float(np.log1p(centre.get(name, 0.0))) for name in names],
                share=0.0,
            )
            for number, centre in enumerate(centres, 1)
        ],
        vectors=1_000,
        trained_from="2025-01-01T00:00:00Z",
        trained_until="2025-01-01T00:00:00Z",
    )


FIXED_MODEL = write_snapshot(
    _snapshot(
        1,
        {"web_visits_28d": 0.0, "email_clicks_28d": 1.0},
        {"web_visits_28d": 1.0},
        {"web_visits_28d": 2.0, "contacts_28d": 2.0},
        {"web_visits_28d": 4.0, "contacts_28d": 3.0},
        {"downloads_decision_28d": 1.0},
        {"downloads_early_28d": 2.0, "contacts_28d": 2.0},
        {"email_clicks_28d": 3.0, "contacts_28d": 2.0},
    )
)
"""So fine that almost every event of a young account leads to a change."""


@cache
def trained() -> tuple[bytes, bytes]:
    """Version 1 of a model and the checkpoint of the real trainer behind it."""
    trainer = Trainer(SEGMENTS)
    random = np.random.default_rng(5)
    counts = random.poisson(1.2, (50, len(MODEL_VECTOR))).astype(float)
    vectors = np.log1p(counts).tolist()
    snapshot = trainer.learn(vectors, [START_US - DAY] * len(vectors))
    assert snapshot is not None
    checkpoint = msgspec.json.decode(trainer.checkpoint())
    # Without the review that comes when the vectors have doubled: it takes longer than a run.
    checkpoint["online"]["state"]["era"]["mature"] = True
    return write_snapshot(snapshot), msgspec.json.encode(checkpoint)
