"""Batches for Kafka are the same bytes on both paths."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from stream_app import native
from stream_app.streams import kafka_batch
from stream_app.streams.kafka_batch import batches_of
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message
from tests.native.paths import need_native, taking

NOW_MS = 1_760_000_000_123
LIMIT = 2_000

small = st.binary(max_size=300)
messages = st.builds(
    Message,
    st.sampled_from(["topic", "other"]),
    st.none() | small,
    st.none() | small | st.just(b"x" * LIMIT),
    st.lists(st.tuples(st.text(max_size=70), small), max_size=9).map(tuple),
)


class Producer:
    """As far as it makes batches."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(LIMIT, 0)


COUNTS, ANYWHERE = {"topic": 3, "other": 5}, {"topic": 2, "other": 0}


def built(path: str, given: list[Message], *state: int) -> list[tuple[Any, int, bytes]]:
    """The batches that these messages make: where they go, how many records, and all bytes."""
    with taking(path):
        found = []
        made = batches_of(Producer(), given, COUNTS, ANYWHERE, NOW_MS)  # type: ignore[arg-type]
        for part, batches in made.items():
            for batch in batches:
                batch._set_producer_state(*state)
                data = bytes(batch._build())
                assert data == bytes(batch._build()), "it is sent again as it was"
                found.append((part, batch.record_count(), data))
                if path == "native":
                    assert batch.closed(), "else it would linger"
    return found


@given(
    st.lists(messages, max_size=30),
    st.integers(-1, 2**63 - 1),
    st.integers(-1, 2**15 - 1),
    st.integers(0, 2**31 - 1),
)
def test_both_paths_make_the_same_batches(
    given: list[Message], producer: int, epoch: int, sequence: int
) -> None:
    need_native()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kafka_batch, "BATCH_BYTES", LIMIT)
        theirs = built("python", given, producer, epoch, sequence)
        assert built("native", given, producer, epoch, sequence) == theirs
        assert sum(count for _, count, _ in theirs) == len(given)


@given(st.binary(max_size=40), st.integers(1, 2**31 - 1))
def test_a_key_goes_where_kafkas_own_clients_put_it(key: bytes, count: int) -> None:
    need_native()
    message = Message("topic", key, None)
    ((_, partition, _),) = native.compiled.record_batches(
        [message], {"topic": count}, {"topic": 0}, LIMIT, NOW_MS
    )
    assert partition == partition_of(key, count)


@given(st.binary(max_size=100))
def test_the_checksum_is_kafkas_with_and_without_the_processors_help(data: bytes) -> None:
    need_native()
    assert {native.compiled.crc32c(data, by_table) for by_table in (False, True)} == {
        calc_crc32c(data)
    }


WRONG = {
    "topic": Message(b"topic", None, b""),  # type: ignore[arg-type]
    "key": Message("topic", "text", b""),  # type: ignore[arg-type]
    "value": Message("topic", None, 5),  # type: ignore[arg-type]
    "headers": Message("topic", None, None, [("a", b"")]),  # type: ignore[arg-type]
    "header": Message("topic", None, None, (("a", b"", b""),)),  # type: ignore[arg-type]
    "its name": Message("topic", None, None, ((b"a", b""),)),  # type: ignore[arg-type]
    "its value": Message("topic", None, None, (("a", "b"),)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", WRONG.values(), ids=WRONG)
def test_what_is_of_another_type_is_refused(message: Message) -> None:
    need_native()
    with pytest.raises(TypeError):
        native.compiled.record_batches([message], COUNTS, ANYWHERE, LIMIT, NOW_MS)


def test_a_topic_that_is_not_known_is_refused(both_paths: str) -> None:
    assert both_paths
    for key in (None, b"key"):
        with pytest.raises(KeyError, match="unknown"):
            batches_of(
                Producer(),  # type: ignore[arg-type]
                [Message("unknown", key, b"")],
                COUNTS,
                ANYWHERE,
                NOW_MS,
            )


def test_what_is_no_batch_is_refused() -> None:
    need_native()
    with pytest.raises(ValueError, match="without partitions"):
        native.compiled.record_batches(
            [Message("topic", b"key", b"")], {"topic": 0}, ANYWHERE, LIMIT, NOW_MS
        )
    with pytest.raises(ValueError, match="no batch"):
        native.compiled.seal_batch(bytearray(60), 1, 1, 1)
