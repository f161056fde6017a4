"""What is found before a deployment is moved to another number of partitions, and what stands in
the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_app.errors import Busy, Incompatible, StreamAppError
from stream_app.streams.deployment import Deployment
from stream_app.streams.ports import LogReader, Position

Unread = Mapping[tuple[str, int], int]
"""Records that are not applied yet, by topic and partition; only where there are some."""


@dataclass(frozen=True, slots=True)
class Survey:
    """How a deployment stands that is to have so many `partitions`."""

    partitions: int
    deployment: Deployment
    members: int
    """Workers in the group."""
    topics: Mapping[str, int]
    """Partitions of the consumed topics."""
    positions: tuple[Position, ...]
    """Of the partitions in use."""
    accounts: tuple[int, ...]
    """By partition."""
    outbox: tuple[int, ...]
    """Messages that are not on Kafka yet, by partition."""
    unread: Unread

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        return self.deployment.move is None and self.deployment.partitions == self.partitions

    @property
    def passed(self) -> bool:
        """Whether a move is under way that has passed all checks of what is unread."""
        return self.deployment.move is not None and self.deployment.move.growing

    def obstacles(self, *, allow_lag: bool = False) -> list[StreamAppError]:
        """What must be mended first, the most fundamental first."""
        if self.done:
            return []
        found = [self._count(), self._former(), self._topics(), self._members()]
        if not (allow_lag or self.passed):
            found.append(lag(self.unread))
        return [each for each in found if each is not None]

    def _count(self) -> StreamAppError | None:
        now, move = self.deployment.partitions, self.deployment.move
        if move is not None and move.partitions != self.partitions:
            return Incompatible(
                f"a move to {move.partitions} partitions is under way, not to {self.partitions}",
                hint=f"finish it with `stream-app repartition {move.partitions}`, or give it up "
                "with `stream-app repartition --cancel`",
            )
        if self.partitions < now:
            return Incompatible(
                f"there are {now} partitions, and Kafka cannot take any away",
                hint="fewer partitions take new topics: start under a new prefix and group",
            )
        return None

    def _former(self) -> StreamAppError | None:
        former = self.deployment.former
        if former is None:
            return None
        return Incompatible(
            f"what was stored in {former.partitions} partitions before the last move is still kept",
            hint="remove it with `stream-app repartition --forget`",
        )

    def _topics(self) -> StreamAppError | None:
        least, most = self.deployment.partitions, self.partitions
        wrong = {name: n for name, n in self.topics.items() if not least <= n <= most}
        if not wrong:
            return None
        found = ", ".join(f"{name} has {count}" for name, count in wrong.items())
        return Incompatible(
            f"topics need between {least} and {most} partitions, but {found}",
            hint="Kafka can only add partitions: move to the largest number that a topic has",
        )

    def _members(self) -> StreamAppError | None:
        if not self.members:
            return None
        return Busy(
            f"workers are in the group: {self.members}",
            hint="stop all of them, and wait until the session of any that was killed has timed "
            "out (kafka.session_timeout_ms)",
        )


def lag(unread: Unread) -> Busy | None:
    """The obstacle that records are which are not applied yet, None where there are none."""
    if not unread:
        return None
    topics: dict[str, int] = {}
    for (topic, _), records in unread.items():
        topics[topic] = topics.get(topic, 0) + records
    found = ", ".join(f"{topic} {records:,}" for topic, records in topics.items())
    return Busy(
        f"{sum(topics.values()):,} records are not applied yet: {found}",
        hint="stop the producers and let workers catch up; or call with --allow-lag: nothing is "
        "lost then, but of an account that moves, these records may be applied after newer ones",
    )


async def unread(
    reader: LogReader, topics: Sequence[str], positions: Sequence[Position]
) -> dict[tuple[str, int], int]:
    """Records from these positions on, by topic and partition, as far as there are any.

    Offsets may go on without a record, where a transaction ended: such a stretch is read, up to
    its first record. Partitions beyond those of the positions do not count: what lies there is in
    the right place already.

    Raises
    ------
    Incompatible
        A topic ends before what was read of it.
    Unavailable
        Kafka did not answer.
    """
    found: dict[tuple[str, int], int] = {}
    for topic in topics:
        stretches = await reader.stretches(topic)
        left: dict[int, range] = {}
        for partition, position in enumerate(positions):
            there = stretches[partition]
            at = position.offsets.get(topic, there.start)
            if at > there.stop:
                raise Incompatible(
                    f"partition {partition} of {topic} ends at {there.stop}, before the offset "
                    f"{at} that was read: it was deleted and made anew",
                    hint="to start over, use a new Redis prefix and group",
                )
            if rest := range(max(at, there.start), there.stop):
                left[partition] = rest
        real = await _with_records(reader, topic, left)
        found |= {(topic, partition): len(left[partition]) for partition in sorted(real)}
    return found


async def _with_records(reader: LogReader, topic: str, left: Mapping[int, range]) -> set[int]:
    """Partitions of which at least one record was read."""
    seen: set[int] = set()
    async for records in reader.read(topic, left):
        seen.update(record.partition for record in records)
        if len(seen) == len(left):
            break
    return seen
