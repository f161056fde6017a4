"""Ctrl-C and SIGTERM as a wish to end with a summary, from the first moment on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Takes both signals between entering and leaving it, with or without an event loop."""

    def __init__(self) -> None:
        self._wished = False
        self._tell: Callable[[], object] = lambda: None
        self._before: dict[signal.Signals, Any] = {}

    def event(self) -> asyncio.Event:
        """An event of the running loop that is set by the wish, or has been already."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        if self._wished:
            event.set()
        self._tell = lambda: loop.call_soon_threadsafe(event.set)  # it also wakes the loop
        return event

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._wished = True
        self._tell()
