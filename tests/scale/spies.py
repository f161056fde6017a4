"""Ports that note when something passed through them."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_app.streams import topics
from stream_app.streams.ports import Claim, Commit, Message, Position, Record
from tests.scale.loop import now

OFFERED = "offered"
"""Header with the monotonic instant at which an event was to be sent."""


@dataclass
class Notes:
    """What happened, in monotonic seconds."""

    commits: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By partition: when a commit that moved offsets was done."""
    committed: list[tuple[float, float]] = field(default_factory=list)
    """(offered, seconds until it was committed) of each event."""
    published: list[tuple[float, float]] = field(default_factory=list)
    """(offered, seconds until the change that it caused was published)."""
    swept: int = 0
    """Accounts in commits that moved no offsets."""
    inactive: int = 0
    """Published changes with the reason `inactivity`."""
    claimed: dict[int, float] = field(default_factory=dict)
    """By partition: when its last claim began."""
    reading: dict[int, float] = field(default_factory=dict)
    """By partition: when reading began after its last claim."""
    born: dict[str, float] = field(default_factory=dict)
    """New accounts whose first change is not published yet: when they were offered."""
    unread: defaultdict[tuple[int, str], deque[tuple[int, float]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    """By partition and topic: (offset, offered) of what was read and is not committed."""


class _Spy:
    def __init__(self, inner: Any, notes: Notes) -> None:
        self._inner, self._notes = inner, notes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class LogSpy(_Spy):
    """An `EventLog`."""

    async def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        batches: dict[int, list[Record]] = await self._inner.poll(max_records, timeout_seconds)
        for partition, records in batches.items():
            for record in records:
                offered = float(dict(record.headers)[OFFERED])
                self._notes.unread[partition, record.topic].append((record.offset, offered))
        return batches

    async def seek(self, partition: int, offsets: Mapping[str, int]) -> dict[str, int]:
        used: dict[str, int] = await self._inner.seek(partition, offsets)
        for topic in self._inner.topics:
            self._notes.unread.pop((partition, topic), None)  # it is read again
        self._notes.reading[partition] = now()
        return used


class StoreSpy(_Spy):
    """A `StateStore`."""

    async def claim(self, partition: int, owner: str) -> Claim:
        self._notes.reading.pop(partition, None)
        self._notes.claimed[partition] = now()
        claim: Claim = await self._inner.claim(partition, owner)
        return claim

    async def commit(self, partition: int, commit: Commit) -> Position:
        position: Position = await self._inner.commit(partition, commit)
        at = now()
        if dict(commit.offsets) == dict(commit.expected.offsets):
            self._notes.swept += len(commit.states)
            return position
        self._notes.commits[partition].append(at)
        for topic, offset in commit.offsets.items():
            waiting = self._notes.unread[partition, topic]
            while waiting and waiting[0][0] < offset:
                _, offered = waiting.popleft()
                self._notes.committed.append((offered, at - offered))
        return position


class PublisherSpy(_Spy):
    """A `Publisher`."""

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._inner.publish(messages)
        at = now()
        for message in messages:
            if not message.topic.endswith(topics.SEGMENT_CHANGES.name):
                continue
            assert message.key is not None
            offered = self._notes.born.pop(message.key.decode(), None)
            if offered is not None:
                self._notes.published.append((offered, at - offered))
            elif json.loads(message.value or b"")["reason"] == "inactivity":
                self._notes.inactive += 1
