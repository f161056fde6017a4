"""Many accounts fall due at once while normal events flow."""

from __future__ import annotations

import asyncio

import pytest

from tests.scale.loop import OwnTimeLoop
from tests.scale.rig import settings
from tests.scale.wave import Wave, wave

PARTITIONS = 4
ACCOUNTS = 5_000
"""Of each partition. `python -m tests.scale wave` takes 250,000."""


def measured() -> Wave:
    with asyncio.Runner(loop_factory=OwnTimeLoop) as runner:
        return runner.run(
            wave(
                settings(),
                ACCOUNTS,
                partitions=PARTITIONS,
                redis=False,
                kafka=False,
                leaving_share=0.5,
                limit_seconds=120.0,
            )
        )


@pytest.fixture(scope="module")
def found() -> Wave:
    return measured()


def test_every_account_is_looked_at_once_and_the_half_leaves(found: Wave) -> None:
    assert found.swept == found.accounts == PARTITIONS * ACCOUNTS
    assert 0.45 < found.left / found.accounts < 0.55


def test_no_event_is_lost_beside_the_wave(found: Wave) -> None:
    assert found.applied == found.offered > 1_000


def test_normal_events_hardly_notice_the_wave(found: Wave) -> None:
    """By the CPU time of the worker's own thread. What else runs on the machine still takes its
    caches away, which can only make it worse, so the best of three counts."""
    ratio = worst_ratio(found)
    for _ in range(2):
        if ratio >= 2.0:
            ratio = min(ratio, worst_ratio(measured()))
    assert ratio < 2.0


def worst_ratio(found: Wave) -> float:
    return max(found.committed_p99_ratio, found.published_p99_ratio)
