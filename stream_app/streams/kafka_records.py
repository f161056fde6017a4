"""Taking what aiokafka has fetched, at a fraction of the cost.

aiokafka walks through a fetched partition record by record, in Python, which costs more than all
the rest of reading. What it has fetched is looked at before it is read from:

- With the extension, its batches are read in compiled code. For that the raw bytes must be at hand,
  which aiokafka's own class hides: `keep_raw` has it use one that does not.
- Otherwise, and for batches that are not as usual (an old format, transactions, damage), aiokafka
  goes on as ever, except for the method by which it makes a `ConsumerRecord` of each record.

These parts of aiokafka are its own affair. `tests/streams/test_kafka_records.py` compares each
record with aiokafka's, so that a version of it that does otherwise is noticed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition, codec
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from msgspec import Struct

from stream_app import native

_DECOMPRESS: dict[int, Callable[[bytes], bytes]] = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}
"""By the number that Kafka's record batches have for them."""


class KafkaRecord(Struct, gc=False):
    """A `ports.Record`: the attributes of aiokafka's `ConsumerRecord` that anybody asks for."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class RawRecords(MemoryRecords):  # type: ignore[misc]
    """aiokafka's, and the bytes that it is made of."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


def keep_raw() -> None:
    """From now on consumers in this process keep the bytes of what they fetch until it is read."""
    if native.in_use:
        aiokafka_fetcher.MemoryRecords = RawRecords


async def take(
    consumer: AIOKafkaConsumer, max_records: int, timeout_seconds: float
) -> dict[TopicPartition, list[Any]]:
    """`getmany`, waiting outside of it: what comes meanwhile must be prepared too."""
    fetcher = consumer._fetcher
    until = time.monotonic() + timeout_seconds
    while True:
        for fetched in fetcher._records.values():
            if type(fetched) is FetchResult:
                _prepare(fetched)
        taken: dict[TopicPartition, list[Any]] = await consumer.getmany(max_records=max_records)
        left_seconds = until - time.monotonic()
        if taken or left_seconds <= 0:
            return taken
        waiter = fetcher._create_fetch_waiter()
        try:
            await asyncio.wait({waiter}, timeout=left_seconds)
            if not waiter.done():
                return {}
            waiter.result()  # raises what aiokafka wants to say
        finally:
            waiter.cancel()


def _prepare(fetched: FetchResult) -> None:
    """Once for each, before anything was read of it."""
    records = fetched._partition_records
    if type(records) is not PartitionRecords or "_consumer_record" in vars(records):
        return
    raw = getattr(records._records, "raw", None)
    if raw is not None and native.in_use:
        part, offset = fetched._topic_partition, records.next_fetch_offset
        compiled = native.compiled.fetched_records(
            part.topic, part.partition, raw, offset, records._check_crcs, _DECOMPRESS
        )
        if compiled is not None:
            records._records_iterator = None  # refers back to it, and both to the bytes
            fetched._partition_records = compiled
            return
    records._consumer_record = _record


def _record(part: TopicPartition, record: Any) -> KafkaRecord:
    return KafkaRecord(
        part.topic,
        part.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )
