"""Programs under measurement: started, watched for the CPU that they take, and ended by id."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.guard import Guard

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.05
_STOP_SECONDS = 20.0
_LAST_LINES = 15


class Failed(Exception):
    """A program under measurement ended, or did not do its work. The message has its last words."""


class Program:
    """A process with a session of its own. A context manager: ends it, and all of its session.

    CPU is user and system time from /proc of all processes of the session, looked at twenty times a
    second with the wall clock beside it.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._command, self._log = list(command), log
        self._environment = {**os.environ, **environment}
        self._samples: list[tuple[float, float]] = []
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._guard = Guard(f"kill -9 -{self.pid}")
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._watcher.join()
        self._end()
        self._guard.dismiss()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it do nothing within."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def check(self) -> None:
        """Raise Failed if it has ended by itself."""
        if (code := self._process.poll()) is not None:
            raise Failed(f"{self.name} ended with exit code {code}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of what it has written."""
        return "\n".join(self.wrote().splitlines()[-_LAST_LINES:])

    def wrote(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def cpu_between(self, since: float, until: float) -> float:
        """CPU seconds between two instants of `time.time()`, interpolated."""
        return self._cpu_at(until) - self._cpu_at(since)

    def resident_bytes(self) -> int:
        """Memory that is its own or shared, as Linux counts it, now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _cpu_at(self, at: float) -> float:
        samples = self._samples
        i = min(max(bisect_left(samples, (at, 0.0)), 1), len(samples) - 1)
        (before, low), (after, high) = samples[i - 1], samples[i]
        share = (at - before) / (after - before)
        return low + (high - low) * min(max(share, 0.0), 1.0)

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._samples.append((time.time(), session_cpu(self.pid)))
            self._ended.wait(_SAMPLE_SECONDS)

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in _members(self.pid):
            os.kill(pid, 9)


def session_cpu(session: int) -> float:
    """CPU seconds so far of the living processes of a session, ended children included."""
    return sum(sum(map(int, fields[11:15])) for fields in _stats(session).values()) / _TICKS


def _members(session: int) -> list[int]:
    return list(_stats(session))


def _stats(session: int) -> dict[int, list[str]]:
    """Process id -> fields of its stat from the state on (proc(5)), of each in the session."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            found[int(folder.name)] = fields
    return found
