"""Running seeds."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from unittest.mock import patch

import msgspec

from stream_app.features.table import FeatureTable
from stream_app.settings import Settings
from stream_app.streams import worker as worker_module
from stream_app.streams.processor import Pipeline
from tests.simulation.checks import check
from tests.simulation.kit import pipeline_of, settings_of
from tests.simulation.plan import Plan
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    seed: int
    steps: int
    seconds: float
    """Virtual."""
    faults: Counter[str]
    violations: list[str]
    stale: int
    digest: str
    trace: list[str]
    counts: Counter[str]


def run(plan: Plan, *, tracing: bool = False) -> Outcome:
    """Run a plan and check it."""
    world = World(plan, tracing=tracing)
    logging.disable(logging.CRITICAL)
    with _shared_pipeline(plan):
        world.run()
    if not any(v.startswith("stuck") for v in world.violations):
        check(world)
    return Outcome(
        plan.seed,
        world.loop.steps,
        world.loop.now,
        world.injected,
        world.violations,
        world.stale,
        _digest(world),
        world.trace,
        Counter({t: len(world.broker.read_all(t)) for t in world.broker.topics}),
    )


@contextmanager
def _shared_pipeline(plan: Plan) -> Iterator[None]:
    """Workers take the pipeline that was built for these settings once."""
    settings = settings_of(plan.shape)

    def take(given: Settings) -> Pipeline:
        assert given is settings
        return pipeline_of(plan.shape)

    # A table for the few accounts there are: zeroing the usual one takes a tenth of a millisecond.
    with (
        patch.object(worker_module, "Pipeline", take),
        patch.object(FeatureTable.__init__, "__defaults__", (8,)),
    ):
        yield


def _digest(world: World) -> str:
    """Fingerprint of everything that a run led to."""
    digest = sha256(f"{world.loop.steps} {world.loop.now!r}".encode())
    for topic in world.broker.topics:
        digest.update(msgspec.msgpack.encode(world.broker.read_all(topic)))
    for partition, stored in sorted(world.ledger.store._partitions.items()):
        digest.update(repr((partition, stored.position, stored.states)).encode())
    digest.update(repr((sorted(world.injected.items()), world.violations)).encode())
    return digest.hexdigest()[:16]
