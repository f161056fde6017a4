"""Worker processes: started as a user starts them, killed, frozen, stopped, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.services.guard import Guard

ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.1
_UNREACHABLE = 5
"""Exit code of a start at which Kafka or Redis could not be reached."""
_STOP_TIMEOUT_SECONDS = 120.0
"""Far more than a worker may take; a worker that needs it is reported."""


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    log: Path
    guard: Guard
    """Ends the process should this one be killed, also if it is frozen then."""
    expected: bool = False
    """Whether its end was brought about here."""

    def has_begun(self) -> bool:
        """Whether it ever belonged to the group."""
        return "owns partitions" in self.log.read_text(errors="replace")


class Fleet:
    """A fixed number of workers. One that ends is replaced, whatever ended it."""

    def __init__(self, size: int, environment: Mapping[str, str], logs: Path) -> None:
        self.size = size
        self.bad_exits: list[str] = []
        """Ends that nobody asked for, and stops that did not end with exit code 0."""
        self.refused_starts = 0
        """Starts that ended with exit code 5, because Kafka or Redis was away just then."""
        self._environment = {**os.environ, **environment}
        self._logs = logs
        self._running: dict[int, _Running] = {}
        self._starts = 0

    def start(self) -> None:
        """Start those that do not run."""
        for slot in range(self.size):
            if slot not in self._running:
                self._start(slot)

    def owner(self, slot: int) -> str:
        """What Redis names the owner of this worker's partitions."""
        return f"{socket.gethostname()}-{self._running[slot].process.pid}"

    def owners(self) -> set[str]:
        """Of all workers."""
        return {self.owner(slot) for slot in self._running}

    async def kill(self, slot: int) -> None:
        """`kill -9`, and a new one."""
        running = self._running[slot]
        running.expected = True
        running.process.kill()
        await asyncio.to_thread(running.process.wait)
        self._gone(slot)
        self._start(slot)

    def freeze(self, slot: int) -> None:
        """SIGSTOP."""
        self._running[slot].process.send_signal(signal.SIGSTOP)

    def thaw(self, slot: int) -> None:
        """SIGCONT."""
        self._running[slot].process.send_signal(signal.SIGCONT)

    async def stop(self, slot: int) -> None:
        """SIGTERM, and a new one."""
        await self._stop(slot)
        self._start(slot)

    async def stop_all(self) -> None:
        """SIGTERM to all, at the end."""
        await asyncio.gather(*(self._stop(slot) for slot in list(self._running)))

    async def watch(self) -> None:
        """Replace workers that end by themselves, until cancelled."""
        while True:
            for slot, running in list(self._running.items()):
                code = running.process.poll()
                if code is not None and not running.expected:
                    if code == _UNREACHABLE and not running.has_begun():
                        self.refused_starts += 1
                    else:
                        self.bad_exits.append(f"worker {slot} ended by itself with {code}")
                    self._gone(slot)
                    self._start(slot)
            await asyncio.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """End what still runs, at once."""
        for slot in list(self._running):
            self._running[slot].process.kill()
            self._running[slot].process.wait()
            self._gone(slot)

    def tracebacks(self) -> list[str]:
        """Where workers logged an error that the program did not foresee, the first of each."""
        return [
            f"{path.name}: {text[max(0, at - 300) : at + 1_500]}"
            for path in sorted(self._logs.glob("worker-*.log"))
            if (at := (text := path.read_text(errors="replace")).find("Traceback")) >= 0
        ]

    async def _stop(self, slot: int) -> None:
        running = self._running[slot]
        running.expected = True
        running.process.terminate()
        try:
            code = await asyncio.to_thread(running.process.wait, _STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.bad_exits.append(f"worker {slot} did not stop at SIGTERM")
            running.process.kill()
            await asyncio.to_thread(running.process.wait)
        else:
            if code != 0:
                self.bad_exits.append(f"worker {slot} stopped with {code} at SIGTERM")
        self._gone(slot)

    def _start(self, slot: int) -> None:
        self._starts += 1
        log = self._logs / f"worker-{self._starts:03}-slot-{slot}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "stream_app", "worker"],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the run; it stops the workers
            )
        self._running[slot] = _Running(process, log, Guard(f"kill -9 {process.pid}"))

    def _gone(self, slot: int) -> None:
        self._running.pop(slot).guard.dismiss()
