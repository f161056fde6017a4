"""Keys go to the partitions that every other Kafka client would choose."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2

from stream_app.errors import Incompatible
from stream_app.streams.partitioning import common_count, partition_of

# From Kafka's own UtilsTest.testMurmur2 (signed 32 bit there).
KAFKA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "hashed"), KAFKA_VECTORS.items())
def test_the_hash_is_kafkas(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % 2**32


@pytest.mark.parametrize(("key", "hashed"), KAFKA_VECTORS.items())
@pytest.mark.parametrize("partitions", [1, 8, 12, 1000])
def test_the_partition_is_the_hash_without_its_sign(
    key: bytes, hashed: int, partitions: int
) -> None:
    assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


def test_topics_with_equal_numbers_of_partitions_share_them() -> None:
    assert common_count(["a", "b"], {"a": 8, "b": 8, "other": 3}) == 8


def test_different_numbers_are_named_topic_by_topic() -> None:
    with pytest.raises(Incompatible, match=r"a has 8, b has 4"):
        common_count(["a", "b"], {"a": 8, "b": 4})


def test_missing_topics_are_named_with_the_command_that_creates_them() -> None:
    with pytest.raises(Incompatible, match=r"missing topics: b, c") as failure:
        common_count(["a", "b", "c"], {"a": 8})
    assert "stream-app topics create" in failure.value.hint
