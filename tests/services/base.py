"""What every test server can do, and how one is chosen."""

from __future__ import annotations

import random
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 20.0

Probe = Callable[[], bool]
"""Whether the server does its work. OSError counts as no."""


class ServiceError(Exception):
    """A test server is not to be had or failed. The message says what to install or to look at."""


class UnavailableError(Exception):
    """One way to get a server does not work on this machine; try the next."""


class Service(ABC):
    """One server. A context manager: starts it, and at the end stops it and deletes its data.

    `stop`, `kill` and `start` may be called in between, as often as a test likes: port and data
    stay the same. All of them block; call them through `asyncio.to_thread` in async tests.
    """

    def __init__(self, name: str, *, how: str, address: str, url: str) -> None:
        self.name = name
        self.how = how
        """Where it comes from, in words."""
        self.address = address
        """host:port."""
        self.url = url

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Process id while it runs and is ours, else None."""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it does its work. Does nothing if it runs.

        Raises ServiceError if it does not come up.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop it in good order. Data stays."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as `kill -9` does. Data stays as it was on disk."""

    @abstractmethod
    def close(self) -> None:
        """End it and delete its data. May be called twice."""

    def restart(self) -> None:
        """Crash it and start it again on the same port and data."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class External(Service):
    """A server that somebody else runs. It is used, never stopped."""

    def __init__(self, name: str, *, variable: str, address: str, url: str, probe: Probe) -> None:
        super().__init__(name, how=f"the environment ({variable})", address=address, url=url)
        self._probe = probe
        self._variable = variable

    @property
    def pid(self) -> None:
        return None

    def start(self) -> None:
        if not works(self._probe):
            raise ServiceError(
                f"{self._variable} names {self.name} at {self.address}, which does not answer. "
                f"Start that server, or unset {self._variable} to let the tests start their own."
            )

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def close(self) -> None:
        """Nothing to end: it is not ours."""

    def _refuse(self) -> None:
        raise ServiceError(
            f"{self.name} at {self.address} was named by {self._variable} and is not ours to stop. "
            f"Ask for a server of your own: own=True."
        )


def first_available(
    name: str, ways: Iterable[tuple[str, Callable[[], Service]]], *, advice: str
) -> Service:
    """The first way that works. A way says so by raising UnavailableError, with the reason."""
    reasons = []
    for label, way in ways:
        try:
            return way()
        except UnavailableError as reason:
            reasons.append(f"  - {label}: {reason}")
    raise ServiceError("\n".join([f"No {name} for the tests.", *reasons, advice]))


def works(probe: Probe) -> bool:
    try:
        return probe()
    except OSError:
        return False


def wait_until_works(probe: Probe, *, alive: Callable[[], bool]) -> bool:
    """Wait for a server to come up. False if it died or took too long."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and alive():
        if works(probe):
            return True
        time.sleep(0.05)
    return False


def free_port(*, with_offset: int = 0) -> int:
    """A free port on the loopback interface, of which the port so many further is free too.

    It lies below the range that outgoing connections take theirs from. A port in that range can
    be lost while its server is down for a restart: a client that keeps connecting to it may even
    be given that same port as its own and connect to itself.
    """
    for port in random.sample(range(20_000, 30_000), 100):
        if all(_is_free(each) for each in {port, port + with_offset}):
            return port
    raise ServiceError("No free port between 20000 and 30000 on 127.0.0.1.")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
