"""docs/scaling.md from what `make bench` has measured: `python -m benchmarks.scaling RESULTS.json`.

Here are its tables; `sizing.py` has the arithmetic, `scaling.md.in` the words.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from benchmarks.markdown import number, rate_of, table_of, time_of
from benchmarks.sizing import (
    ACCOUNTS_PER_PARTITION,
    PARTITIONS_PER_WORKER,
    SHARD_GIB,
    SHARD_SHARE,
    SIZES,
    WORKER_SHARE,
    Figures,
    Missing,
    Size,
)
from benchmarks.skew import Skew, skews, table
from stream_app.settings import Settings
from stream_app.streams.topics import consumed

_WORDS = Path(__file__).with_name("scaling.md.in")
PLACED = 1_000_000
"""Accounts of the simulation that are placed one by one."""
_SLOTS = 16_384
_COPIES = 3
"""Replicas of each record."""
_BROKER_RATE = 1e8
"""Bytes a second that are written to a broker."""
_STANDSTILL_SECONDS = 10.0
"""That partitions may stand still because a worker comes or goes: as long as the session of one
that has died."""


@dataclass(frozen=True)
class _Limit:
    """Something that more workers or shards do not help."""

    name: str
    needed: str
    there: str
    share: float
    """Of what there is that is needed."""
    helps: str


def page(results: Mapping[str, Any]) -> str:
    """docs/scaling.md. Raises Missing when the results lack a figure."""
    f = Figures.of(results)
    sizes = [Size(rate, accounts, f) for rate, accounts in SIZES]
    goal, settings = sizes[-1], Settings()
    counts = tuple(sorted({8, 64, 256, goal.partitions}))
    found = list(skews(int(goal.accounts), PLACED, partitions=counts))
    limits = sorted(_limits(goal, found), key=lambda limit: -limit.share)
    written = _COPIES * goal.rate * (f.read_bytes + f.published_bytes)
    return _WORDS.read_text(encoding="utf-8").format(
        measured=table_of(("", "measured", ""), _measured(f)),
        carries=table_of(("one", "reckoned", "carries"), _carries(f)),
        sizes=table_of(("", *(f"{number(s.rate)} events/s" for s in sizes)), _sizes(sizes)),
        breaks=table_of(
            ("needed / there", "what", "needed", "there", "what helps"),
            [
                (f"{each.share:.2g}", each.name, each.needed, each.there, each.helps)
                for each in limits
            ],
        ),
        first=limits[0].name,
        skew="\n".join(table(int(goal.accounts), PLACED)),
        reach=table_of(
            ("s", *(f"{n:,} partitions" for n in counts), "by the busiest account alone"),
            _reach(f, found, counts),
        ),
        slots=_slots(goal),
        worker_share=f"{WORKER_SHARE:.0%}",
        shard_share=f"{SHARD_SHARE:.0%}",
        shard_gib=SHARD_GIB,
        broker_rate=rate_of(_BROKER_RATE),
        brokers=max(_COPIES, ceil(written / _BROKER_RATE)),
        replicas=f"{len(consumed()) * goal.partitions * _COPIES:,}",
        rate=number(goal.rate),
        accounts=number(goal.accounts),
        workers=goal.workers,
        partitions=goal.partitions,
        shards=goal.shards,
        sweep_cores=number(goal.sweep_cores),
        sweep_share=f"{settings.worker.sweep_share:.0%}",
        model=time_of(goal.model_seconds),
        skew_accounts=int(goal.accounts),
        partition_plan=number(WORKER_SHARE * f.partition_rate),
        per_partition=number(ACCOUNTS_PER_PARTITION),
        per_worker=2 * PARTITIONS_PER_WORKER,
        per_worker_now=PARTITIONS_PER_WORKER,
        by_accounts=ceil(goal.by_accounts),
        by_workers=ceil(goal.by_workers),
        by_rate=ceil(goal.by_rate),
        default_accounts=number(8 * ACCOUNTS_PER_PARTITION),
        move_million=time_of(f.move_us),
        move=time_of(goal.move_seconds),
    )


def _measured(f: Figures) -> list[tuple[str, str, str]]:
    moved = f"{f.read_bytes:.0f}, {f.stored_bytes:.0f}, {f.published_bytes:.0f} bytes an event"
    claim = f"{f.claim_cpu_us:.1f} µs of CPU an account"
    return [
        ("CPU of a worker", f"{f.worker_cpu_us:.1f} µs an event", "the less favourable load"),
        ("CPU of Redis", f"{f.redis_cpu_us:.1f} µs an event", "ceiling (c), large batches"),
        ("read from Kafka, written to Redis, written to Kafka", moved, "not compressed"),
        ("memory of a worker", f"{f.worker_bytes:,.0f} bytes an account", "resident"),
        ("memory of Redis", f"{f.redis_bytes:,.0f} bytes an account", "state and profile"),
        (f"claim of {f.claim_accounts:,} accounts", f"{f.claim_seconds:.2g} s", claim),
        ("check of a silent account", f"{f.sweep_cpu_us:.2g} µs", "CPU, without the commit"),
        ("an event of an account that has all of them", f"{f.one_account_cpu_us:.1f} µs", "CPU"),
        ("a vector that the trainer learns", f"{f.trainer_cpu_us:.0f} µs", "CPU"),
    ]


def _carries(f: Figures) -> list[tuple[str, str, str]]:
    both = f"{f.worker_cpu_us:.1f} + {f.redis_cpu_us:.1f}"

    def planned(rate: float, share: float) -> str:
        return f"{number(rate)} events/s; {number(share * rate)} as planned"

    return [
        (
            "**worker**: a process on a core",
            f"1 s / {f.worker_cpu_us:.1f} µs",
            planned(f.worker_rate, WORKER_SHARE),
        ),
        (
            "**partition**: one owner at a time",
            f"1 s / ({both}) µs",
            planned(f.partition_rate, WORKER_SHARE),
        ),
        (
            "**Redis shard**: a core",
            f"1 s / {f.redis_cpu_us:.1f} µs",
            planned(f.shard_rate, SHARD_SHARE),
        ),
        (
            "**Redis shard**: memory",
            f"{SHARD_GIB} GiB / {f.redis_bytes:,.0f} bytes",
            f"{number(SHARD_GIB * 2**30 / f.redis_bytes)} accounts",
        ),
        (
            "**account**: one event after the other",
            f"1 s / max({both}, {f.one_account_cpu_us:.1f}) µs",
            f"{number(f.account_rate)} events/s",
        ),
        (
            "**trainer**: there is one",
            f"1 s / {f.trainer_cpu_us:.0f} µs",
            f"{number(1e6 / f.trainer_cpu_us)} vectors/s",
        ),
    ]


def _sizes(sizes: Sequence[Size]) -> list[tuple[str, ...]]:
    copies = f"{_COPIES} copies"
    each: dict[str, list[str]] = {
        "accounts": [number(s.accounts) for s in sizes],
        "cores that events keep busy: events/s x CPU": [number(s.busy_cores) for s in sizes],
        f"**workers**: that / {WORKER_SHARE:.0%}": [f"{s.workers}" for s in sizes],
        "memory of each for accounts": [f"{s.worker_gib:.1f} GiB" for s in sizes],
        "**partitions**, by the rules below": [f"{s.partitions}" for s in sizes],
        "accounts in each": [number(s.accounts / s.partitions) for s in sizes],
        "claim of one": [time_of(s.claim_seconds) for s in sizes],
        f"shards by CPU: events/s x CPU of Redis / {SHARD_SHARE:.0%}": [
            f"{s.shards_by_cpu}" for s in sizes
        ],
        f"shards by memory: all accounts / {SHARD_GIB} GiB": [
            f"{s.redis_gib:.1f} GiB: {s.shards_by_memory}" for s in sizes
        ],
        "**shards**": [f"{s.shards}" for s in sizes],
        "written to Redis": [rate_of(s.rate * s.figures.stored_bytes) for s in sizes],
        "read from Kafka by workers": [rate_of(s.rate * s.figures.read_bytes) for s in sizes],
        f"written to Kafka by producers and workers, {copies}": [
            rate_of(_COPIES * s.rate * (s.figures.read_bytes + s.figures.published_bytes))
            for s in sizes
        ],
        "silence checks, if each account has one visit a day": [
            f"{number(s.checks_per_second)}/s: {number(s.sweep_cores)} cores" for s in sizes
        ],
        "training vectors, if each account is active every day": [
            f"{number(s.vectors_per_second)}/s: {number(s.trainer_cores)} cores" for s in sizes
        ],
        "a new model has reached everybody after": [time_of(s.model_seconds) for s in sizes],
        "accounts that are claimed when a worker comes or goes": [
            f"{s.moved:.0%}: {time_of(s.rebalance_seconds)} on every worker" for s in sizes
        ],
        "`stream-app repartition` takes": [time_of(s.move_seconds) for s in sizes],
    }
    return [(name, *cells) for name, cells in each.items()]


def _limits(goal: Size, found: Sequence[Skew]) -> Iterable[_Limit]:
    f, hours = goal.figures, Settings().segments.sample_hours
    for skew in found:
        if skew.partitions != goal.partitions or skew.exponent not in {0.5, 0.8, 1.0}:
            continue
        busiest = goal.rate * skew.largest_account
        if skew.exponent > 0.5:
            yield _Limit(
                f"the busiest account, if s = {skew.exponent:g}",
                f"{number(busiest)}/s, {100 * skew.largest_account:.2g} % of all events",
                f"{number(f.account_rate)}/s",
                busiest / f.account_rate,
                "nothing spreads an account. Is it one (a robot, an office network, a test)? "
                "Filter or sample it before Kafka",
            )
        mean = goal.rate / goal.partitions
        yield _Limit(
            f"the busiest partition, if s = {skew.exponent:g}",
            f"{number(mean * skew.busiest.median)}/s, {skew.busiest.median:.2g} times the mean",
            f"{number(f.partition_rate)}/s",
            mean * skew.busiest.median / f.partition_rate,
            "more partitions, until its busiest account is the limit",
        )
    yield _Limit(
        "the trainer",
        f"{number(goal.vectors_per_second)} vectors/s",
        f"{number(1e6 / f.trainer_cpu_us)}/s, on a core that it shares with the worker it runs in",
        goal.trainer_cores,
        f"raise `segments.sample_hours` ({hours:g}) as accounts become more: a model needs "
        "thousands of vectors, not millions",
    )
    yield _Limit(
        "the rebalance when a worker comes or goes",
        f"{time_of(goal.rebalance_seconds)} of claims on every worker: {goal.moved:.0%} of the "
        f"partitions get another owner, where {1 / goal.workers:.0%} would have to",
        f"{_STANDSTILL_SECONDS:.0f} s in which these partitions stand still",
        goal.rebalance_seconds / _STANDSTILL_SECONDS,
        "start and stop workers together, not one after the other: under the range assignment "
        "whoever comes or goes shifts the ranges of the others",
    )


def _reach(f: Figures, found: Sequence[Skew], counts: Sequence[int]) -> list[tuple[str, ...]]:
    """Events a second over all partitions until the busiest one is full."""
    rows = []
    plan = WORKER_SHARE * f.partition_rate
    for exponent in dict.fromkeys(skew.exponent for skew in found):
        row = {s.partitions: s for s in found if s.exponent == exponent}
        cells = [number(plan * n / row[n].busiest.median) for n in counts]
        alone = WORKER_SHARE * f.account_rate / row[counts[0]].largest_account
        rows.append((f"{exponent:g}", *cells, number(alone)))
    return rows


def _slots(size: Size) -> str:
    shards = max(size.shards, 3)
    parts = []
    for partitions in sorted({64, 256, size.partitions}):
        held = Counter(key_slot(b"%d" % p) * shards // _SLOTS for p in range(partitions))
        parts.append(f"{max(held.values()) * shards / partitions:.2f} times with {partitions}")
    return ", ".join(parts) + f" partitions on {shards} shards"


def main(arguments: list[str] | None = None) -> int:
    """Print or write the page. 1: the results lack a figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("results", type=Path, help="the JSON object of a run")
    parser.add_argument("--write", type=Path, metavar="FILE", help="instead of printing it")
    options = parser.parse_args(arguments)
    try:
        text = page(json.loads(options.results.read_text()))
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    if options.write:
        options.write.write_text(text)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
