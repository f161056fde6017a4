"""The state store in plain dictionaries: for the demo, replay, tests and the simulation.

No call waits for anything, so each is atomic under asyncio. Workers of one process share one
object; `stop` forgets nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from stream_app.errors import Fenced, Moved
from stream_app.streams.deployment import Deployment, closed
from stream_app.streams.ports import Claim, Commit, Position
from stream_app.streams.registry import Registry

_LOAD_CHUNK = 1_000


@dataclass(slots=True)
class _Partition:
    position: Position = field(default_factory=lambda: Position(epoch=0))
    states: dict[str, bytes] = field(default_factory=dict)
    profiles: dict[str, bytes] = field(default_factory=dict)
    outbox: list[bytes] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    erased: dict[str, bytes] = field(default_factory=dict)
    summary: bytes = b""
    closed: bool = False

    def check_epoch(self, epoch: int) -> None:
        if epoch != self.position.epoch or epoch == 0:
            raise Fenced(f"the partition has epoch {self.position.epoch}, mine is {epoch}")

    def entries_before(self, outbox_first: int) -> int:
        """How many entries go when the outbox shall begin at `outbox_first`."""
        count = max(0, outbox_first - self.position.outbox_first)
        if count > len(self.outbox):
            raise Moved(f"the outbox ends before {outbox_first}")
        return count


@dataclass(slots=True)
class _Whole:
    """What all generations share."""

    deployment: Deployment | None = None
    generations: defaultdict[int, defaultdict[int, _Partition]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(_Partition))
    )


class MemoryStore:
    """`MovableStore` in memory.

    Parameters
    ----------
    now_us
        The store's clock; by default epochs just count.
    """

    def __init__(self, now_us: Callable[[], int] = lambda: 0) -> None:
        self._now_us = now_us
        self._whole = _Whole()
        self._partitions = self._whole.generations[0]
        self._registry = Registry()
        self._snapshots: dict[int, bytes] = {}
        self._trainer: bytes | None = None

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def generation(self, number: int) -> MemoryStore:
        other = copy(self)
        other._partitions = self._whole.generations[number]
        return other

    async def register(self, partitions: int, layout: str) -> None:
        if (stored := self._whole.deployment) is None:
            stored = self._whole.deployment = Deployment(partitions=partitions, layout=layout)
        stored.check(partitions, layout)
        self._partitions = self._whole.generations[stored.generation]

    async def deployment(self) -> tuple[int, str] | None:
        if (stored := self._whole.deployment) is None:
            return None
        self._partitions = self._whole.generations[stored.generation]
        return stored.partitions, stored.layout

    async def deployed(self) -> Deployment | None:
        return self._whole.deployment

    async def redeploy(self, expected: Deployment, changed: Deployment) -> bool:
        if self._whole.deployment != expected:
            return False
        self._whole.deployment = changed
        return True

    async def claim(self, partition: int, owner: str) -> Claim:  # noqa: ARG002
        if self._partitions[partition].closed:
            raise closed(partition)
        return self._claim(partition)

    async def close(self, partition: int, owner: str) -> Claim:  # noqa: ARG002
        self._partitions[partition].closed = True
        return self._claim(partition)

    async def reopen(self, partition: int) -> None:
        self._partitions[partition].closed = False

    async def size(self, partition: int) -> int:
        return len(self._partitions[partition].states)

    async def clear(self, partition: int) -> None:
        before = self._partitions[partition]
        position = Position(epoch=before.position.epoch)
        self._partitions[partition] = _Partition(position, closed=before.closed)

    def _claim(self, partition: int) -> Claim:
        stored = self._partitions[partition]
        epoch = max(stored.position.epoch + 1, self._now_us())
        stored.position = replace(stored.position, epoch=epoch)
        return Claim(
            stored.position,
            tuple(stored.outbox),
            dict(stored.names),
            dict(stored.erased),
            stored.summary,
        )

    async def load(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        items = list(self._partitions[partition].states.items())
        for start in range(0, len(items), _LOAD_CHUNK):
            yield items[start : start + _LOAD_CHUNK]

    async def position(self, partition: int) -> Position:
        return self._partitions[partition].position

    async def commit(self, partition: int, commit: Commit) -> Position:
        stored, expected = self._partitions[partition], commit.expected
        stored.check_epoch(expected.epoch)
        at = stored.position
        if expected.revision != at.revision or dict(expected.offsets) != dict(at.offsets):
            raise Moved(f"the partition is at {at}, not at {expected}")
        gone = stored.entries_before(commit.outbox_first)

        for account in commit.removed:
            stored.states.pop(account, None)
            stored.profiles.pop(account, None)
        stored.states.update(commit.states)
        stored.profiles.update(commit.profiles)
        stored.names.update(commit.names)
        stored.erased.update(commit.erased)
        stored.outbox = [*stored.outbox[gone:], *commit.outbox]
        stored.summary = commit.summary or stored.summary
        stored.position = Position(
            epoch=at.epoch,
            revision=at.revision + 1,
            offsets=dict(commit.offsets),
            model_version=commit.model_version,
            outbox_first=at.outbox_first + gone,
        )
        return stored.position

    async def trim(self, partition: int, epoch: int, outbox_first: int) -> None:
        stored = self._partitions[partition]
        stored.check_epoch(epoch)
        gone = stored.entries_before(outbox_first)
        del stored.outbox[:gone]
        first = stored.position.outbox_first + gone
        stored.position = replace(stored.position, outbox_first=first)

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        stored = self._partitions[partition]
        return stored.states.get(account_id), stored.profiles.get(account_id)

    async def profiles(self, partition: int, accounts: Sequence[str]) -> list[bytes | None]:
        stored = self._partitions[partition].profiles
        return [stored.get(account) for account in accounts]

    async def outbox_length(self, partition: int) -> int:
        return len(self._partitions[partition].outbox)

    async def names(self, partition: int) -> dict[int, str]:
        return dict(self._partitions[partition].names)

    async def erased(self, partition: int, digest: str) -> bytes | None:
        return self._partitions[partition].erased.get(digest)

    async def summaries(self, partitions: int) -> list[bytes]:
        return [self._partitions[partition].summary for partition in range(partitions)]

    async def registry(self) -> Registry:
        return self._registry

    async def snapshot(self, version: int | None = None) -> tuple[int, bytes] | None:
        version = self._registry.active if version is None else version
        stored = self._snapshots.get(version)
        return None if stored is None else (version, stored)

    async def update_registry(
        self,
        expected: Registry,
        changed: Registry,
        *,
        snapshot: tuple[int, bytes] | None = None,
        trainer: bytes | None = None,
    ) -> bool:
        if expected.revision != self._registry.revision:
            return False
        if snapshot is not None:
            self._snapshots[snapshot[0]] = snapshot[1]
        for version in set(expected.versions).difference(changed.versions):
            self._snapshots.pop(version, None)
        self._trainer = trainer or self._trainer
        self._registry = changed.next()
        return True

    async def trainer_checkpoint(self) -> bytes | None:
        return self._trainer

    async def save_trainer_checkpoint(self, trainer: bytes) -> None:
        self._trainer = trainer
