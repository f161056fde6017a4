"""How many accounts would move from where to where under another version of the model.

The states in Redis are only read, chunk by chunk, and each is given to the engine as a worker would
do it after the change: the same rule, as of the instant up to which the account was decided. Weak
evidence counts without being confirmed: such an account moves some days later, unless it comes
back. Nothing is kept of an account but the counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from stream_app.engine import Engine
from stream_app.features.table import ACCOUNT, FeatureTable
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import UNSEGMENTED, Assigner, Snapshot
from stream_app.settings import Settings
from stream_app.streams.ports import StateStore


@dataclass(slots=True)
class Moves:
    """Accounts by where they are and where they would be."""

    accounts: int = 0
    unreadable: int = 0
    """Accounts whose state has another size; they are left out."""
    flows: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(segment before, segment after) -> accounts, those that stay included."""

    @property
    def moving(self) -> int:
        """Accounts that would be in another segment."""
        return sum(n for (before, after), n in self.flows.items() if before != after)


async def moves(
    store: StateStore,
    partitions: int,
    settings: Settings,
    before: Snapshot | None,
    after: Snapshot,
) -> Moves:
    """Compare where accounts are with where they would be under `after`.

    Parameters
    ----------
    before
        The version under which they are now; None: where they are stored. An account that a
        worker has not looked at yet under this version is decided under it first.

    Raises
    ------
    Unavailable
        The store did not answer.

    Notes
    -----
    While Redis enlarges a hash, it may give an account twice; then the counts are a little high.
    """
    engine, found = Engine(settings), Moves()
    rule = Hysteresis.of(settings.segments)
    first = None if before is None else Assigner(before, rule)
    second = Assigner(after, replace(rule, confirm_us=0))
    for partition in range(partitions):
        async for chunk in store.load(partition):
            readable = [(id_, state) for id_, state in chunk if len(state) == ACCOUNT.itemsize]
            found.unreadable += len(chunk) - len(readable)
            if readable:
                _count(engine, dict(readable), first, second, found)
    return found


def _count(
    engine: Engine,
    states: dict[str, bytes],
    first: Assigner | None,
    second: Assigner,
    found: Moves,
) -> None:
    table = FeatureTable(len(states))
    table.put(list(states), list(states.values()))
    if first is not None:
        _decide(engine, table, first)
    before = np.maximum(table.live["segment"], UNSEGMENTED).tolist()
    _decide(engine, table, second)
    after = np.maximum(table.live["segment"], UNSEGMENTED).tolist()
    found.accounts += len(table)
    found.flows.update(zip(before, after, strict=True))


def _decide(engine: Engine, table: FeatureTable, assigner: Assigner) -> None:
    """Let every account be looked at under the model, and let no time pass."""
    engine.sweep(table, 0, assigner, None, len(table))
