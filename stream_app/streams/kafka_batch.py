"""Batches of messages as Kafka takes them: made by the compiled extension in one go, or by aiokafka
message by message, to the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from stream_app import native
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message

BATCH_BYTES = 256 * 1024
"""Far below what topics take by default (1 MiB), large enough to make up for a round trip. A larger
message is a batch of its own."""


class _Compiled:
    """What aiokafka's producer wants of a `BatchBuilder` that is handed over full."""

    def __init__(self, batch: bytearray, count: int) -> None:
        self._batch, self._count = batch, count
        self._producer = (-1, -1, 0)
        self._sealed = False

    def record_count(self) -> int:
        return self._count

    def closed(self) -> bool:
        return True

    def _set_producer_state(self, producer_id: int, epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, epoch, base_sequence)

    def _build(self) -> bytearray:
        if not self._sealed:
            native.compiled.seal_batch(self._batch, *self._producer)
            self._sealed = True
        return self._batch


def batches_of(
    producer: AIOKafkaProducer,
    messages: Sequence[Message],
    counts: dict[str, int],
    anywhere: dict[str, int],
    now_ms: int,
) -> dict[TopicPartition, list[Any]]:
    """Batches for `producer.send_batch` by where they go, in the order of the messages.

    Parameters
    ----------
    counts
        Number of partitions of each topic.
    anywhere
        The partition of each topic for messages without a key.
    now_ms
        Timestamp of all of them.
    """
    if native.in_use:
        made = native.compiled.record_batches(messages, counts, anywhere, BATCH_BYTES, now_ms)
        return {
            TopicPartition(topic, partition): [_Compiled(*batch) for batch in batches]
            for topic, partition, batches in made
        }
    found: dict[TopicPartition, list[Any]] = {}
    for message in messages:
        topic, key = message.topic, message.key
        partition = anywhere[topic] if key is None else partition_of(key, counts[topic])
        batches = found.setdefault(TopicPartition(topic, partition), [])
        if not (batches and _append(batches[-1], message, now_ms)):
            batches.append(producer.create_batch())
            _append(batches[-1], message, now_ms)
    return found


def _append(batch: Any, message: Message, now_ms: int) -> bool:
    """False: the batch is full. The first message of a batch always fits."""
    added = batch.append(
        key=message.key, value=message.value, timestamp=now_ms, headers=list(message.headers)
    )
    return added is not None
