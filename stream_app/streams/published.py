"""What Kafka has of the accounts of one partition: read once, and then whatever has come since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from stream_app.streams import topics
from stream_app.streams.comparing import Seen, note_account, note_change
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import LogReader, Record

_Note = Callable[[Seen, Record], None]


class Published:
    """The records of `account-segments` and `segment-changes`, boiled down to a `Seen` each.

    Parameters
    ----------
    partition, partitions
        Whose accounts are kept, by their keys.
    """

    def __init__(
        self, reader: LogReader, topic_prefix: str, partition: int, partitions: int
    ) -> None:
        self._reader = reader
        self._partition, self._partitions = partition, partitions
        self._changes = topic_prefix + topics.SEGMENT_CHANGES.name
        self._accounts = topic_prefix + topics.ACCOUNT_SEGMENTS.name
        self._read: dict[str, Mapping[int, range]] = {}
        self.seen: dict[str, Seen] = {}
        """By account. Whoever needs only some of them may take the others out."""
        self.complete = True
        """Whether retention has removed no change."""
        self.changes = 0
        """Changes that were read, repetitions included."""

    async def read_on(self, only: Collection[str] | None = None) -> None:
        """Read what there is, or what has come since the last time; `only` of these accounts.
        Raises Unavailable, or Incompatible when a topic is missing."""
        self.changes += await self._read_topic(self._changes, note_change, only)
        await self._read_topic(self._accounts, note_account, only)

    async def _read_topic(self, topic: str, note: _Note, only: Collection[str] | None) -> int:
        now = await self._reader.stretches(topic)
        if len(now) == self._partitions:
            now = {self._partition: now[self._partition]}
        # Else accounts lie in other partitions than their state: read all, and keep ours.
        if topic == self._changes:
            self.complete = self.complete and all(each.start == 0 for each in now.values())
        before = self._read.get(topic, {})
        fresh = {p: range(before[p].stop if before else s.start, s.stop) for p, s in now.items()}
        self._read[topic] = now
        count = 0
        async for records in self._reader.read(topic, fresh):
            for record in records:
                account = self._account_of(record)
                if account is None or (only is not None and account not in only):
                    continue
                count += 1
                if account not in self.seen:
                    self.seen[account] = Seen()
                note(self.seen[account], record)
        return count

    def _account_of(self, record: Record) -> str | None:
        """None: it belongs to another partition, or no worker wrote it."""
        key: bytes | None = record.key
        if key is None or partition_of(key, self._partitions) != self._partition:
            return None
        try:
            return key.decode()
        except UnicodeDecodeError:
            return None
