"""How long `make demo` takes to its first screen, once installed."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time

from benchmarks.bench import Bench
from benchmarks.measurement import Measurement
from benchmarks.processes import Failed
from benchmarks.section import Section

_PATIENCE_SECONDS = 60.0
_SCREEN_BYTES = 400
"""More than a terminal is told before a picture is drawn."""
_METHOD = """\
`stream-app demo` is started on a terminal of its own; its first screen is there when the
picture has come. By the wall clock, from the start of the process."""


async def run(bench: Bench) -> Section:
    """Start it some times."""
    section = Section("Cold start of the demo", _METHOD)
    first = Measurement.of([_first_screen() for _ in range(bench.plan.rounds)])
    section.add("to the first screen", first, "s", form=".2f", at_most=2.0)
    section.figures["demo_first_screen_seconds"] = first.median
    return section


def _first_screen() -> float:
    """Seconds to the first picture."""
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="120", LINES="40")
        os.execv(sys.executable, [sys.executable, "-m", "stream_app", "demo"])
    told = b""
    try:
        while time.monotonic() - began < _PATIENCE_SECONDS:
            ready, _, _ = select.select([terminal], [], [], 1.0)
            if not ready:
                continue
            told += os.read(terminal, 65_536)
            if len(told) >= _SCREEN_BYTES:
                return time.monotonic() - began
    except OSError:  # it has ended
        pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    raise Failed(f"the demo showed nothing: {told[-500:].decode(errors='replace')}")
