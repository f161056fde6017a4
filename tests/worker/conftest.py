"""Tests of the worker run on virtual time and in memory; see `world.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.worker.outcome import Outcome, undisturbed_outcome
from tests.worker.scenario import scenario
from tests.worker.virtual import VirtualLoop
from tests.worker.world import World


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Any]:
    return {"virtual": VirtualLoop}


@pytest.fixture
async def world() -> World:
    """Kafka and Redis in memory, with a model, and the scenario's records on their topics."""
    return await World.create(scenario())


@pytest.fixture(scope="session")
def undisturbed() -> Outcome:
    """What one worker that nothing happens to makes of the scenario."""

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found = runner.run(undisturbed_outcome(scenario()))
    assert len(found.changes) > 100
    assert len(found.spikes) > 5
    assert len(found.letters) > 5
    assert len(found.forwarded) > 5
    return found
