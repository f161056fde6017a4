"""How much of a worker's time silence and a new model may take, and in what portions.

A silent account can wait a little, an event cannot. So the checks of silent accounts are carried
out in portions that hold up the event loop for a few milliseconds, and after each of them no
partition of the worker takes another one for some time. What is decided does not depend on it.
"""

from __future__ import annotations

from stream_app.settings import WorkerSettings
from stream_app.streams.ports import Clock

_FIRST_GUESS_SECONDS = 200e-6
"""Per account, until a portion has been measured."""
_LEAST = 8
"""Accounts; smaller portions would cost more than they do."""


class Pace:
    """Shared by the partitions of a worker."""

    def __init__(self, clock: Clock, settings: WorkerSettings) -> None:
        self._clock = clock
        self._most = settings.sweep_accounts
        self._target_seconds = settings.sweep_slice_ms / 1_000
        self._rest = 1 / settings.sweep_share - 1
        self._cost_seconds = _FIRST_GUESS_SECONDS
        self._next_at = 0.0
        self._model_rate = settings.model_accounts_per_second
        self._model_most = max(1.0, self._model_rate * settings.sweep_seconds)
        """Accounts that may be saved up: those of the time between two looks."""
        self._model_left, self._model_at = self._model_most, clock.monotonic()

    @property
    def wait_seconds(self) -> float:
        """Until the next portion may be taken; 0: now."""
        return max(0.0, self._next_at - self._clock.monotonic())

    @property
    def portion(self) -> int:
        """Accounts of a portion: so many as were carried out in the time of a slice, going by the
        portions before."""
        if not self._cost_seconds:
            return self._most
        return min(self._most, max(_LEAST, int(self._target_seconds / self._cost_seconds)))

    @property
    def of_model(self) -> int:
        """Accounts of a portion that may be looked at because of another model."""
        if not self._model_rate:
            return self.portion
        now = self._clock.monotonic()
        saved = self._model_left + self._model_rate * (now - self._model_at)
        self._model_left, self._model_at = min(saved, self._model_most), now
        return min(self.portion, int(self._model_left))

    def looked_at(self, accounts: int) -> None:
        """So many were, because of another model."""
        self._model_left -= accounts

    def took(self, accounts: int, seconds: float) -> None:
        """A portion has been carried out, in which so many accounts had something to decide."""
        if accounts:  # one without tells nothing about those that have
            self._cost_seconds = (self._cost_seconds + seconds / accounts) / 2
        self._next_at = self._clock.monotonic() + self._rest * seconds
