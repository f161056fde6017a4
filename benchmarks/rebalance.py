"""A simulation: how many partitions change their owner when a worker comes or goes.

By aiokafka's range assignment, which workers use (`streams/kafka_log.py`). Members are laid out in
the order of their ids, which are random, so whoever comes or goes shifts the ranges of the others.
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

TOPIC = "website-visits"
DRAWS = 200


def moved_share(partitions: int, workers: int, draws: int = DRAWS) -> float:
    """Mean share of the partitions that change their owner when one of so many workers leaves; it
    is the same when it comes back. With seeds."""
    if workers == 1:
        return 1.0  # whoever comes next claims everything
    moved = 0
    for seed in range(draws):
        members = [f"worker-{Random(f'{seed}/{n}').getrandbits(64):016x}" for n in range(workers)]
        before = _owners(partitions, members)
        after = _owners(partitions, members[1:])
        moved += sum(before[p] != after[p] for p in before)
    return moved / (draws * partitions)


def _owners(partitions: int, members: list[str]) -> dict[int, str]:
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda _: set(range(partitions)))
    subscribed: Any = {member: SimpleNamespace(subscription=[TOPIC]) for member in members}
    found = RangePartitionAssignor.assign(cluster, subscribed)
    return {
        partition: member
        for member, assigned in found.items()
        for _, owned in assigned.assignment
        for partition in owned
    }
