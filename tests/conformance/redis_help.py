"""For the tests of the Redis store alone: stores, an administrator's commands, a faulty network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from redis.asyncio import Redis

from stream_app.settings import RedisSettings
from stream_app.streams.redis_store import RedisStore

NOWHERE = "redis://127.0.0.1:1/0"
"""Nobody listens there."""


def store_at(url: str, timeout_seconds: float = 20.0) -> RedisStore:
    return RedisStore(RedisSettings(url=SecretStr(url), timeout_seconds=timeout_seconds))


async def tell(admin: Redis, command: str) -> Any:
    return await admin.execute_command(*command.split())  # type: ignore[no-untyped-call]


def changed(url: str, *, user: str = "", address: str = "") -> str:
    """`url` with another user and password, or another host and port."""
    parts = urlsplit(url)
    old_user, at, old_address = parts.netloc.rpartition("@")
    netloc = f"{user or old_user}{'@' if user else at}{address or old_address}"
    return parts._replace(netloc=netloc).geturl()


class Between:
    """A proxy in front of Redis that holds answers back or cuts connections, on command."""

    def __init__(self, url: str) -> None:
        self._redis_url = url
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.let_answers_through = asyncio.Event()
        self.let_answers_through.set()
        self.holds_an_answer = asyncio.Event()
        self.hold_answers_to = b""
        """As soon as a client sends this, answers are held back."""
        self.before: tuple[bytes, Callable[[], Awaitable[object]]] | None = None
        """What a client sends, and what is to happen before Redis sees it, each time."""
        self.cut_at = b""
        """As soon as a client sends this, connections are cut, and Redis does not see it."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Between]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = changed(self._redis_url, address=f"127.0.0.1:{port}")
        yield self
        server.close()
        self.let_answers_through.set()
        self._cut()
        await asyncio.gather(*self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self._redis_url)
        answers, commands = await asyncio.open_connection(parts.hostname, parts.port or 6379)
        self._connections |= {writer, commands}
        await asyncio.gather(self._commands(reader, commands), self._answers(answers, writer))

    async def _commands(self, client: asyncio.StreamReader, redis: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await client.read(65_536):
                if self.cut_at and self.cut_at in data:
                    self.cut_at = b""
                    self._cut()
                    break
                if self.before and self.before[0] in data:
                    await self.before[1]()
                if self.hold_answers_to and self.hold_answers_to in data:
                    self.hold_answers_to = b""
                    self.let_answers_through.clear()
                redis.write(data)
                await redis.drain()
        redis.close()

    async def _answers(self, redis: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await redis.read(65_536):
                if not self.let_answers_through.is_set():
                    self.holds_an_answer.set()
                    await self.let_answers_through.wait()
                client.write(data)
                await client.drain()
        client.close()

    def _cut(self) -> None:
        for connection in self._connections:
            connection.close()
