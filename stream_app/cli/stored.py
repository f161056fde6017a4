"""What the workers have stored, read without owning anything: deployment, counts, model, accounts.

Only reads, so a Redis user without the right to write will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from stream_app.changes.accounts import account_at
from stream_app.changes.types import AccountSegment, SegmentRef
from stream_app.errors import Incompatible, NotFound, UsageError
from stream_app.features.table import LAYOUT, Erased, digest_of, is_state, records_of
from stream_app.features.values import Floats, values_at
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot, read_snapshot
from stream_app.settings import Settings
from stream_app.streams.deployment import Deployment
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import StateStore
from stream_app.streams.processor import Summary
from stream_app.streams.redis_calls import RedisCalls
from stream_app.streams.redis_store import RedisStore


class _Profile(msgspec.Struct):
    """The part of an `AccountSegment` that is read, whatever version of the program wrote it."""

    segment: SegmentRef


_decode_profile = msgspec.json.Decoder(_Profile).decode


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it is stored."""

    account_id: str
    partition: int
    record: np.ndarray[tuple[int], Any]
    """Its record, an array of one."""
    published: dict[str, Any] | None
    """What was last published of it, as JSON; None: nothing yet."""
    topic_names: dict[int, str]

    def now(self, model: Snapshot | None, at_us: int, settings: Settings) -> AccountSegment:
        """Where it stands at an instant (not before its latest event)."""
        return account_at(
            self.account_id,
            self.record,
            Assigner(model, Hysteresis.of(settings.segments)) if model else None,
            self.topic_names,
            max(at_us, int(self.record[0]["latest_us"])),
            settings.scores,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies under one Redis prefix."""

    deployment: Deployment
    _settings: Settings
    _store: RedisStore
    _calls: RedisCalls

    @property
    def partitions(self) -> int:
        """How many are in use."""
        return self.deployment.partitions

    async def summaries(self) -> list[Summary]:
        """Counts of the partitions that have any."""
        found = await self._store.summaries(self.partitions)
        return [msgspec.json.decode(data, type=Summary) for data in found if data]

    async def model_version(self) -> int:
        """Version of the model in use, 0 before the first."""
        return (await self._store.registry()).active

    async def model(self) -> Snapshot | None:
        """The model in use, None before the first. Raises SnapshotRefused if it does not fit."""
        found = await self._store.snapshot()
        return read_snapshot(found[1]) if found else None

    async def offsets(self, partition: int) -> Mapping[str, int]:
        """Next offset to read, per topic."""
        return (await self._store.position(partition)).offsets

    async def erased(self, account_id: str) -> Erased | None:
        """What remains of an account that was erased, None: it never was."""
        partition = partition_of(account_id.encode(), self.partitions)
        found = await self._store.erased(partition, digest_of(account_id))
        return msgspec.json.decode(found, type=Erased) if found else None

    async def sample(self, limit: int, at_us: int) -> Floats:
        """(n, dimensions) unscaled model vectors of some of the accounts at an instant (not before
        each one's latest event)."""
        states: list[tuple[str, bytes]] = []
        share = -(-limit // self.partitions)
        for partition in range(self.partitions):
            chunk: list[tuple[str, bytes]] = await anext(self._store.load(partition), [])
            states += [(account, state) for account, state in chunk if is_state(state)][:share]
        records = records_of([account for account, _ in states], [state for _, state in states])
        return values_at(records, np.maximum(records["latest_us"], at_us)).vector

    async def published_segments(self, accounts: Iterable[str]) -> Counter[int]:
        """How many of these accounts are in which segment, as it was last published."""
        by_partition: dict[int, list[str]] = {}
        for account in accounts:
            partition = partition_of(account.encode(), self.partitions)
            by_partition.setdefault(partition, []).append(account)
        found: Counter[int] = Counter()
        for partition, mine in by_partition.items():
            profiles = await self._store.profiles(partition, mine)
            found.update(_decode_profile(data).segment.id for data in profiles if data)
        return found

    async def account(self, account_id: str) -> Account:
        """One account. Raises NotFound, or UsageError for an id that is not text."""
        try:
            key = account_id.encode()
        except UnicodeEncodeError:
            raise UsageError("the account id is not UTF-8", hint="give the id as text") from None
        partition = partition_of(key, self.partitions)
        state, published = await self._store.account(partition, account_id)
        if state is None:
            known = sum(summary.accounts for summary in await self.summaries())
            raise NotFound(
                f"there is no account {account_id!r} among the {known:,} that are stored",
                hint="upper and lower case count; an account is stored with its first valid event",
            )
        return Account(
            account_id,
            partition,
            records_of([account_id], [state]),
            msgspec.json.decode(published, type=dict[str, Any]) if published else None,
            await self._store.names(partition),
        )


async def registered(store: StateStore, settings: Settings) -> int:
    """The number of partitions that workers have registered. Raises as `stored` does."""
    deployment = await store.deployment()
    if deployment is None:
        raise NotFound(
            f"no worker has run with the Redis prefix {settings.redis.prefix!r} yet",
            hint="start `stream-app worker`, or set STREAM_APP_REDIS__PREFIX to the workers'",
        )
    partitions, layout = deployment
    if layout != LAYOUT:
        raise Incompatible(
            f"the state under {settings.redis.prefix!r} has layout {layout}, this program "
            f"reads {LAYOUT}",
            hint="use the version of stream-app that the workers run",
        )
    return partitions


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[Stored]:
    """Open what is stored under the prefix of the settings.

    Raises
    ------
    NotFound
        No worker has ever registered there.
    Incompatible
        Another version of this program stored it.
    ConfigError, Unavailable
        Redis refuses, or does not answer.
    """
    store, calls = RedisStore(settings.redis), RedisCalls(settings.redis)
    try:
        await registered(store, settings)
        deployment = await store.deployed()
        assert deployment is not None
        yield Stored(deployment, settings, store, calls)
    finally:
        await calls.stop()
        await store.stop()
