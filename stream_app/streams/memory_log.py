"""The event log in memory: topics, consumer groups and rebalances, for the demo and for tests.

Nothing here sleeps or looks at a clock, except for the time stamps of records and the time-out of
`poll`, which is the event loop's: under a loop with virtual time, all of it is deterministic.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from stream_app.errors import Incompatible
from stream_app.streams.partitioning import common_count, partition_of
from stream_app.streams.ports import Listener, Message, Record

log = logging.getLogger(__name__)

Headers = tuple[tuple[str, bytes], ...]


class MemoryRecord(msgspec.Struct, frozen=True, gc=False):
    """A `Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(slots=True)
class _Partition:
    """Records from offset `first` on. Dropping the oldest does not change the others' offsets."""

    limit: int | None
    records: list[MemoryRecord] = field(default_factory=list)
    first: int = 0

    @property
    def end(self) -> int:
        return self.first + len(self.records)

    def drop_before(self, offset: int) -> None:
        dropped = max(0, min(offset, self.end) - self.first)
        del self.records[:dropped]
        self.first += dropped

    def append(self, record: MemoryRecord) -> None:
        # In pieces as large as what stays, so that dropping costs next to nothing per record.
        if self.limit is not None and len(self.records) >= 2 * self.limit:
            self.drop_before(self.end - self.limit)
        self.records.append(record)


class MemoryBroker:
    """What a Kafka cluster is to its clients. Belongs to one event loop."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._topics: dict[str, list[_Partition]] = {}
        self._groups: dict[str, _Group] = {}
        self._next_without_key = itertools.count()
        self.waiting: set[MemoryLog] = set()
        """Members that wait for a record."""

    def create_topic(self, name: str, partitions: int, max_records: int | None = None) -> None:
        """`max_records`: that many per partition are kept at least, twice as many at most."""
        if name in self._topics:
            raise Incompatible(f"topic {name} exists")
        self._topics[name] = [_Partition(max_records) for _ in range(partitions)]

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic empty partitions, as many as make `total`."""
        partitions = self._partitions(name)
        if total < len(partitions):
            raise Incompatible(f"{name} has {len(partitions)} partitions already")
        limit = partitions[0].limit
        partitions += [_Partition(limit) for _ in range(total - len(partitions))]

    @property
    def topics(self) -> dict[str, int]:
        """Number of partitions of each topic."""
        return {name: len(partitions) for name, partitions in self._topics.items()}

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Append one record, to the partition of its key unless told. Returns partition, offset."""
        partitions = self._partitions(topic)
        if partition is None:
            partition = (
                next(self._next_without_key) % len(partitions)
                if key is None
                else partition_of(key, len(partitions))
            )
        target = partitions[partition]
        offset = target.end
        target.append(MemoryRecord(topic, partition, offset, self._now_ms(), key, value, headers))
        if self.waiting:
            self._wake()
        return partition, offset

    def read(self, topic: str, partition: int, start: int = 0) -> list[MemoryRecord]:
        """What there is from `start` on."""
        source = self._partitions(topic)[partition]
        return source.records[max(0, start - source.first) :]

    def read_all(self, topic: str) -> list[MemoryRecord]:
        """What there is, partition after partition."""
        return [record for source in self._partitions(topic) for record in source.records]

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop what retention would drop: all records before this offset."""
        self._partitions(topic)[partition].drop_before(before)

    def source(self, topic: str, partition: int) -> _Partition:
        return self._partitions(topic)[partition]

    def group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def progress(self, group: str) -> dict[tuple[str, int], int]:
        """What the group's members showed: next offset by (topic, partition)."""
        return self.group(group).progress

    def _partitions(self, topic: str) -> list[_Partition]:
        if topic not in self._topics:
            raise Incompatible(
                f"missing topic: {topic}",
                hint="create what is missing with `stream-app topics create`",
            )
        return self._topics[topic]

    def _wake(self) -> None:
        for member in self.waiting:
            member.wake()
        self.waiting.clear()


class _Group:
    """A consumer group with Kafka's eager protocol: at every change of membership all members
    give up everything, and only when all have done so is anything handed out again."""

    def __init__(self) -> None:
        self.progress: dict[tuple[str, int], int] = {}
        self._members: list[MemoryLog] = []
        self._changed = False
        self._rebalance: asyncio.Task[None] | None = None

    @property
    def members(self) -> int:
        """How many there are."""
        return len(self._members)

    def join(self, member: MemoryLog) -> None:
        self._members.append(member)
        self.rebalance()

    def leave(self, member: MemoryLog) -> None:
        if member in self._members:
            self._members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        self._changed = True
        if self._rebalance is None or self._rebalance.done():
            self._rebalance = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._changed:
            self._changed = False
            await asyncio.gather(*(member.revoke() for member in self._members))
            if not self._changed:
                members = list(self._members)
                shares = _ranges(members)
                await asyncio.gather(
                    *(member.assign(share) for member, share in zip(members, shares, strict=True))
                )


def _ranges(members: Sequence[MemoryLog]) -> list[frozenset[int]]:
    """Kafka's range assignment: neighbouring partitions to each, one more to the first ones."""
    shares, first = [], 0
    for place, member in enumerate(members):
        size, extra = divmod(member.partitions, len(members))
        size += place < extra
        shares.append(frozenset(range(first, first + size)))
        first += size
    return shares


class MemoryLog:
    """One member of a group: an `EventLog`.

    For simulations: `expire` is what a session time-out does to a member that is frozen or cut
    off, `rejoin` what that member does when it wakes up and hears of it.
    """

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        self._broker = broker
        self._group = broker.group(group)
        self._topics = tuple(topics)
        self.partitions = 0
        """Number of partitions of the consumed topics, once started."""
        self._listener: Listener | None = None
        self._owned: frozenset[int] = frozenset()
        self._next: dict[int, dict[str, int]] = {}
        """Next offset per topic of each partition that is delivered, longest waiting first."""
        self._wake = asyncio.Event()
        self._gone = asyncio.Event()
        self._told: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._failure: Exception | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        return self._topics

    async def start(self, listener: Listener) -> int:
        self.partitions = common_count(self._topics, self._broker.topics)
        self._listener = listener
        self._group.join(self)
        return self.partitions

    async def stop(self) -> None:
        self.expire()
        self._next.clear()
        self._owned = frozenset()
        if self._told is not None and not self._told.done():
            self._told.cancel()
            await asyncio.wait({self._told})

    def expire(self) -> None:
        """Take its partitions away without telling it: it goes on reading them as a zombie."""
        self._gone.set()
        self._group.leave(self)

    async def rejoin(self) -> None:
        """Learn that the session has expired, give up everything and join again."""
        self._gone.clear()
        await self.revoke()
        self._group.join(self)

    async def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        await asyncio.sleep(0)  # a reader that always finds records must not starve the others
        try:
            async with asyncio.timeout(timeout_seconds):
                while not (batches := self._take(max_records)):
                    self._wake.clear()
                    self._broker.waiting.add(self)
                    await self._wake.wait()
        except TimeoutError:
            return {}
        finally:
            self._broker.waiting.discard(self)
        return batches

    async def seek(self, partition: int, offsets: Mapping[str, int]) -> dict[str, int]:
        self.pause(partition)
        if partition not in self._owned:
            return {}
        used = {}
        for topic in self._topics:
            source = self._broker.source(topic, partition)
            wanted = offsets.get(topic, -1)
            used[topic] = wanted if source.first <= wanted <= source.end else source.first
        self._next[partition] = dict(used)
        self.wake()
        return used

    def pause(self, partition: int) -> None:
        self._next.pop(partition, None)

    async def end_offsets(self, partition: int) -> dict[str, int]:
        return {topic: self._broker.source(topic, partition).end for topic in self._topics}

    def show_progress(self, partition: int, offsets: Mapping[str, int]) -> None:
        for topic, offset in offsets.items():
            self._group.progress[topic, partition] = offset

    def wake(self) -> None:
        """Let a waiting `poll` look again."""
        self._wake.set()

    async def revoke(self) -> None:
        """Called by the group."""
        owned, self._owned = self._owned, frozenset()
        self._next.clear()
        if owned and self._listener is not None:
            await self._tell(self._listener.on_revoked, owned)

    async def assign(self, partitions: frozenset[int]) -> None:
        """Called by the group."""
        if self._listener is not None and not self._gone.is_set():
            self._owned = partitions
            await self._tell(self._listener.on_assigned, partitions)

    def _take(self, max_records: int) -> dict[int, list[Record]]:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        batches: dict[int, list[Record]] = {}
        for partition, offsets in list(self._next.items()):
            found: list[Record] = []
            for topic, offset in offsets.items():
                source = self._broker.source(topic, partition)
                if offset < source.first:
                    # Retention was faster. As with Kafka: assigned anew, it seeks and hears of it.
                    self.pause(partition)
                    self._group.rebalance()
                    return batches
                start = offset - source.first
                records = source.records[start : start + max_records - len(found)]
                offsets[topic] = offset + len(records)
                found += records
            if found:
                batches[partition] = found
                self._next[partition] = self._next.pop(partition)  # now the others come first
                max_records -= len(found)
                if max_records == 0:
                    break
        return batches

    async def _tell(
        self, call: Callable[[frozenset[int]], Awaitable[None]], partitions: frozenset[int]
    ) -> None:
        """Wait for the listener, unless this member is thrown out meanwhile."""
        self._told = told = asyncio.create_task(self._call_in_turn(call, partitions))
        gone = asyncio.create_task(self._gone.wait())
        await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if told.done() and not told.cancelled() and (error := told.exception()) is not None:
            log.error("the listener failed; the next poll raises it", exc_info=error)
            self._failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            self.wake()

    async def _call_in_turn(
        self, call: Callable[[frozenset[int]], Awaitable[None]], partitions: frozenset[int]
    ) -> None:
        """One after the other, also when the group has stopped waiting for an earlier one."""
        async with self._turn:
            await call(partitions)


class MemoryPublisher:
    """A `Publisher`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._broker.append(message.topic, message.key, message.value, message.headers)
