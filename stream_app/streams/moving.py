"""How many accounts would move from where to where under another version of the model.

The states in Redis are only read, chunk by chunk, and each is given to the engine as a worker would
do it after the change: the same rule, as of the instant up to which the account was decided. Weak
evidence counts without being confirmed: such an account moves some days later, unless it comes
back. Where it would so under the version that is compared with, too, the other one does not move
it. Nothing is kept of an account but the counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from stream_app.engine import Engine
from stream_app.features.table import FeatureTable, is_state
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
    before: Snapshot,
    after: Snapshot,
) -> Moves:
    """Compare where accounts are with where they would be under `after`.

    Parameters
    ----------
    before
        The version under which they are now. An account that a worker has not looked at yet under
        this version is decided under it first.

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
    at_once = replace(rule, confirm_us=0)
    # Under another number, so that everybody is looked at once more.
    again = msgspec.structs.replace(before, version=max(before.version, after.version) + 1)
    compared = Assigner(before, rule), Assigner(again, at_once), Assigner(after, at_once)
    for partition in range(partitions):
        async for chunk in store.load(partition):
            readable = [(id_, state) for id_, state in chunk if is_state(state)]
            found.unreadable += len(chunk) - len(readable)
            if readable:
                _count(engine, dict(readable), *compared, found)
    return found


def _count(
    engine: Engine,
    states: dict[str, bytes],
    now: Assigner,
    soon: Assigner,
    other: Assigner,
    found: Moves,
) -> None:
    table = FeatureTable(len(states))
    table.put(list(states), list(states.values()))
    before = _decided(engine, table, now)
    expected = _decided(engine, table, soon)
    after = _decided(engine, table, other)
    found.accounts += len(table)
    for old, same, new in zip(before, expected, after, strict=True):
        moves_anyhow = new == same and old in other.index
        found.flows[old, old if moves_anyhow else new] += 1


def _decided(engine: Engine, table: FeatureTable, assigner: Assigner) -> list[int]:
    """The segment of every account when all were looked at under the model, and no time passed."""
    engine.sweep(table, 0, assigner, None, len(table))
    segments: list[int] = np.maximum(table.live["segment"], UNSEGMENTED).tolist()
    return segments
