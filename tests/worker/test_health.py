"""What an operator sees at the main transitions."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.errors import OutcomeUnknown, Unavailable
from stream_app.streams import topics
from tests.worker.outcome import Outcome, outcome, published
from tests.worker.scenario import VISITS, scenario
from tests.worker.world import PARTITIONS, Node, World, until


async def test_a_worker_is_ready_when_all_its_partitions_are_read(world: World) -> None:
    node = world.node()
    loading = node.calls.stop("load", times=PARTITIONS)
    assert not node.worker.ready
    await node.start()
    await loading.reached.wait()
    await asyncio.sleep(2.0)
    assert (node.worker.ready, node.count("ready")) == (False, 0)
    loading.released.set()
    await world.settle()
    await asyncio.sleep(2.0)
    assert (node.worker.ready, node.count("ready")) == (True, 1)
    await node.stop()
    assert not node.worker.ready


@pytest.mark.parametrize("call", ["poll", "registry"])
async def test_a_worker_that_does_not_reach_kafka_or_redis_is_not_ready(
    world: World, call: str
) -> None:
    node = await world.node().start()
    await world.settle()
    assert node.worker.ready
    node.calls.fail(call, Unavailable("away"), times=3)
    await until(lambda: not node.worker.ready)
    assert node.worker.alive, "a restart would not help"
    await until(lambda: node.worker.ready)


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        ("publish", Unavailable("away"), "kafka"),
        ("commit", Unavailable("away"), "redis"),
        ("commit", OutcomeUnknown("no answer"), "redis"),
    ],
)
async def test_a_worker_that_cannot_commit_or_publish_is_not_ready(
    world: World, call: str, error: Exception, what: str
) -> None:
    node = world.node()
    node.calls.fail(call, error, times=20)
    await node.start()
    await until(lambda: node.calls.made[call] > PARTITIONS)
    await until(lambda: not node.worker.ready and node.count("waits_seconds_total", what=what) > 0)
    await world.settle()
    assert node.worker.ready


async def test_a_worker_that_stands_still_is_not_alive(world: World) -> None:
    node = world.node()
    poll = node.calls.stop("poll", skip=3)
    await node.start()
    await poll.reached.wait()
    await asyncio.sleep(20.0)
    assert node.worker.alive
    await asyncio.sleep(20.0)
    assert not node.worker.alive
    poll.released.set()
    await until(lambda: node.worker.alive)


async def test_counts_agree_with_what_was_published(world: World) -> None:
    node = await world.node().start()
    await world.finish()
    await asyncio.sleep(2.0)
    found = outcome(world)
    for reason in ("first_seen", "behaviour", "inactivity"):
        decided = [c for c in found.changes.values() if c["reason"] == reason]
        assert node.count("segment_changes_total", reason=reason) == len(decided)
    assert node.count("intent_spikes_total") == len(found.spikes)
    assert node.count("change_freshness_seconds_count") == len(prompt(found))
    assert node.count("records_total", topic=VISITS) == sum(
        1 for line in scenario() if line.topic == VISITS
    )
    names = ("segment-changes", "intent-spikes", "account-segments", "dead-letters", "engagement")
    assert node.count("published_total") == sum(len(world.read(name)) for name in names)
    sizes = {
        sample.labels["segment"]: sample.value
        for family in node.metrics.registry.collect()
        if family.name == "stream_app_segment_accounts"
        for sample in family.samples
    }
    assert sum(sizes.values()) == len(world.table)


async def test_each_partition_is_counted_by_its_owner_only(world: World) -> None:
    one = await world.node().start()
    await world.settle()
    two = await world.node().start()
    await until(lambda: two.worker.ready and two.count("partitions") == PARTITIONS / 2)
    await asyncio.sleep(2.0)
    assert one.count("partitions") == PARTITIONS / 2
    assert total(one, "accounts") + total(two, "accounts") == len(world.table)
    assert total(two, "accounts") > 0, "also where nothing has happened since"
    owned = {labels["partition"] for labels, _ in samples(one, "accounts")}
    assert owned == {str(p) for p in one.member._owned}
    for gauge in ("outbox_messages", "lag_records"):
        assert {labels["partition"] for labels, _ in samples(one, gauge)} <= owned


async def test_the_lag_is_what_is_not_applied_yet(world: World) -> None:
    node = world.node()
    node.calls.slow("commit", 5.0)
    await node.start()
    await asyncio.sleep(8.0)
    assert 0 < total(node, "lag_records") <= len(scenario())
    await world.settle()
    await asyncio.sleep(8.0)
    assert total(node, "lag_records") == 0
    shown = world.broker.progress("workers")
    assert shown == {(topic, p): offset for (p, topic), offset in world.positions.items()}


async def test_time_to_publish_is_part_of_freshness(world: World) -> None:
    node = world.node()
    node.calls.slow("publish", 40.0)
    await node.start()
    await world.settle()
    decided = {
        (change["account_id"], change["sequence"]): change["lag_ms"] / 1_000
        for change in published(world, topics.SEGMENT_CHANGES.name)
    }
    lags = [decided[key] for key in prompt(outcome(world))]
    assert node.count("change_freshness_seconds_count") == len(lags) > 0
    waited = node.count("change_freshness_seconds_sum") - sum(lags)
    assert 40.0 * len(lags) <= waited + 0.001


def prompt(found: Outcome) -> list[tuple[str, int]]:
    """Changes that an event caused at once: freshness is about those."""
    return [
        key
        for key, change in found.changes.items()
        if change["reason"] in {"first_seen", "behaviour"} and change["evidence_since"] is None
    ]


def samples(node: Node, gauge: str) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of a metric."""
    return [
        (sample.labels, sample.value)
        for family in node.metrics.registry.collect()
        if family.name == f"stream_app_{gauge}"
        for sample in family.samples
    ]


def total(node: Node, gauge: str) -> float:
    return sum(value for _, value in samples(node, gauge))
