"""Writing a new generation of partitions from what a closed one has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from stream_app.errors import Incompatible
from stream_app.features.table import records_of
from stream_app.streams.deployment import MovableStore
from stream_app.streams.ports import Claim, Commit, Position
from stream_app.streams.rerouting import (
    Count,
    all_erased,
    all_names,
    by_home,
    homes_of,
)

OWNER = "repartition"
_ERASED = 5_000
"""Erased accounts that are written in one call."""


class Copying:
    """Owner of all new partitions. Everything that it writes may be written again.

    Parameters
    ----------
    old, new
        The two generations.
    sources
        What the claims of the old partitions have returned.
    partitions
        Of the new generation.
    """

    def __init__(
        self, old: MovableStore, new: MovableStore, sources: Sequence[Claim], partitions: int
    ) -> None:
        self._old, self._new, self._sources = old, new, sources
        self._partitions = partitions
        self._at: dict[int, Position] = {}
        """Where each new partition stands."""
        self._turns = [asyncio.Lock() for _ in range(partitions)]
        """One commit to each at a time."""

    async def claim(self) -> None:
        """Own the new partitions: whoever wrote to them before is fenced."""
        for home in range(self._partitions):
            self._at[home] = (await self._new.claim(home, OWNER)).position

    async def copy(self, source: int) -> int:
        """Copy the accounts of one old partition; returns how many. Raises Incompatible when one
        of them cannot be read, as a worker would."""
        copied = 0
        async for chunk in self._old.load(source):
            states = dict(chunk)
            try:
                records_of(list(states), list(states.values()))
            except Incompatible as error:
                raise Incompatible(f"partition {source}: {error}", hint=error.hint) from None
            profiles = dict(
                zip(states, await self._old.profiles(source, list(states)), strict=True)
            )
            for home, accounts in by_home(states, self._partitions).items():
                await self._write(home, **_of(accounts, states, profiles))
            copied += len(states)
        return copied

    async def seal(self, home: int, now_us: int) -> int:
        """Read a new partition back, and give it what it needs besides accounts. Returns how many
        accounts it has."""
        count = Count(home, self._partitions)
        async for chunk in self._new.load(home):
            count.add(chunk)
        before = len(self._sources)
        mine = [s for p, s in enumerate(self._sources) if home in self._homes(p)]
        same = self._sources[home] if home < before else None
        erased = list(all_erased(source.erased for source in mine).items())
        for start in range(0, len(erased), _ERASED):
            await self._write(home, erased=erased[start : start + _ERASED])
        await self._write(
            home,
            # One that is new to the topics is read from its beginning.
            offsets=same.position.offsets if same else {},
            model_version=min(source.position.model_version for source in mine),
            names=list(all_names(source.names for source in mine).items()),
            summary=msgspec.json.encode(count.summary(same.summary if same else b"", now_us)),
        )
        return len(count.seen)

    def _homes(self, source: int) -> range:
        return homes_of(source, len(self._sources), self._partitions)

    async def _write(self, home: int, **written: Any) -> None:
        async with self._turns[home]:
            at = self._at[home]
            same = {
                "offsets": at.offsets,
                "model_version": at.model_version,
                "outbox_first": at.outbox_first,
            }
            self._at[home] = await self._new.commit(home, Commit(at, **{**same, **written}))


def _of(
    accounts: Sequence[str], states: Mapping[str, bytes], profiles: Mapping[str, bytes | None]
) -> dict[str, list[tuple[str, bytes]]]:
    """What a commit takes of these accounts."""
    found = [(account, profiles[account]) for account in accounts]
    return {
        "states": [(account, states[account]) for account in accounts],
        "profiles": [(account, profile) for account, profile in found if profile is not None],
    }
