"""Event loops that know how long they did not look at their sockets and timers."""

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
    """By the loop's time."""
    seconds: float
    cpu_seconds: float
    """Time of the loop's own thread, which does not count what others took of the machine."""


class _Watch(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.slices: list[Slice] = []
        self._since: tuple[float, float] | None = None

    def now(self) -> float:
        return time.monotonic()

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._since is not None:
            began, cpu = self._since
            self.slices.append(Slice(began, self.now() - began, time.thread_time() - cpu))
        try:
            return self.wait(timeout)
        finally:
            self._since = self.now(), time.thread_time()


class _OwnTime(_Watch):
    waited = 0.0

    def now(self) -> float:
        return self.waited + time.thread_time()

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (found := super().wait(0)):
            return super().wait(timeout) if timeout is None else found
        self.waited += max(timeout, 0.0)
        return []


class WatchedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, watched."""

    def __init__(self, watch: _Watch | None = None) -> None:
        self._watch = watch or _Watch()
        super().__init__(self._watch)

    def time(self) -> float:
        """Seconds."""
        return self._watch.now()

    def slices(self, since: float, until: float) -> list[Slice]:
        """Rounds that began within these instants."""
        return [each for each in self._watch.slices if since <= each.began < until]


class OwnTimeLoop(WatchedLoop):
    """Its time is the CPU time of its thread and what it waits for, which costs nothing. So a run
    in memory takes the time that it would take on a machine that does nothing else."""

    def __init__(self) -> None:
        super().__init__(_OwnTime())


def now() -> float:
    """Seconds, by the running loop."""
    return asyncio.get_running_loop().time()
