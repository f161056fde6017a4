"""How often accounts were erased and which events belong to their present life: counted from the
records alone, apart from the engine."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.partitioning import partition_of
from tests.simulation.constants import CONTROL, PARTITIONS
from tests.simulation.controls import ERASE

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class Life:
    """One account."""

    events: set[str] = field(default_factory=set)
    """Ids of the events since it was last erased."""
    past: set[str] = field(default_factory=set)
    """Ids of those before."""
    deaths: int = 0
    """How often it was erased while it was known."""
    by: set[str] = field(default_factory=set)
    """Ids of the control records that erased it."""

    def copy(self) -> Life:
        return Life(set(self.events), set(self.past), self.deaths, set(self.by))


class Lives(dict[str, Life]):
    """Accounts of one partition, as they follow from its records.

    Parameters
    ----------
    partition
        Whose accounts these are; records of others are passed on.
    refused
        Values of the records that become dead letters.
    """

    def __init__(self, partition: int, refused: Collection[bytes]) -> None:
        self._partition, self._refused = partition, refused

    def copy(self) -> Lives:
        """As it is now."""
        copy = Lives(self._partition, self._refused)
        copy.update({account: life.copy() for account, life in self.items()})
        return copy

    def apply(self, records: Iterable[MemoryRecord]) -> set[str]:
        """Go on with these records. Returns the accounts that were erased and have not come
        again."""
        erased: set[str] = set()
        for record in records:
            if (record.value or b"") in self._refused:
                continue
            body = _decode(record.value or b"")
            account, event_id = body["account_id"], body["id"]
            if partition_of(account.encode(), PARTITIONS) != self._partition:
                continue
            life = self.setdefault(account, Life())
            if record.topic != CONTROL:
                life.events.add(event_id)
                erased.discard(account)
            elif body["type"] == ERASE and event_id not in life.by:
                life.deaths += bool(life.events)
                life.by.add(event_id)
                life.past |= life.events
                life.events.clear()
                erased.add(account)
        return erased
