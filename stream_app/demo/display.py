"""Where pictures go: a live view on a terminal, or a line a second."""

from __future__ import annotations

import logging
import sys
from collections import deque
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.live import Live

from stream_app.demo.picture import Picture
from stream_app.demo.view import View
from stream_app.demo.words import clock_time, milliseconds

_LINE_SECONDS = 1.0


class Display(Protocol):
    """Shows one picture after the other."""

    period_seconds: float
    """How often it wants a picture."""

    def show(self, picture: Picture) -> None: ...

    def warning(self) -> str:
        """A log line that should be on the picture, or nothing."""

    def open(self) -> None:
        """Say that something is about to begin."""

    def close(self) -> None:
        """Free the terminal. A second call does nothing."""


def display_for(as_json: bool) -> Display:
    """The view if standard error is a terminal that can show it and nobody asked for JSON."""
    console = Console(stderr=True)
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        return Lines()
    return LiveView(console)


class Lines:
    """A line of progress a second, on standard error."""

    period_seconds = 0.2

    def __init__(self) -> None:
        self._last = monotonic()

    def show(self, picture: Picture) -> None:
        now = monotonic()
        if picture.phase != "running" or now - self._last < _LINE_SECONDS:
            return
        self._last = now
        sys.stderr.write(as_line(picture) + "\n")
        sys.stderr.flush()

    def warning(self) -> str:
        return ""  # log lines go to standard error anyway

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


def as_line(picture: Picture) -> str:
    """A picture in one line."""
    totals, lag = picture.totals, picture.lag
    segments = len(picture.segments) if picture.model.version else 0
    return (
        f"{clock_time(picture.now_us)}  {totals.events:,} events, "
        f"{picture.events_per_second:,.0f}/s  lag p50 {milliseconds(lag.p50)}, "
        f"p99 {milliseconds(lag.p99)}  {totals.moved:,} changes, {totals.spikes:,} spikes, "
        f"{segments} segments"
    )


class LiveView:
    """The whole terminal, until it is left. Log lines are kept back while it is there."""

    period_seconds = 0.2

    def __init__(self, console: Console) -> None:
        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._kept = _Kept()
        self._handlers: list[logging.Handler] = []

    def show(self, picture: Picture) -> None:
        self._live.update(View(picture), refresh=True)

    def warning(self) -> str:
        return self._kept.records[-1].getMessage() if self._kept.records else ""

    def open(self) -> None:
        root = logging.getLogger()
        self._handlers, root.handlers = root.handlers, [self._kept]
        self._live.start()
        self.show(Picture())

    def close(self) -> None:
        if not self._live.is_started:
            return
        self._live.stop()
        logging.getLogger().handlers = self._handlers
        for record in self._kept.records:
            logging.getLogger(record.name).handle(record)


class _Kept(logging.Handler):
    """Keeps the latest warnings for when the terminal is free again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: deque[logging.LogRecord] = deque(maxlen=20)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
