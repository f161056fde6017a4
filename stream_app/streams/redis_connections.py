"""Connections to one Redis server, each for one command or transaction at a time.

redis-py's own pools do the same for some three times as much; commands of a few bytes, whose answer
somebody waits for, are most of what a worker with little to do sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from redis.asyncio.connection import ConnectionPool

from stream_app.streams.redis_arguments import Arguments

Command = Sequence[str | int | bytes | bytearray | Arguments]
"""Its name and arguments."""

_LARGE = 65_536
"""Bytes from which an argument is not copied to be sent in one piece with others."""


class Connections:
    """Opens connections when they are needed, and gives those that are free again.

    Parameters
    ----------
    options
        Of redis-py's connections, `max_connections` among them: who comes when so many are taken
        waits for one.
    timeout_seconds
        How long to wait for one, and then for it to be open.
    """

    def __init__(self, options: Mapping[str, Any], timeout_seconds: float) -> None:
        pool: Any = ConnectionPool(**options)
        pool.make_connection()  # to find out now whether it takes the options
        self._pool = pool  # it makes and checks connections, no more
        self._timeout_seconds = timeout_seconds
        self._free: list[Any] = []
        self._places = asyncio.Semaphore(self._pool.max_connections)

    async def take(self) -> Any:
        """A connection that is open and has nothing left to be read. `put_back` is to be called,
        also when it had to be disconnected. Raises what redis-py raises, and TimeoutError."""
        async with asyncio.timeout(self._timeout_seconds):
            await self._places.acquire()
            connection = self._free.pop() if self._free else self._pool.make_connection()
            try:
                await self._pool.ensure_connection(connection)
            except BaseException:
                self.put_back(connection)
                raise
        return connection

    def put_back(self, connection: Any) -> None:
        """Somebody else may have it."""
        self._free.append(connection)
        self._places.release()

    async def disconnect(self) -> None:
        """Close those that nobody has. They may be taken again."""
        for connection in self._free:
            await connection.disconnect()


def packed(*commands: Command) -> list[bytes | bytearray]:
    """Commands as they are sent, in pieces to be sent one after the other."""
    pieces: list[bytes | bytearray] = []
    small: list[bytes | bytearray] = []
    for command in commands:
        many = (argument.count - 1 for argument in command if isinstance(argument, Arguments))
        small.append(b"*%d\r\n" % (len(command) + sum(many)))
        for argument in command:
            if isinstance(argument, str):
                small.append(_text(argument))
                continue
            value: bytes | bytearray
            if isinstance(argument, Arguments):
                head, value, end = b"", argument.sent, b""
            else:
                value = b"%d" % argument if isinstance(argument, int) else argument
                head, end = b"$%d\r\n" % len(value), b"\r\n"
            if len(value) < _LARGE:
                small += (head, value, end)
            else:
                pieces += (b"".join((*small, head)), value)
                small = [end]
    pieces.append(b"".join(small))
    return pieces


@lru_cache(maxsize=1_024)
def _text(argument: str) -> bytes:
    """Commands, keys and names of fields are the same again and again."""
    value = argument.encode()
    return b"$%d\r\n%b\r\n" % (len(value), value)
