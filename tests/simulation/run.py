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
from stream_app.streams import models as models_module
from stream_app.streams import worker as worker_module
from stream_app.streams.processor import Pipeline
from tests.simulation.bugs import planted
from tests.simulation.checks import check
from tests.simulation.kit import pipeline_of, settings_of, snapshot_of
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
    """Accounts whose newest message on `account-segments` is not the last that was decided."""
    stale_tombstones: int
    """Erased ones of which an older message is the newest there."""
    redecided: int
    """Messages that say something else than an earlier one with the same id."""
    digest: str
    trace: list[str]


def run(plan: Plan, *, tracing: bool = False, bug: str | None = None) -> Outcome:
    """Run a plan, perhaps with a deliberate bug, and check it."""
    with _quiet():
        world = World(plan, tracing=tracing)
        with _shared_parts(plan), planted(bug):
            world.run()
        if not any(violation.startswith("stuck") for violation in world.violations):
            check(world)
    return Outcome(
        plan.seed,
        world.loop.steps,
        world.loop.now,
        world.injected,
        world.violations,
        world.stale,
        world.stale_tombstones,
        world.redecided,
        _digest(world),
        world.trace,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without log lines: workers have much to say when everything fails."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _shared_parts(plan: Plan) -> Iterator[None]:
    """Workers take what was built once, for the same settings or from the same bytes."""
    settings = settings_of(plan.shape)

    def take(given: Settings) -> Pipeline:
        assert given is settings
        return pipeline_of(plan.shape)

    # A table for the few accounts there are: zeroing the usual one takes a tenth of a millisecond.
    with (
        patch.object(worker_module, "Pipeline", take),
        patch.object(models_module, "read_snapshot", snapshot_of),
        patch.object(FeatureTable.__init__, "__defaults__", (8,)),
    ):
        yield


def _digest(world: World) -> str:
    """Fingerprint of everything that a run led to."""
    digest = sha256(f"{world.loop.steps} {world.loop.now!r}".encode())
    for topic in world.broker.topics:
        digest.update(msgspec.msgpack.encode(world.broker.read_all(topic)))
    for partition, stored in sorted(world.ledger.store._partitions.items()):
        digest.update(repr((partition, stored.position, stored.states, stored.erased)).encode())
    digest.update(repr((sorted(world.injected.items()), world.violations)).encode())
    return digest.hexdigest()[:16]
