"""Reading the log in memory from outside of any group: `MemoryReader`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from stream_app.errors import Incompatible
from stream_app.streams.memory_log import MemoryBroker
from stream_app.streams.ports import Record

_BATCH = 500


class MemoryReader:
    """A `LogReader`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def stretches(self, topic: str, since_us: int | None = None) -> dict[int, range]:
        found = {}
        for partition in range(self._count(topic)):
            source = self._broker.source(topic, partition)
            records = source.records
            skipped = 0
            if since_us is not None:
                late = (i for i, r in enumerate(records) if r.timestamp >= since_us // 1_000)
                skipped = next(late, len(records))
            found[partition] = range(source.first + skipped, source.end)
        return found

    async def read(self, topic: str, stretches: Mapping[int, range]) -> AsyncIterator[list[Record]]:
        for partition, stretch in stretches.items():
            records: list[Record] = [
                record
                for record in self._broker.read(topic, partition, stretch.start)
                if record.offset < stretch.stop
            ]
            for start in range(0, len(records), _BATCH):
                yield records[start : start + _BATCH]

    def _count(self, topic: str) -> int:
        if topic not in self._broker.topics:
            raise Incompatible(f"missing topic: {topic}")
        return self._broker.topics[topic]
