"""An event loop that knows how long it did not look at its sockets and timers."""

from __future__ import annotations

import asyncio
import selectors
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """One round of the loop: everything that was ready ran, one thing after the other. A heartbeat
    that falls due meanwhile waits for its end."""

    began: float
    """Monotonic seconds."""
    seconds: float
    cpu_seconds: float
    """Time of the loop's own thread, which does not count what others took of the machine."""


class _Watch(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.slices: list[Slice] = []
        self._since: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._since is not None:
            began, cpu = self._since
            self.slices.append(Slice(began, time.monotonic() - began, time.thread_time() - cpu))
        try:
            return super().select(timeout)
        finally:
            self._since = time.monotonic(), time.thread_time()


class WatchedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, watched."""

    def __init__(self) -> None:
        self._watch = _Watch()
        super().__init__(self._watch)

    def slices(self, since: float, until: float) -> list[Slice]:
        """Rounds that began within these instants (monotonic seconds)."""
        return [each for each in self._watch.slices if since <= each.began < until]
