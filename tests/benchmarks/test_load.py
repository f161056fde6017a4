"""The load: reproducible, skewed where asked for, with markers where they belong."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks.load import FIRST, INPUTS, LAST, Load, items, marker
from stream_app.streams.partitioning import partition_of

ENDS_US = 1_750_000_000_000_000


def test_the_same_load_comes_again_and_ends_when_it_should() -> None:
    load = Load(2_000, 50, ends_us=ENDS_US, span_seconds=100.0)
    first, again = list(items(load)), list(items(load))
    assert first == again
    assert len({json.loads(item.value)["id"] for item in first}) == 2_000
    assert ENDS_US - 101_000_000 <= first[0].at_us <= first[-1].at_us <= ENDS_US
    assert {item.topic for item in first} == set(INPUTS)


def test_zipf_gives_the_busiest_account_its_share() -> None:
    """With exponent 1 over 100 accounts that is 1 / H(100), a good 19 per cent."""
    counted = Counter(item.account for item in items(Load(20_000, 100, 1.0, ends_us=ENDS_US)))
    assert counted.most_common(1)[0][1] / 20_000 == pytest.approx(0.193, abs=0.02)
    even = Counter(item.account for item in items(Load(20_000, 100, ends_us=ENDS_US)))
    assert even.most_common(1)[0][1] < 300


@pytest.mark.parametrize("kind", [FIRST, LAST + "7"])
def test_a_marker_lies_in_its_partition(kind: str) -> None:
    for topic in INPUTS:
        for partition in range(8):
            item = marker(kind, topic, partition, 8, ENDS_US)
            assert item.account.startswith(kind)
            assert partition_of(item.account.encode(), 8) == partition
