"""The producer of a run: steady, and stubborn while Kafka is away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from time import monotonic

from stream_app.errors import Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.ports import Message

_TICK_SECONDS = 0.1
_CHUNK = 500


class Load:
    """Sends messages in their order. What was not acknowledged is sent again before anything else,
    so that it may lie on the log twice, but never behind what came after it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.sent: Counter[tuple[str, bytes | None]] = Counter()
        """(topic, value) of what was acknowledged, with how often it was meant to be sent."""
        self._publisher = KafkaPublisher(settings, "chaos-producer")

    async def send(self, messages: Sequence[Message]) -> None:
        """Returns when Kafka has acknowledged all of them."""
        for start in range(0, len(messages), _CHUNK):
            chunk = messages[start : start + _CHUNK]
            while True:
                try:
                    await self._publisher.publish(chunk)
                except Unavailable:
                    await asyncio.sleep(_TICK_SECONDS)
                else:
                    break
            self.sent.update((message.topic, message.value) for message in chunk)

    async def run(self, events: Iterator[Message], rate: float, until: asyncio.Event) -> None:
        """Send `rate` messages a second; those of a time in which Kafka was away follow at once."""
        began, count = monotonic(), 0
        while not until.is_set():
            due = round((monotonic() - began) * rate)
            await self.send([next(events) for _ in range(due - count)])
            count = due
            await asyncio.sleep(_TICK_SECONDS)

    async def close(self) -> None:
        """Disconnect."""
        await self._publisher.stop()
