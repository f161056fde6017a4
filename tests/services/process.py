"""A server as a child process of the tests."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.services.base import (
    START_TIMEOUT_SECONDS,
    STOP_TIMEOUT_SECONDS,
    Probe,
    Service,
    ServiceError,
    wait_until_works,
)
from tests.services.guard import Guard

LOG_LINES_IN_ERRORS = 20


class LocalProcess(Service):
    """A server that this process starts. It does not outlive this process."""

    def __init__(
        self,
        name: str,
        *,
        how: str,
        address: str,
        url: str,
        probe: Probe,
        command: Sequence[str],
        home: Path,
    ) -> None:
        """`home` holds everything that the server writes. `close` deletes it."""
        super().__init__(name, how=how, address=address, url=url)
        self._probe = probe
        self._command = command
        self._home = home
        self._log = home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._runs() else None

    def start(self) -> None:
        if self._runs():
            return
        self._forget()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests; they stop the server
            )
        home = shlex.quote(str(self._home))
        self._guard = Guard(f"kill -9 {self._process.pid}; rm -rf {home}")
        if not wait_until_works(self._probe, alive=self._runs):
            raise ServiceError(self._failure(self._process))

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._forget()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._forget()

    def close(self) -> None:
        # Its data goes, so there is nothing that a slow, orderly stop would save.
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def _failure(self, process: subprocess.Popen[bytes]) -> str:
        code = process.poll()
        what = (
            f"ended with exit code {code}"
            if code is not None
            else f"did not answer within {START_TIMEOUT_SECONDS:.0f} seconds"
        )
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_IN_ERRORS:]
        return "\n".join([f"{self.name} {what}. The end of its log:", *lines])


def new_home(name: str) -> Path:
    """A fresh directory for a server's files."""
    return Path(tempfile.mkdtemp(prefix=f"stream-app-{name.lower()}-"))
