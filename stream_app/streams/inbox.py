"""Records of one partition that were read and are not yet applied, and how large they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from stream_app.streams.ports import Message, Record

_BATCH_BYTES = 16 * 1024 * 1024
"""Of one batch at most. Refused records go to the store as they are, and a longer commit holds up
Redis and all who share it."""


def size_of(record: Record | Message) -> int:
    """Bytes of key, value and headers. Each of them may be what makes a record large."""
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers or ():
        size += len(name) + len(value or b"")
    return size


class Inbox:
    """Records in the order in which they were read.

    Parameters
    ----------
    cut
        Of records, one at least, how many make a batch (`Pipeline.cut`).
    taken
        Called when records have left.
    """

    def __init__(self, cut: Callable[[Sequence[Record]], int], taken: Callable[[], None]) -> None:
        self._cut, self._taken = cut, taken
        self._records: list[Record] = []
        self._sizes: list[int] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> Record:
        """The record that is next."""
        return self._records[0]

    def add(self, records: Sequence[Record]) -> int:
        """Append records; returns their bytes."""
        sizes = [
            size_of(record) if record.headers else len(record.value or b"") + len(record.key or b"")
            for record in records
        ]
        added = sum(sizes)
        self._records += records
        self._sizes += sizes
        self.bytes += added
        return added

    def take(self, most: int) -> list[Record]:
        """Remove and return the next batch: one record at least, `most` at most, and only so many
        that they can be committed together."""
        count = min(most, len(self._records))
        if self.bytes > _BATCH_BYTES:
            count = max(1, sum(size <= _BATCH_BYTES for size in accumulate(self._sizes[:most])))
        count = self._cut(self._records[:count])
        taken, self._records = self._records[:count], self._records[count:]
        self.bytes -= sum(self._sizes[:count])
        self._sizes = self._sizes[count:]
        self._taken()
        return taken

    def clear(self) -> None:
        """Drop all."""
        self._records, self._sizes, self.bytes = [], [], 0
        self._taken()
