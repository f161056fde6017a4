"""A server as a Docker container."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence

from tests.services.base import (
    START_TIMEOUT_SECONDS,
    STOP_TIMEOUT_SECONDS,
    Probe,
    Service,
    ServiceError,
    UnavailableError,
    wait_until_works,
)
from tests.services.guard import Guard

DAEMON_TIMEOUT_SECONDS = 10.0
PULL_TIMEOUT_SECONDS = 600.0
LOG_LINES_IN_ERRORS = 20


class Container(Service):
    """A container that this process starts. It does not outlive this process."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        port: int,
        inner_port: int,
        probe: Probe,
        image: str,
        environment: Mapping[str, str],
        command: Sequence[str] = (),
    ) -> None:
        """`port` is the one on 127.0.0.1, `inner_port` the one in the container."""
        super().__init__(name, how=f"Docker ({image})", address=f"127.0.0.1:{port}", url=url)
        self._probe = probe
        self._container = f"stream-app-test-{name.lower()}-{uuid.uuid4().hex[:8]}"
        options = [f"--env={key}={value}" for key, value in environment.items()]
        options.append(f"--publish=127.0.0.1:{port}:{inner_port}")
        self._run = ["run", "--detach", f"--name={self._container}", *options, image, *command]
        self._guard: Guard | None = None

    @property
    def pid(self) -> int | None:
        if self._guard is None:
            return None
        answer = docker("inspect", "--format={{.State.Pid}}", self._container)
        return int(answer) or None

    def start(self) -> None:
        if self._guard is None:
            self._guard = Guard(f"docker rm --force --volumes {self._container}")
            docker(*self._run)
        else:
            docker("start", self._container)
        if not wait_until_works(self._probe, alive=lambda: self.pid is not None):
            log = docker("logs", f"--tail={LOG_LINES_IN_ERRORS}", self._container)
            raise ServiceError(
                f"{self.name} in Docker ended or did not answer within "
                f"{START_TIMEOUT_SECONDS:.0f} seconds. The end of its log:\n{log}"
            )

    def stop(self) -> None:
        if self.pid is not None:
            docker("stop", "-t", f"{STOP_TIMEOUT_SECONDS:.0f}", self._container)

    def kill(self) -> None:
        if self.pid is not None:
            docker("kill", "--signal=KILL", self._container)

    def close(self) -> None:
        if self._guard is not None:
            docker("rm", "--force", "--volumes", self._container)
            self._guard.dismiss()
            self._guard = None


def need_image(image: str) -> None:
    """Fetch an image unless it is there. Raises UnavailableError, also if no daemon answers."""
    if shutil.which("docker") is None:
        raise UnavailableError("there is no docker command")
    try:
        docker("info", timeout=DAEMON_TIMEOUT_SECONDS)
    except ServiceError:
        raise UnavailableError("its daemon does not answer") from None
    try:
        docker("image", "inspect", image)
    except ServiceError:
        try:
            docker("pull", "--quiet", image, timeout=PULL_TIMEOUT_SECONDS)
        except ServiceError as error:
            raise UnavailableError(str(error)) from error


def docker(*arguments: str, timeout: float = START_TIMEOUT_SECONDS) -> str:
    """Run one docker command. Returns what it prints, raises ServiceError if it fails."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(
            f"docker {arguments[0]} did not end within {timeout:.0f} seconds"
        ) from None
    if done.returncode != 0:
        raise ServiceError(f"docker {arguments[0]} failed: {done.stdout.strip()}")
    return done.stdout.strip()
