"""What is remembered of a deployment as a whole, and the port by which it is moved to another
number of partitions.

A *generation* is one set of partitions. A deployment begins with generation 0 and uses it until
`stream-app repartition` has written the next one beside it; then that one is used, and the former
one stays until it is forgotten.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from stream_app.errors import Incompatible
from stream_app.streams.ports import Claim, StateStore


class Move(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """To another number of partitions: begun, and not yet finished."""

    partitions: int
    generation: int
    """That is being written."""
    copied: tuple[int, ...] = ()
    """Former partitions whose accounts are all in the new generation."""
    growing: bool = False
    """Whether the topics may have got their partitions already. All checks were passed before."""


class Former(Struct, frozen=True, kw_only=True):
    """What was used before the last move, and is still stored."""

    partitions: int
    generation: int


class Deployment(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How the state under one prefix is laid out."""

    partitions: int
    layout: str
    """Fingerprint of an account's record."""
    generation: int = 0
    move: Move | None = None
    former: Former | None = None

    def check(self, partitions: int, layout: str) -> None:
        """For a worker that is about to start. Raises Incompatible."""
        if self.move is not None:
            raise Incompatible(
                f"the state is being moved from {self.partitions} to {self.move.partitions} "
                "partitions",
                hint=f"finish that with `stream-app repartition {self.move.partitions}`, or give "
                "it up with `stream-app repartition --cancel`",
            )
        if (self.partitions, self.layout) != (partitions, layout):
            raise Incompatible(
                f"the state was made for {self.partitions} partitions and layout {self.layout}, "
                f"not for {partitions} and {layout}",
                hint="use the program that made it; if topics were given more partitions, move the "
                "state with `stream-app repartition`, or start under a new prefix and group",
            )

    def moved(self) -> Deployment:
        """After its move. Raises ValueError when none was begun."""
        if self.move is None:
            raise ValueError("no move was begun")
        return Deployment(
            partitions=self.move.partitions,
            layout=self.layout,
            generation=self.move.generation,
            former=Former(partitions=self.partitions, generation=self.generation),
        )

    def moving(self, move: Move | None) -> Deployment:
        """The same with this move."""
        return replace(self, move=move)


def closed(partition: int) -> Incompatible:
    """Raised by a claim of a partition that was closed."""
    return Incompatible(
        f"partition {partition} was closed, to move its accounts to another number of partitions",
        hint="restart the worker; if it is refused again, finish the move with `stream-app "
        "repartition`, or give it up with `stream-app repartition --cancel`",
    )


class MovableStore(StateStore, Protocol):
    """A state store as `stream-app repartition` needs it."""

    def generation(self, number: int) -> MovableStore:
        """The partitions of another generation. Only for calls that name a partition; it is not
        to be started or stopped."""

    async def deployed(self) -> Deployment | None:
        """All that is remembered of the deployment; None: nothing yet."""

    async def redeploy(self, expected: Deployment, changed: Deployment) -> bool:
        """Remember `changed`, if what is stored still equals `expected`. False: it does not, and
        nothing was written."""

    async def close(self, partition: int, owner: str) -> Claim:
        """Claim a partition for good: until it is reopened, every other claim of it raises
        `Incompatible`. Closing what is closed claims it once more."""

    async def reopen(self, partition: int) -> None:
        """Let the partition be claimed again. One that is open stays so."""

    async def size(self, partition: int) -> int:
        """How many accounts have state."""

    async def clear(self, partition: int) -> None:
        """Remove everything but the epoch and whether it is closed, bit by bit. Whoever may still
        write must have been fenced before. Can be repeated when it was interrupted."""
