"""Records that are made without aiokafka's own are the same ones."""

from __future__ import annotations

import asyncio
import gc
import struct
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from stream_app import native
from stream_app.streams import kafka_records
from stream_app.streams.kafka_records import KafkaRecord, RawRecords, keep_raw, take
from tests.native.paths import need_native, taking

PART = TopicPartition("website-visits", 3)
NAMES = ("topic", "partition", "offset", "timestamp", "key", "value")
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

Given = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Timestamp, key, value and headers of a record."""
optional = st.none() | st.binary(max_size=40) | st.just(b"x" * 70_000)
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3)
records = st.lists(
    st.tuples(st.integers(0, 2_000_000_000_000), optional, optional, headers), max_size=5
)
SOME: list[Given] = [
    (1_700_000_000_000, b"a", b"first", [("name", b"text"), ("none", None)]),
    (1_700_000_000_001, None, b"second", []),
    (1_700_000_000_002, b"c", None, []),
]


def batch(
    given: list[Given], base: int = 0, codec: int = 0, *, transactional: bool = False
) -> bytes:
    """As a broker sends it, from the offset `base` on."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, -1, -1, -1, 10_000_000)
    for offset, (timestamp, key, value, named) in enumerate(given):
        builder.append(offset, timestamp, key, value, named)
    built = bytearray(builder.build())
    struct.pack_into(">q", built, 0, base)
    return bytes(built)


def changed(whole: bytes, at: int, form: str, value: int) -> bytes:
    """With other bytes and the checksum that belongs to them."""
    made = bytearray(whole)
    struct.pack_into(form, made, at, value)
    struct.pack_into(">I", made, 17, calc_crc32c(bytes(made[21:])))
    return bytes(made)


def fetched(raw: bytes, offset: int = 0, kind: Callable[[bytes], Any] = RawRecords) -> FetchResult:
    """What aiokafka keeps of a partition that it has fetched."""
    of_it = PartitionRecords(PART, kind(raw), None, offset, None, None, True, 0)
    return FetchResult(PART, assignment=None, partition_records=of_it, backoff=0)


def compiled(raw: bytes, offset: int = 0) -> Any:
    """The records as the extension has them; None: it leaves them to aiokafka."""
    need_native()
    return native.compiled.fetched_records(
        PART.topic, PART.partition, raw, offset, True, kafka_records._DECOMPRESS
    )


def same(mine: Any, its: Any) -> None:
    assert [getattr(mine, name) for name in NAMES] == [getattr(its, name) for name in NAMES]
    assert list(mine.headers) == list(its.headers)


def agree(raw: bytes, offset: int) -> None:
    """Read by both, record by record."""
    mine, its = compiled(raw, offset), fetched(raw, offset)._partition_records
    assert mine is not None
    while True:
        assert mine.next_fetch_offset == its.next_fetch_offset
        one, other = next(mine, None), next(its, None)
        if other is None:
            assert one is None
            assert mine.next_fetch_offset == its.next_fetch_offset
            return
        same(one, other)


class Consumer:
    """A consumer that has fetched something, or will have."""

    def __init__(self) -> None:
        self.waiters: list[asyncio.Future[None]] = []
        self.waited_for = asyncio.Event()
        self._fetcher = SimpleNamespace(_records={}, _create_fetch_waiter=self.waiter)

    def waiter(self) -> asyncio.Future[None]:
        self.waiters.append(asyncio.get_running_loop().create_future())
        self.waited_for.set()
        return self.waiters[-1]

    async def getmany(self, max_records: int) -> dict[TopicPartition, list[Any]]:
        found = {
            part: list(each._partition_records) for part, each in self._fetcher._records.items()
        }
        self._fetcher._records = {}
        return {part: records[:max_records] for part, records in found.items()}


# What the extension reads


@given(
    st.lists(records.filter(bool), min_size=1, max_size=3),
    st.integers(0, 4),
    st.sampled_from([0, 0, 1, 3, 4]),
)
def test_whole_batches(several: list[list[Given]], offset: int, codec: int) -> None:
    """A broker begins with the batch that the offset lies in."""
    raw = b"".join(batch(each, base=5 * n, codec=codec) for n, each in enumerate(several))
    agree(raw, min(offset, len(several[0]) - 1))


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec(codec: str) -> None:
    long = [(1, b"k", b"v" * 1_000, [("h", b"w" * 100)])] * 50
    agree(batch(long, 3, CODECS[codec]) + batch(SOME, 60), 7)


def test_what_the_broker_cut_off_is_left_for_the_next_fetch() -> None:
    whole = batch(SOME)
    for end in range(len(whole)):
        agree(whole + batch(SOME, 3)[:end], 0)


def test_an_empty_batch_and_gaps_after_compaction() -> None:
    empty = changed(batch([]), 23, ">i", 4)
    agree(batch(SOME) + changed(empty, 0, ">q", 3) + batch(SOME, 20), 1)


def test_the_time_of_the_broker_where_that_counts() -> None:
    raw = changed(batch(SOME), 21, ">h", 0x08)
    assert {record.timestamp for record in compiled(raw)} == {1_700_000_000_002}
    agree(raw, 0)


# What it leaves to aiokafka


def unusual() -> dict[str, bytes]:
    old = LegacyRecordBatchBuilder(1, 0, 10_000)
    old.append(0, 1_700_000_000_000, b"a", b"old")
    damaged = bytearray(batch(SOME))
    damaged[-1] ^= 1
    whole = batch(SOME)
    return {
        "an old format": bytes(old.build()),
        "a transaction": batch(SOME, transactional=True),
        "a control batch": changed(whole, 21, ">h", 0x20),
        "damage": bytes(damaged),
        "an unknown codec": changed(whole, 21, ">h", 7),
        "what cannot be decompressed": changed(whole, 21, ">h", 4),
        "more records than there are": changed(whole, 57, ">i", 4),
        "fewer records than there are": changed(whole, 57, ">i", 2),
        "a record of a wrong size": changed(whole, 61, ">b", 2),
        "less than a head": struct.pack(">qii", 0, 4, 0),
        "offsets that do not rise": whole + batch(SOME, 2),
        "a last offset before its records": changed(whole, 23, ">i", 1),
        "an offset that no number follows": changed(batch(SOME, 2**63 - 3), 23, ">i", 2),
        "more than may be held, compressed": batch([(1, None, bytes(1 << 20), [])] * 5, codec=1),
        "more records than may be held": batch([(1, None, None, [])] * 50_001),
        "nothing": b"",
        "less than a batch": whole[:-1],
    }


@pytest.mark.parametrize("name", unusual())
def test_what_is_unusual_is_left(name: str) -> None:
    assert compiled(unusual()[name]) is None


async def test_what_is_read_is_not_kept() -> None:
    """Also before the garbage collector comes."""
    need_native()
    consumer = Consumer()
    consumer._fetcher._records = {PART: fetched(batch(SOME))}
    kept = weakref.ref(consumer._fetcher._records[PART]._partition_records)
    gc.disable()
    try:
        assert await take(consumer, 10, 0.0)
        assert kept() is None
    finally:
        gc.enable()


@given(st.integers(0, 200), st.integers(0, 255))
def test_no_damage_is_taken_for_something_else(at: int, value: int) -> None:
    """With a checksum that fits: what the extension reads, aiokafka reads too."""
    whole = batch(SOME)
    raw = changed(whole, min(at, len(whole) - 1), ">B", value)
    if compiled(raw) is not None:
        agree(raw, 0)


# Taking


@pytest.mark.parametrize("kind", [RawRecords, MemoryRecords])
async def test_they_are_what_aiokafka_would_have_made(
    both_paths: str, kind: Callable[[bytes], Any]
) -> None:
    consumer = Consumer()
    consumer._fetcher._records = {PART: fetched(batch(SOME), kind=kind)}
    made = (await take(consumer, 10, 0.0))[PART]
    ours = both_paths == "native" and kind is RawRecords
    expected = native.compiled.FetchedRecord if ours else KafkaRecord
    assert [type(record) for record in made] == [expected] * 3
    usual = list(fetched(batch(SOME))._partition_records)
    for mine, its in zip(made, usual, strict=True):
        same(mine, its)


async def test_damage_is_told_by_aiokafka() -> None:
    consumer = Consumer()
    consumer._fetcher._records = {PART: fetched(unusual()["damage"])}
    with pytest.raises(CorruptRecordException):
        await take(consumer, 10, 0.0)


@pytest.mark.parametrize("path", ["python", "native"])
def test_the_bytes_are_kept_where_there_is_something_to_read_them(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(aiokafka_fetcher, "MemoryRecords", MemoryRecords)
    with taking(path):
        keep_raw()
    kept = aiokafka_fetcher.MemoryRecords(batch(SOME))
    assert isinstance(kept, RawRecords) == (path == "native")
    assert kept.has_next()
    assert kept.size_in_bytes() == len(batch(SOME))


async def test_what_comes_while_it_waits_is_taken_too() -> None:
    consumer = Consumer()
    taking = asyncio.create_task(take(consumer, 10, 60.0))
    await consumer.waited_for.wait()
    consumer._fetcher._records = {PART: fetched(batch(SOME), kind=MemoryRecords)}
    consumer.waiters[0].set_result(None)
    assert [type(record) for record in (await taking)[PART]] == [KafkaRecord] * 3


async def test_after_the_time_there_is_nothing_and_nobody_waits() -> None:
    consumer = Consumer()
    assert await take(consumer, 10, 0.001) == {}
    assert consumer.waiters[0].cancelled()


async def test_what_aiokafka_has_to_say_is_raised() -> None:
    consumer = Consumer()
    taking = asyncio.create_task(take(consumer, 10, 60.0))
    await consumer.waited_for.wait()
    consumer.waiters[0].set_exception(LookupError("no right to read"))
    with pytest.raises(LookupError):
        await taking
