"""What the commands for dead letters and erasure work with, opened and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stream_app.cli.stored import registered
from stream_app.settings import Settings
from stream_app.streams.clock import SystemClock
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_reader import KafkaReader
from stream_app.streams.letterbox import Letterbox
from stream_app.streams.ports import LogReader, Publisher, StateStore
from stream_app.streams.processor import Pipeline
from stream_app.streams.redelivery import Redelivery
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.replay_marks import ReplayMarks


@dataclass(frozen=True, slots=True)
class Desk:
    """The opened letterbox of a deployment."""

    letterbox: Letterbox
    marks: ReplayMarks
    reader: LogReader
    publisher: Publisher
    """Connects with its first message."""
    store: StateStore
    partitions: int
    """Of the deployment."""

    def redelivery(self, settings: Settings, *, again: bool, force: bool) -> Redelivery:
        """Replays letters; see there."""
        return Redelivery(
            self.letterbox,
            self.publisher,
            self.marks,
            Pipeline(settings),
            SystemClock(),
            again=again,
            force=force,
        )


@asynccontextmanager
async def desk(settings: Settings, client: str = "stream-app-dlq") -> AsyncIterator[Desk]:
    """Open Kafka and Redis as the settings have them; Kafka's logs name the `client`.

    Raises
    ------
    NotFound, Incompatible
        As `stored`; Incompatible also when there is no topic `dead-letters`.
    ConfigError, Unavailable
        Kafka or Redis refuses, or does not answer.
    """
    store, marks = RedisStore(settings.redis), ReplayMarks(settings.redis)
    reader = KafkaReader(settings.kafka, client)
    publisher = KafkaPublisher(settings.kafka, client)
    try:
        partitions = await registered(store, settings)
        await reader.start()
        letterbox = Letterbox(reader, store, marks, settings.kafka.topic_prefix, partitions)
        yield Desk(letterbox, marks, reader, publisher, store, partitions)
    finally:
        await publisher.stop()
        await reader.stop()
        await marks.stop()
        await store.stop()
