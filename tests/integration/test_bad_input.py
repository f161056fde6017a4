"""Whatever a producer sends, through real Kafka and Redis: the stream goes on.

Bad records lie between good ones of the same account. Each bad one ends in `dead-letters` with its
own reason and its original bytes, and the accounts end as if it had not been there.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream_app.changes.types import OUTPUT_TYPES, DeadLetter
from stream_app.events.instants import HOUR, MINUTE, to_rfc3339
from stream_app.settings import KafkaSettings, RedisSettings, SegmentSettings, Settings
from stream_app.streams import topics
from stream_app.streams.clock import SystemClock
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_log import KafkaLog
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.metrics import Metrics
from stream_app.streams.ports import Message
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.worker import Worker
from tests.schemas.checks import check_published

PARTITIONS = 2
ACCOUNT = "acme"
VISITS, EMAILS, ANY = "website-visits", "email-events", "engagement"
NOW_US = time.time_ns() // 1_000

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Bad:
    """A record and what is wrong with it."""

    reason: str
    value: bytes | None
    topic: str = VISITS
    headers: Headers = ()


def body(**fields: Any) -> dict[str, Any]:
    return {
        "id": "bad",
        "occurred_at": to_rfc3339(NOW_US - 10 * MINUTE),
        "account_id": ACCOUNT,
        **fields,
    }


def encoded(**fields: Any) -> bytes:
    return json.dumps(body(**fields)).encode()


def without(name: str) -> bytes:
    return json.dumps({k: v for k, v in body().items() if k != name}).encode()


BINARY: Headers = (("ce_specversion", b"1.0"), ("ce_type", b"\xff\xfe"), ("ce_id", b"\xff"))

BAD = {
    "no JSON": Bad("not_json", b"id=1;account=acme"),
    "half a record": Bad("not_json", encoded()[:-9]),
    "NaN": Bad("not_json", encoded(dwell_seconds=float("nan"))),
    "infinity": Bad("not_json", encoded(dwell_seconds=float("inf"))),
    "a number beyond all numbers": Bad(
        "invalid_field", encoded(dwell_seconds=0).replace(b": 0}", b": 1e999}")
    ),
    "a negative time on the page": Bad("invalid_field", encoded(dwell_seconds=-1)),
    "a text for a number": Bad("invalid_field", encoded(dwell_seconds="long")),
    "a number for a text": Bad("invalid_field", encoded(id=7)),
    "a number for the account": Bad("no_account", encoded(account_id=7)),
    "an empty account": Bad("no_account", encoded(account_id="")),
    "no account": Bad("no_account", without("account_id")),
    "no id": Bad("missing_field", without("id")),
    "no time": Bad("missing_field", without("occurred_at")),
    "a time without an offset": Bad("invalid_field", encoded(occurred_at="2026-01-01T00:00:00")),
    "no time at all": Bad("invalid_field", encoded(occurred_at="yesterday")),
    "the far future": Bad("in_the_future", encoded(occurred_at="2999-01-01T00:00:00Z")),
    "an hour ahead": Bad("in_the_future", encoded(occurred_at=to_rfc3339(NOW_US + HOUR))),
    "the far past": Bad("too_old", encoded(occurred_at="1970-01-01T00:00:00Z")),
    "two megabytes": Bad("too_large", encoded(url="x" * 2_000_000)),
    "a lone surrogate": Bad("invalid_encoding", encoded(contact_id="\ud800")),
    "not UTF-8": Bad("invalid_encoding", encoded().replace(b"bad", b"b\xffd")),
    "nested too deeply": Bad("too_deep", b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
    "a list": Bad("not_an_object", b"[1, 2, 3]"),
    "null": Bad("not_an_object", b"null"),
    "a tombstone": Bad("empty", None),
    "an empty value": Bad("empty", b""),
    "an unknown kind of e-mail": Bad("unknown_kind", encoded(kind="sneezed"), EMAILS),
    "another topic's event": Bad("unknown_type", encoded(type="email.engagement", kind="sent")),
    "an unknown type": Bad("unknown_type", encoded(type="phone.call"), ANY),
    "no type where one is needed": Bad("unknown_type", encoded(), ANY),
    "headers that are no text": Bad("missing_field", b"{}", VISITS, BINARY),
}


def good(number: int, **fields: Any) -> bytes:
    at_us = NOW_US - 30 * MINUTE + number * 1_000_000
    fields = {"id": f"good-{number}", "occurred_at": to_rfc3339(at_us), **fields}
    return encoded(**{"contact_id": f"c{number % 3}", "topics": ["pricing"], **fields})


@dataclass
class Stack:
    """Topics, and a worker that works until everything is done."""

    settings: Settings
    store: RedisStore
    metrics: Metrics

    def message(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()):
        return Message(self.settings.kafka.topic_prefix + topic, key, value, headers)

    async def process(self, messages: list[Message]) -> None:
        kafka = self.settings.kafka
        await create_topics(kafka, topics.with_prefix(kafka.topic_prefix), partitions=PARTITIONS)
        publisher = KafkaPublisher(kafka)
        await publisher.start()
        await publisher.publish(messages)
        await publisher.stop()
        worker = Worker(
            self.settings,
            KafkaLog(kafka, topics.consumed(kafka.topic_prefix)),
            RedisStore(self.settings.redis),
            KafkaPublisher(kafka),
            SystemClock(),
            metrics=self.metrics,
        )
        await worker.start()
        working = asyncio.create_task(worker.run())
        await self._everything_is_applied(working)
        await worker.stop()
        await working

    async def _everything_is_applied(self, working: asyncio.Task[None]) -> None:
        async with asyncio.timeout(60):
            while not working.done():
                positions = [await self.store.position(p) for p in range(PARTITIONS)]
                applied = {
                    (t, p): n for p, at in enumerate(positions) for t, n in at.offsets.items()
                }
                if applied == await self._ends():
                    return
                await asyncio.sleep(0.1)
        working.result()

    async def _ends(self) -> dict[tuple[str, int], int]:
        names = topics.consumed(self.settings.kafka.topic_prefix)
        async with consumer(self.settings.kafka) as reading:
            parts = [TopicPartition(name, p) for name in names for p in range(PARTITIONS)]
            ends = await reading.end_offsets(parts)
        return {(part.topic, part.partition): end for part, end in ends.items() if end}

    async def states(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for partition in range(PARTITIONS):
            async for chunk in self.store.load(partition):
                found |= dict(chunk)
        return found

    async def read(self, topic: topics.Topic) -> list[ConsumerRecord]:
        kafka = self.settings.kafka
        name = topic.with_prefix(kafka.topic_prefix).name
        count = PARTITIONS if topic.partitions > 1 else 1
        found: list[ConsumerRecord] = []
        async with consumer(kafka) as reading:
            parts = [TopicPartition(name, p) for p in range(count)]
            reading.assign(parts)
            await reading.seek_to_beginning()
            ends = await reading.end_offsets(parts)
            for part in parts:
                while await reading.position(part) < ends[part]:
                    found += (await reading.getmany(part, timeout_ms=500)).get(part, [])
        return found


def consumer(kafka: KafkaSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, max_partition_fetch_bytes=10_000_000
    )


@pytest.fixture
async def stacks(
    kafka_bootstrap: str, redis_url: str, topic_prefix: str
) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two that know nothing of each other."""
    both = []
    for name in ("mixed.", "clean."):
        prefix = topic_prefix + name
        settings = Settings(
            kafka=KafkaSettings(
                bootstrap_servers=kafka_bootstrap, topic_prefix=prefix, group=f"{prefix}group"
            ),
            redis=RedisSettings(url=redis_url, prefix=prefix),  # type: ignore[arg-type]
            segments=SegmentSettings(train=False),
        )
        both.append(Stack(settings, RedisStore(settings.redis), Metrics()))
    yield both[0], both[1]
    for stack in both:
        await stack.store.stop()


async def test_bad_records_between_good_ones_change_nothing(stacks: tuple[Stack, Stack]) -> None:
    mixed, clean = stacks
    key = ACCOUNT.encode()
    events, wild = [], []
    for number, bad in enumerate(BAD.values()):
        events.append(good(number))
        wild.append(mixed.message(VISITS, key, good(number)))
        headers = (("producer", b"%d" % number), *bad.headers)
        wild.append(mixed.message(bad.topic, key, bad.value, headers))
        wild.append(mixed.message(VISITS, key, good(number)))  # a duplicate
    await clean.process([clean.message(VISITS, key, event) for event in events])
    await mixed.process(wild)

    assert list(await clean.states()) == [ACCOUNT]
    assert await mixed.states() == await clean.states()

    letters = await mixed.read(topics.DEAD_LETTERS)
    found = {}
    for letter in letters:
        headers = dict(letter.headers)
        name = list(BAD)[int(headers["original-producer"])]
        found[name] = Bad(
            headers["ce_reason"].decode(),
            letter.value,
            headers["ce_sourcetopic"].decode().removeprefix(mixed.settings.kafka.topic_prefix),
            tuple(
                (header.removeprefix("original-"), value)
                for header, value in letter.headers
                if header.startswith("original-ce_")
            ),
        )
        assert letter.key == key
    assert found == BAD
    assert len(letters) == len(BAD)
    count = mixed.metrics.registry.get_sample_value
    assert count("stream_app_events_total") == len(BAD)
    assert count("stream_app_duplicates_total") == len(BAD)


async def test_every_message_that_leaves_is_valid(stacks: tuple[Stack, Stack]) -> None:
    mixed, _ = stacks
    key = ACCOUNT.encode()
    messages = [mixed.message(bad.topic, key, bad.value, bad.headers) for bad in BAD.values()]
    messages += [
        mixed.message(VISITS, b"acme-%d" % i, good(i, account_id=f"acme-{i}")) for i in range(40)
    ]
    await mixed.process(messages)
    kinds = set()
    for topic in (topics.SEGMENT_CHANGES, topics.ACCOUNT_SEGMENTS, topics.DEAD_LETTERS):
        for record in await mixed.read(topic):
            kinds.add(check_published(record.key, record.value, record.headers).get_type())
    assert OUTPUT_TYPES[DeadLetter] in kinds
    assert len(kinds) == 3


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"], ids=["none", "empty", "no text"])
async def test_a_key_that_is_no_account_is_put_right(
    stacks: tuple[Stack, Stack], key: bytes | None
) -> None:
    mixed, clean = stacks
    accounts = [f"acme-{i}" for i in range(8)]
    events = {a: good(i, account_id=a) for i, a in enumerate(accounts)}
    await clean.process([clean.message(VISITS, a.encode(), value) for a, value in events.items()])
    await mixed.process([mixed.message(VISITS, key, value) for value in events.values()])
    assert await mixed.states() == await clean.states()
    assert await mixed.read(topics.DEAD_LETTERS) == []
    for record in await mixed.read(topics.ENGAGEMENT):
        assert record.key == json.loads(record.value)["account_id"].encode()
