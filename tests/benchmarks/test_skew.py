"""The simulation of the busiest partition, against sums over all accounts one by one."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from benchmarks.skew import EXPONENTS, PARTITIONS, skews, table, zipf_shares
from stream_app.streams.partitioning import partition_of

ACCOUNTS = 3_000


def counted(exponent: float, partitions: int, seed: int) -> float:
    """The busiest partition by the mean one, without numpy's help."""
    events: dict[int, float] = defaultdict(float)
    for rank, number in enumerate(np.random.default_rng(seed).permutation(ACCOUNTS)):
        home = partition_of(b"account-%09d" % number, partitions)
        events[home] += 1 / (rank + 1) ** exponent
    return max(events.values()) * partitions / sum(events.values())


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.0])
def test_the_busiest_partition_has_what_its_accounts_have(exponent: float) -> None:
    (found,) = skews(ACCOUNTS, ACCOUNTS, (exponent,), (16,), draws=3)
    expected = [counted(exponent, 16, seed) for seed in range(3)]
    assert found.busiest.values == pytest.approx(expected)


def test_the_same_seeds_give_the_same_figures() -> None:
    assert list(skews(ACCOUNTS, 500)) == list(skews(ACCOUNTS, 500))


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_accounts_that_are_not_placed_are_counted(exponent: float) -> None:
    every = zipf_shares(100_000, 100_000, exponent)
    assert every.sum() == pytest.approx(1.0)
    assert zipf_shares(100_000, 1_000, exponent) == pytest.approx(every[:1_000])


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_busiest_account_is_the_limit(exponent: float) -> None:
    for skew in skews(ACCOUNTS, 1_000, (exponent,), PARTITIONS, draws=2):
        least = skew.largest_account * skew.partitions
        assert min(skew.busiest.values) >= max(least, 1.0)
        assert skew.useful_partitions <= 1 / skew.largest_account


def test_the_table_has_a_line_for_each_exponent() -> None:
    heads, _, *lines = table(ACCOUNTS, ACCOUNTS)
    assert len(lines) == len(EXPONENTS)
    assert {line.count("|") for line in lines} == {heads.count("|")}
