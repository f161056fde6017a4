"""An event loop in which waiting costs nothing: when all tasks wait, its clock jumps ahead."""

from __future__ import annotations

import asyncio
import selectors

_TOO_LATE_SECONDS = 900.0


class _Selector(selectors.DefaultSelector):
    """Looks for what has happened outside (a thread has ended), and lets time pass if nothing."""

    passed_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        if found := super().select(0):
            return found
        self.passed_seconds += max(timeout, 0.0)
        if self.passed_seconds > _TOO_LATE_SECONDS:
            raise TimeoutError("what the test waits for did not happen within a quarter of an hour")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time runs only when nothing else can be done, so a run is exact and takes no time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual.passed_seconds


class VirtualClock:
    """A `Clock` on the running loop's time. The wall clock can be set."""

    def __init__(self, now_us: int) -> None:
        self._at_start_us = now_us

    def now_us(self) -> int:
        return self._at_start_us + round(self.monotonic() * 1e6)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def advance(self, by_us: int) -> None:
        """Let the wall clock jump."""
        self._at_start_us += by_us
