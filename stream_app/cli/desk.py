"""What the commands for dead letters work with: reader, store and marks, opened and closed."""

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
from stream_app.streams.processor import Pipeline
from stream_app.streams.redelivery import Redelivery
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.replay_marks import ReplayMarks

_CLIENT = "stream-app-dlq"


@dataclass(frozen=True, slots=True)
class Desk:
    """The opened letterbox of a deployment."""

    letterbox: Letterbox
    marks: ReplayMarks
    publisher: KafkaPublisher
    """Connects with its first message."""

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
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open Kafka and Redis as the settings have them.

    Raises
    ------
    NotFound, Incompatible
        As `stored`; Incompatible also when there is no topic `dead-letters`.
    ConfigError, Unavailable
        Kafka or Redis refuses, or does not answer.
    """
    store, marks = RedisStore(settings.redis), ReplayMarks(settings.redis)
    reader = KafkaReader(settings.kafka, _CLIENT)
    publisher = KafkaPublisher(settings.kafka, _CLIENT)
    try:
        partitions = await registered(store, settings)
        await reader.start()
        prefix = settings.kafka.topic_prefix
        yield Desk(Letterbox(reader, store, marks, prefix, partitions), marks, publisher)
    finally:
        await publisher.stop()
        await reader.stop()
        await marks.stop()
        await store.stop()
