"""Reading the dead letters of a deployment: each once, with what has become of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from stream_app.features.table import Erased, digest_of
from stream_app.streams import topics
from stream_app.streams.dead_letters import Letter, Selection, read_letter
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import LogReader, Record, StateStore
from stream_app.streams.replay_marks import Mark, ReplayMarks

_REMEMBERED = 200_000
"""Ids, to leave out repetitions (some 30 MB). A letter comes again when an outbox is published
again, so its copies are never far from each other."""
_KNOWN_ACCOUNTS = 50_000


class Fate(StrEnum):
    """What has become of a letter."""

    OPEN = "open"
    """Nothing yet."""
    REPLAYED = "replayed"
    UNCERTAIN = "uncertain"
    """A replay of it began and did not come to its end."""
    ERASED = "erased"
    """Its account was erased after it was written."""


@dataclass(frozen=True, slots=True)
class Found:
    """A letter and what has become of it."""

    letter: Letter
    fate: Fate
    mark: Mark | None


class Letterbox:
    """The topic `dead-letters` of one deployment.

    Parameters
    ----------
    partitions
        Of the deployment, to find accounts.
    """

    def __init__(
        self,
        reader: LogReader,
        store: StateStore,
        marks: ReplayMarks,
        topic_prefix: str,
        partitions: int,
    ) -> None:
        self._reader, self._store, self._marks = reader, store, marks
        self._topic = topic_prefix + topics.DEAD_LETTERS.name
        self._partitions = partitions
        self._erased_us: dict[str, int] = {}
        """When accounts were erased; 0: never."""
        self.unreadable = 0
        """Records in the topic that no worker wrote, as far as it was read."""

    async def stretches(self, selection: Selection) -> dict[int, range]:
        """What there is now. Letters are published after they were decided, so those of an instant
        are not among the records before it."""
        return await self._reader.stretches(self._topic, selection.since_us)

    async def read(
        self, selection: Selection, stretches: Mapping[int, range]
    ) -> AsyncIterator[list[Found]]:
        """The selected letters in batches, each letter once. Ends early when all ids are found."""
        seen: dict[str, None] = {}
        wanted = set(selection.ids)
        async for records in self._reader.read(self._topic, stretches):
            fresh = [one for one in self._letters(records, selection) if one.id not in seen]
            batch = list({letter.id: letter for letter in fresh}.values())
            if not batch:
                continue
            seen.update(dict.fromkeys(letter.id for letter in batch))
            while len(seen) > _REMEMBERED:
                del seen[next(iter(seen))]
            yield await self._judged(batch)
            if wanted and wanted <= seen.keys():
                return

    def _letters(self, records: Sequence[Record], selection: Selection) -> list[Letter]:
        letters = [letter for record in records if (letter := read_letter(record))]
        self.unreadable += len(records) - len(letters)
        return [letter for letter in letters if selection.fits(letter)]

    async def _judged(self, letters: Sequence[Letter]) -> list[Found]:
        marks = await self._marks.look([letter.id for letter in letters])
        await self._look_up({account for letter in letters for account in letter.accounts})
        return [
            Found(letter, self._fate(letter, mark), mark)
            for letter, mark in zip(letters, marks, strict=True)
        ]

    def _fate(self, letter: Letter, mark: Mark | None) -> Fate:
        if any(self._erased_us[account] >= letter.at_us for account in letter.accounts):
            return Fate.ERASED
        if mark is None:
            return Fate.OPEN
        return Fate.REPLAYED if mark.sent else Fate.UNCERTAIN

    async def _look_up(self, accounts: set[str]) -> None:
        if len(self._erased_us) > _KNOWN_ACCOUNTS:
            self._erased_us.clear()
        missing = sorted(accounts - self._erased_us.keys())
        times_us = await asyncio.gather(*map(self._when_erased, missing))
        self._erased_us.update(zip(missing, times_us, strict=True))

    async def _when_erased(self, account: str) -> int:
        partition = partition_of(account.encode(), self._partitions)
        past = await self._store.erased(partition, digest_of(account))
        return msgspec.json.decode(past, type=Erased).at_us if past else 0
