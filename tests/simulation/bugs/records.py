"""Bugs with records, time and models."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from stream_app import native
from stream_app.features import update
from stream_app.segments.snapshot import Snapshot
from stream_app.segments.trainer import Trainer
from stream_app.streams.models import Models
from stream_app.streams.partition import Partition
from stream_app.streams.processor import Processor, Work
from stream_app.streams.registry import Registry
from stream_app.streams.training import Training
from tests.simulation.bugs.registry import bug, swap

_DAY_US = 86_400_000_000


@bug
def no_deduplication(stack: ExitStack) -> None:
    """An event counts each time that it comes."""
    real = update.is_duplicate
    swap(stack, native, "in_use", False)  # there it is compiled
    swap(stack, update, "is_duplicate", lambda *given: real(*given) & False)


@bug
def lose_poison(stack: ExitStack) -> None:
    """A record that the engine fails on is left out without a dead letter."""
    real = Processor._split

    def split(self: Processor, records: Any) -> Any:
        return real(self, records)[0], []

    swap(stack, Processor, "_split", split)


@bug
def sweep_ahead(stack: ExitStack) -> None:
    """Silence is decided on before it has passed."""
    real = Processor.sweep
    due = Processor.due

    def sweep(self: Processor, until_us: int, *more: Any) -> Work:
        return real(self, until_us + _DAY_US, *more)

    swap(stack, Processor, "sweep", sweep)
    swap(stack, Processor, "due", lambda self, until_us, *a: due(self, until_us + _DAY_US, *a))


@bug
def old_model_after_claim(stack: ExitStack) -> None:
    """A new owner decides with the model that it happens to have."""
    real, claim = Models.refresh, Partition._claim

    async def refresh(self: Models, **how: bool) -> None:
        if not getattr(self, "skip", False):
            await real(self, **how)

    async def careless(self: Partition) -> None:
        models: Any = self._context.models
        models.skip = True
        try:
            await claim(self)
        finally:
            models.skip = False

    swap(stack, Models, "refresh", refresh)
    swap(stack, Partition, "_claim", careless)


@bug
def model_before_store(stack: ExitStack) -> None:
    """A model is published before the store has accepted its version."""
    real = Training._issue

    async def issue(
        self: Training, trainer: Trainer, snapshot: Snapshot, registry: Registry
    ) -> Snapshot | None:
        await self._publisher.publish([self._messages.model(snapshot)])
        return await real(self, trainer, snapshot, registry)

    swap(stack, Training, "_issue", issue)
