"""The vetting list as metrics of a worker, on the accounts that it holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from stream_app.errors import ConfigError
from stream_app.events.instants import DAY
from stream_app.settings import HealthSettings, Settings
from stream_app.streams.processor import Pipeline, Processor
from tests.worker.model import RESTLESS
from tests.worker.scenario import START_US, scenario
from tests.worker.world import SETTINGS, World


def with_health(**changes: object) -> Settings:
    return SETTINGS.model_copy(update={"health": HealthSettings(**changes)})


async def test_a_worker_shows_what_it_finds_and_whether_it_passes(tmp_path: Path) -> None:
    world = await World.create(scenario())
    targets = tmp_path / "targets"
    node = world.node()
    await node.start()
    await world.settle()
    targets.write_text("\n".join(world.table.all_ids()[:5]), encoding="utf-8")
    other = world.node(with_health(target_file=str(targets), min_share=0.9))
    await node.stop()
    await other.start()
    await world.settle()
    await asyncio.sleep(61.0)
    assert other.count("segment_health_value", check="manageable") == len(RESTLESS.segments)
    assert other.count("segment_health_passed", check="manageable") == 1
    assert other.count("segment_health_passed", check="sustainable") == 0
    assert 0 < other.count("segment_health_value", check="no_overlap") < 1
    assert 0 < other.count("segment_health_value", check="aligned") < 1
    await other.stop()


async def test_nothing_is_shown_before_there_is_a_model() -> None:
    world = await World.create(scenario(), model=None)
    node = await world.node().start()
    await world.settle()
    await asyncio.sleep(61.0)
    shown = generate_latest(node.metrics.registry)
    assert b"segment_health_value{" not in shown


def test_a_target_file_that_is_not_there_stops_the_start(world: World) -> None:
    with pytest.raises(ConfigError, match="target_file"):
        world.node(with_health(target_file="nowhere/targets"))


def test_counts_of_a_week_are_kept_and_taken_over() -> None:
    processor = Processor(Pipeline(Settings()), 0, 1)
    for day in range(10):
        for hour in (1, 9):
            processor.sweep(0, None, START_US + day * DAY + hour * 3_600_000_000)
    days = processor.summary(START_US).days
    assert len(days) == 8
    assert days[0].at_us == START_US + 2 * DAY + 3_600_000_000
    successor = Processor(Pipeline(Settings()), 0, 1)
    stored = processor.sweep(0, None, START_US + 10 * DAY).summary
    successor.recount(stored)
    assert successor.summary(START_US).days[:-1] == processor.summary(START_US).days[:-1]


@pytest.mark.parametrize("stored", [b"", b"{}", b"no JSON"])
def test_counts_that_cannot_be_read_do_not_hold_up_an_owner(stored: bytes) -> None:
    processor = Processor(Pipeline(Settings()), 0, 1)
    processor.recount(stored)
    assert processor.summary(START_US).days == []
