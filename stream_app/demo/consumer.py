"""A downstream reader: a member of a group of its own, as a tool that acts on changes would be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from stream_app.streams.memory_log import MemoryBroker, MemoryLog
from stream_app.streams.ports import Record

_MAX_RECORDS = 1_000
_POLL_SECONDS = 0.2


class Consumer:
    """Reads topics with equal numbers of partitions from their beginning. A `Listener`."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        self._broker = broker
        self._log = MemoryLog(broker, group, topics)
        self._next: dict[int, dict[str, int]] = {}

    async def batches(self) -> AsyncIterator[list[Record]]:
        """What arrives, as soon as it does."""
        await self._log.start(self)
        try:
            while True:
                for partition, records in (
                    await self._log.poll(_MAX_RECORDS, _POLL_SECONDS)
                ).items():
                    for record in records:
                        self._next[partition][record.topic] = record.offset + 1
                    yield records
        finally:
            await self._log.stop()

    def behind(self) -> int:
        """Records that were published and not yet read here."""
        return sum(
            self._broker.source(topic, partition).end - self._next.get(partition, {}).get(topic, 0)
            for topic in self._log.topics
            for partition in range(self._broker.topics[topic])
        )

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """`Listener`: nothing is in flight."""

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """`Listener`: go on where it was."""
        for partition in partitions:
            known = self._next.get(partition, {})
            self._next[partition] = await self._log.seek(partition, known)
