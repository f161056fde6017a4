"""Publishing what is committed, in order, until Kafka has acknowledged it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from stream_app.errors import Unavailable
from stream_app.streams.backoff import Backoff
from stream_app.streams.inbox import size_of
from stream_app.streams.metrics import Metrics
from stream_app.streams.ports import Clock, Message, Publisher

log = logging.getLogger(__name__)

_CHUNK = 2_000
"""Messages published in one call at most, unless a single commit has more."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """The messages of one commit."""

    messages: Sequence[Message]
    size: int
    """Bytes that they take, about."""
    outbox_next: int
    """Index after the last of its outbox entries: what may be trimmed once it is acknowledged."""
    decided: float
    """Monotonic seconds when its changes were decided."""
    lags_seconds: Sequence[float]
    """How old the event behind each change was at that moment."""


class Relay:
    """Publishes the parcels of one partition, one after the other."""

    def __init__(
        self,
        partition: int,
        outbox_first: int,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.acknowledged = outbox_first
        """Outbox entries before this index are on Kafka."""
        self.pending = 0
        """Messages not yet acknowledged."""
        self.pending_bytes = 0
        self.failing = False
        """Whether Kafka did not take the oldest of them when it was last tried."""
        self._partition = str(partition)
        self._publisher, self._clock, self._metrics = publisher, clock, metrics
        self._parcels: deque[_Parcel] = deque()
        self._more = asyncio.Event()
        self._moved = asyncio.Event()
        self._ended = False

    def put(
        self,
        messages: Sequence[Message],
        outbox_next: int,
        decided: float = 0.0,
        lags_seconds: Sequence[float] = (),
        size: int | None = None,
    ) -> None:
        """Publish these messages after all earlier ones. Call only when they are committed.

        `size` is for who knows the bytes of the messages, or of their outbox entries.
        """
        if size is None:
            size = sum(map(size_of, messages))
        self._parcels.append(_Parcel(messages, size, outbox_next, decided, lags_seconds))
        self.pending += len(messages)
        self.pending_bytes += size
        self._metrics.outbox.labels(self._partition).set(self.pending)
        self._more.set()

    def full(self, limit: int, limit_bytes: int) -> bool:
        """Whether so many messages or bytes are pending."""
        return self.pending >= limit or self.pending_bytes >= limit_bytes

    async def below(self, limit: int, limit_bytes: int = sys.maxsize) -> None:
        """Wait until less than that is pending, or nothing is published any more: then it lies in
        the outbox, for the next owner."""
        while self.full(limit, limit_bytes) and not self._ended:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Publish until cancelled. While Kafka is away, the oldest messages are tried again."""
        try:
            await self._publish()
        finally:
            self._ended = True
            self._moved.set()

    async def _publish(self) -> None:
        backoff = Backoff()
        while True:
            self._more.clear()
            if not self._parcels:
                await self._more.wait()
                continue
            chunk = self._chunk()
            messages = [message for parcel in chunk for message in parcel.messages]
            began = self._clock.monotonic()
            try:
                await self._publisher.publish(messages)
            except Unavailable as error:
                self.failing = True
                log.warning("partition %s waits for Kafka to publish: %s", self._partition, error)
                await backoff.wait()
                self._metrics.waits.labels("kafka").inc(self._clock.monotonic() - began)
                continue
            backoff.reset()
            self.failing = False
            self._acknowledge(chunk, len(messages), began)

    def _chunk(self) -> list[_Parcel]:
        chunk: list[_Parcel] = []
        size = 0
        for parcel in self._parcels:
            if chunk and size + len(parcel.messages) > _CHUNK:
                break
            chunk.append(parcel)
            size += len(parcel.messages)
        return chunk

    def _acknowledge(self, chunk: list[_Parcel], count: int, began: float) -> None:
        now = self._clock.monotonic()
        for parcel in chunk:
            self._parcels.popleft()
            self.pending_bytes -= parcel.size
            for lag in parcel.lags_seconds:
                self._metrics.freshness.observe(lag + now - parcel.decided)
        self.acknowledged = chunk[-1].outbox_next
        self.pending -= count
        self._metrics.published.inc(count)
        self._metrics.publish.observe(now - began)
        self._metrics.outbox.labels(self._partition).set(self.pending)
        self._moved.set()
