"""The arithmetic of docs/scaling.md: what a deployment takes, from what a run has measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log, log2
from typing import Any

from benchmarks.rebalance import moved_share
from stream_app.settings import Settings

GIB = 2**30
WORKER_SHARE = 0.6
"""Of a worker's core that the events may take on average: the rest is for catching up after a
rebalance, for waves of silence, and for partitions that are busier than others."""
SHARD_SHARE = 0.5
"""Of a Redis shard's core: loading a partition's state comes on top when workers move."""
SHARD_GIB = 12
"""Data of a shard. A machine needs twice as much: what changes while Redis writes a snapshot or its
append-only file anew is there twice."""
ACCOUNTS_PER_PARTITION = 250_000
"""For which a claim has been measured."""
PARTITIONS_PER_WORKER = 4
"""At least: then a worker with one partition more than another has a quarter more to do."""
DAY_SECONDS = 86_400


class Missing(Exception):
    """The results lack a figure."""


@dataclass(frozen=True)
class Figures:
    """What the page reckons with, per event and per account. CPU in microseconds."""

    worker_cpu_us: float
    """The less favourable of the two loads."""
    redis_cpu_us: float
    read_bytes: float
    stored_bytes: float
    published_bytes: float
    worker_bytes: float
    redis_bytes: float
    claim_seconds: float
    claim_cpu_us: float
    """Per account."""
    claim_accounts: int
    move_us: float
    """Time per account."""
    sweep_cpu_us: float
    one_account_cpu_us: float
    trainer_cpu_us: float

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Figures:
        """From the JSON object of a run. Raises Missing, with the parts to run."""
        try:
            writes = results["redis_writes"]
            claimed, moved = results["claim_accounts"], results["move_accounts"]
            return cls(
                worker_cpu_us=max(w["cpu_us_per_event"] for w in results["worker"].values()),
                redis_cpu_us=writes["redis_cpu_us_per_event"],
                read_bytes=writes["read_bytes_per_event"],
                stored_bytes=writes["stored_bytes_per_event"],
                published_bytes=writes["published_bytes_per_event"],
                worker_bytes=results["worker_bytes_per_account"],
                redis_bytes=results["redis_bytes_per_account"],
                claim_seconds=results["claim_seconds"],
                claim_cpu_us=1e6 * results["claim_cpu_seconds"] / claimed,
                claim_accounts=claimed,
                move_us=1e6 * results["move_seconds"] / moved,
                sweep_cpu_us=results["sweep_cpu_us_per_account"],
                one_account_cpu_us=results["one_account_cpu_us_per_event"],
                trainer_cpu_us=results["trainer_cpu_us_per_vector"],
            )
        except KeyError as error:
            raise Missing(
                f"the results have no {error}: the page needs the parts throughput, accounts, "
                "takeover, move, sweep and limits"
            ) from None

    @property
    def worker_rate(self) -> float:
        """Events a second that a core of workers has time for."""
        return 1e6 / self.worker_cpu_us

    @property
    def partition_rate(self) -> float:
        """Of one partition: its step and its commit take turns."""
        return 1e6 / (self.worker_cpu_us + self.redis_cpu_us)

    @property
    def shard_rate(self) -> float:
        """Of one Redis shard, which has one core."""
        return 1e6 / self.redis_cpu_us

    @property
    def account_rate(self) -> float:
        """Of one account."""
        return min(self.partition_rate, 1e6 / self.one_account_cpu_us)


@dataclass(frozen=True)
class Size:
    """A deployment to be, and what it takes."""

    rate: float
    """Events a second."""
    accounts: float
    figures: Figures

    @property
    def busy_cores(self) -> float:
        """That events keep busy."""
        return self.rate / self.figures.worker_rate

    @property
    def workers(self) -> int:
        """Processes, of a core each."""
        return ceil(self.busy_cores / WORKER_SHARE)

    @property
    def partitions(self) -> int:
        """The power of two that is enough by each of the rules; at least 8."""
        rules = (self.by_accounts, self.by_workers, self.by_rate, 8.0)
        return 1 << ceil(log2(max(rules)))

    @property
    def by_accounts(self) -> float:
        """Partitions, so that a claim takes no longer than what was measured."""
        return self.accounts / ACCOUNTS_PER_PARTITION

    @property
    def by_workers(self) -> float:
        """Partitions, so that workers have about the same to do, and can become twice as many."""
        return 2.0 * PARTITIONS_PER_WORKER * self.workers

    @property
    def by_rate(self) -> float:
        """Partitions, so that a partition with twice the mean is within its owner's core."""
        return 2.0 * self.rate / (WORKER_SHARE * self.figures.partition_rate)

    @property
    def worker_gib(self) -> float:
        """Memory of each worker for accounts."""
        return self.accounts * self.figures.worker_bytes / self.workers / GIB

    @property
    def redis_gib(self) -> float:
        """Of all shards."""
        return self.accounts * self.figures.redis_bytes / GIB

    @property
    def shards_by_cpu(self) -> int:
        return ceil(self.rate / self.figures.shard_rate / SHARD_SHARE)

    @property
    def shards_by_memory(self) -> int:
        return ceil(self.redis_gib / SHARD_GIB)

    @property
    def shards(self) -> int:
        """What CPU and memory take. Redis Cluster has three or more."""
        return max(self.shards_by_cpu, self.shards_by_memory)

    @property
    def claim_seconds(self) -> float:
        """Of one partition."""
        per_account = self.figures.claim_seconds / self.figures.claim_accounts
        return per_account * self.accounts / self.partitions

    @cached_property
    def moved(self) -> float:
        """Share of the partitions that change their owner when a worker comes or goes."""
        return moved_share(self.partitions, self.workers)

    @property
    def rebalance_seconds(self) -> float:
        """CPU of the claims after a worker has come or gone, spread over all workers."""
        claims_us = self.moved * self.accounts * self.figures.claim_cpu_us
        return claims_us / 1e6 / self.workers

    @property
    def checks_per_second(self) -> float:
        """Of silence, when each account has one visit a day: after one hour, then whenever its
        silence has grown by a tenth."""
        return self.accounts * (1 + log(24.0) / log(1.1)) / DAY_SECONDS

    @property
    def sweep_cores(self) -> float:
        return self.checks_per_second * self.figures.sweep_cpu_us / 1e6

    @property
    def vectors_per_second(self) -> float:
        """For the trainer, when every account is active every day."""
        return self.accounts / (Settings().segments.sample_hours * 3_600)

    @property
    def trainer_cores(self) -> float:
        return self.vectors_per_second * self.figures.trainer_cpu_us / 1e6

    @property
    def model_seconds(self) -> float:
        """Until all accounts have been looked at under a new model."""
        share = Settings().worker.sweep_share
        return self.accounts * self.figures.sweep_cpu_us / 1e6 / self.workers / share

    @property
    def move_seconds(self) -> float:
        """Of `stream-app repartition`."""
        return self.accounts * self.figures.move_us / 1e6


SIZES = ((10_000.0, 1_000_000.0), (100_000.0, 10_000_000.0), (1_000_000.0, 100_000_000.0))
"""Events a second and accounts; the last one is what the page is about."""
