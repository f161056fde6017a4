"""Topics on a real Kafka, a prefix in a real Redis, and worker processes, beside the commands."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from stream_app.settings import KafkaSettings, RedisSettings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_reader import KafkaReader
from stream_app.streams.ports import Message, Record
from tests.integration.test_real_input import worker_process

PARTITIONS = 2
PATIENCE_SECONDS = 60.0


@dataclass
class Stack:
    """Where commands and workers find Kafka and Redis."""

    kafka: KafkaSettings
    redis: RedisSettings
    folder: Path
    partitions: int = PARTITIONS
    """That a worker claims."""
    workers: int = field(default=0, init=False)

    @classmethod
    def create(
        cls,
        bootstrap: str,
        prefix: str,
        redis_url: str,
        folder: Path,
        *,
        partitions: int = PARTITIONS,
        redis_prefix: str = "sa",
    ) -> Stack:
        """Also creates the topics."""
        kafka = KafkaSettings(
            bootstrap_servers=bootstrap, topic_prefix=prefix, group=f"{prefix}group"
        )
        asyncio.run(create_topics(kafka, topics.with_prefix(prefix), partitions=partitions))
        redis = RedisSettings(url=SecretStr(redis_url), prefix=redis_prefix)
        return cls(kafka, redis, folder, partitions)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "STREAM_APP_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
            "STREAM_APP_KAFKA__GROUP": self.kafka.group,
            "STREAM_APP_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "STREAM_APP_REDIS__URL": self.redis.url.get_secret_value(),
            "STREAM_APP_REDIS__PREFIX": self.redis.prefix,
            "STREAM_APP_SEGMENTS__TRAIN": "false",
            "STREAM_APP_WEB__PORT": "0",
        }

    @contextmanager
    def worker(self, **environment: str) -> Iterator[Callable[[], str]]:
        """A worker that owns all partitions while the block runs, and is then stopped in good
        order. Yields how to read its log."""
        self.workers += 1
        log = self.folder / f"worker-{self.workers}.log"
        with worker_process({**self.environment, **environment}, log) as process:
            until(lambda: log.read_text().count(": claimed ") >= self.partitions, "a claim")
            yield log.read_text
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0, log.read_text()

    def name(self, topic: topics.Topic) -> str:
        return self.kafka.topic_prefix + topic.name

    def publish(self, *messages: Message) -> None:
        """Messages whose topics have no prefix."""

        async def send() -> None:
            publisher = KafkaPublisher(self.kafka)
            prefix = self.kafka.topic_prefix
            await publisher.publish(
                [Message(prefix + m.topic, m.key, m.value, m.headers) for m in messages]
            )
            await publisher.stop()

        asyncio.run(send())

    def read(self, topic: topics.Topic) -> list[Record]:
        """All there is."""

        async def read() -> list[Record]:
            reader = KafkaReader(self.kafka, "test")
            await reader.start()
            try:
                name = self.name(topic)
                batches = reader.read(name, await reader.stretches(name))
                return [record async for batch in batches for record in batch]
            finally:
                await reader.stop()

        return asyncio.run(read())


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for another process; returns the first answer that is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return answer


def visit(account: str, id_: str, **fields: Any) -> Message:
    """An event on its topic."""
    event = {"id": id_, "occurred_at": "2026-09-01T12:00:00Z", "account_id": account, **fields}
    return Message(topics.WEBSITE_VISITS.name, account.encode(), json.dumps(event).encode())
