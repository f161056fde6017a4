"""Single commands to Redis, and transactions: each ends with its own answer or an error of ours.

redis-py's client is not used above its connections, for two reasons. It repeats a command after a
lost connection, which must not happen to a write whose outcome is unknown. And a cancelled call
could leave its answer on the connection for the next caller (redis-py issues 2624 and 2665). Here
a call runs in a task that cancellation of the caller does not reach: it takes a connection, sends
what changes something once, and closes the connection unless all answers were read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis import exceptions as redis_errors
from redis.asyncio.connection import Connection, parse_url
from redis.crc import key_slot

from stream_app.errors import ConfigError, Incompatible, OutcomeUnknown, Unavailable
from stream_app.settings import RedisSettings
from stream_app.streams.redis_connections import Command, Connections, packed
from stream_app.streams.redis_errors import REFUSALS, refusal
from stream_app.streams.tls import tls_context

Address = tuple[str, int]

_MAX_CONNECTIONS = 32  # callers beyond wait; a process runs about one call per partition
_MAX_REDIRECTS = 4  # a cluster in good order needs one
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script. Sent by its hash, in full where Redis does not know it yet."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)

    @classmethod
    def read(cls, name: str) -> Script:
        """The script in the file `name` beside this module."""
        return cls(Path(__file__).with_name(name).read_text(encoding="utf-8"))


class _Exchange(Protocol):
    """What is said on one connection, and heard."""

    name: str
    """Of the command that is being answered."""
    writes: bool
    """Whether it may have changed something, should there be no answer."""

    async def with_(self, connection: Any) -> Any:
        """Leaves nothing on the connection to be read, or raises something that is no refusal, or
        disconnects."""


class _Single:
    def __init__(self, command: Command, writes: bool) -> None:
        self.name, self.writes, self._command = str(command[0]), writes, command

    async def with_(self, connection: Any) -> Any:
        await connection.send_packed_command(packed(self._command))
        return await connection.read_response()


class _Transaction:
    """`MULTI` goes out with the look, not with the writes: were it refused, these would be carried
    out one by one. On any trouble the connection is closed, and all is as if nothing was said."""

    def __init__(
        self,
        watched: Sequence[str],
        look: Command,
        decide: Callable[[Any], Sequence[Command]],
    ) -> None:
        self.name, self.writes = "WATCH", False
        self._look: list[Command] = [("WATCH", *watched), look, ("MULTI",)]
        self._decide = decide

    async def with_(self, connection: Any) -> bool:
        self.name, self.writes = "WATCH", False  # it may be tried again at another node
        try:
            _, found, _ = await _answers(connection, self._look)
            writes = self._decide(found)
            self.name, self.writes = "EXEC", True
            *_, done = await _answers(connection, [*writes, ("EXEC",)])
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        for answer in done or ():
            # Redis refuses before it begins, except what it cannot know then: a key of another
            # kind, which who watches it has seen, or a right that was taken away just now.
            if isinstance(answer, Exception):
                raise Incompatible(
                    f"Redis carried out only a part of a transaction: {answer}",
                    hint="give the Redis user its rights back, and Redis a copy from before",
                )
        return done is not None


async def _answers(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Send all at once. Raises the first error among the answers when all of them are read."""
    await connection.send_packed_command(packed(*commands))
    answers: list[Any] = []
    refused: redis_errors.ResponseError | None = None
    for _ in commands:
        try:
            answers.append(await connection.read_response())
        except redis_errors.ResponseError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return answers


class RedisCalls:
    """Connections to one Redis, or to the nodes of one Redis Cluster."""

    def __init__(self, settings: RedisSettings) -> None:
        self._options = _connection_options(settings)
        self._secret = str(self._options.get("password") or "")
        self._timeout_seconds = settings.timeout_seconds
        self._nodes: dict[Address | None, Connections] = {}
        self._routes: dict[int, Address] = {}
        self._running: set[asyncio.Task[Any]] = set()
        try:
            self._connections_to(None)
        except (TypeError, ValueError, redis_errors.RedisError):
            # Their messages repeat parts of the URL.
            raise _bad_url("it has an option that does not exist or does not fit") from None

    @property
    def user(self) -> str:
        """Who logs in, `default` for a password alone; empty: nobody does."""
        return str(self._options.get("username") or ("default" if self._secret else ""))

    async def stop(self) -> None:
        """Wait for what is under way (each call has its own time limit), then disconnect."""
        await asyncio.gather(*self._running, return_exceptions=True)
        for connections in self._nodes.values():
            await connections.disconnect()

    async def script(
        self, script: Script, keys: Sequence[str], *args: Any, write: bool = True
    ) -> Any:
        """Run `script`. Raises as `call` does."""
        rest = (len(keys), *keys, *args)
        try:
            return await self.call(keys[0], "EVALSHA", script.sha, *rest, write=write)
        except redis_errors.NoScriptError:
            return await self.call(keys[0], "EVAL", script.source, *rest, write=write)

    async def call(self, key: str, *command: Any, write: bool = False) -> Any:
        """Send one command that concerns `key` and return the answer.

        A cancelled caller returns at once; the command itself goes on to its end.

        Raises
        ------
        Unavailable
            Redis was not reached, gave no answer to a read, or refuses for now.
        OutcomeUnknown
            A write was sent, or partly sent, and no answer came.
        ConfigError, Incompatible
            Redis refuses, and waiting does not help.
        """
        return await self._shielded(key, _Single(command, write))

    async def transaction(
        self, look: Script, keys: Sequence[str], decide: Callable[[Any], Sequence[Command]]
    ) -> bool:
        """Send the commands that `decide` makes of what `look` returns of `keys`, to be carried out
        together or not at all. All of them concern the node that has these keys.

        Returns whether they were; if not, one of the keys changed meanwhile. Raises what `decide`
        raises, and else as `call` does.
        """
        by_hash, in_full = (
            _Transaction(keys, (*script, len(keys), *keys), decide)
            for script in (("EVALSHA", look.sha), ("EVAL", look.source))
        )
        try:
            return bool(await self._shielded(keys[0], by_hash))
        except redis_errors.NoScriptError:
            return bool(await self._shielded(keys[0], in_full))

    async def _shielded(self, key: str, exchange: _Exchange) -> Any:
        task = asyncio.create_task(self._follow(key, exchange))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that nobody warns when the caller has gone

    async def _follow(self, key: str, exchange: _Exchange) -> Any:
        """Send to the node that has `key`. A redirected command was not carried out."""
        for _ in range(_MAX_REDIRECTS):
            address = self._routes.get(key_slot(key.encode())) if self._routes else None
            try:
                return await self._exchange(address, exchange)
            except redis_errors.MovedError as moved:
                known = address[0] if address else str(self._options.get("host", "localhost"))
                self._routes[moved.slot_id] = (moved.host or known, moved.port)
            except Unavailable:
                self._routes.clear()  # a failover may have moved everything: ask again
                raise
        raise Unavailable(f"{self._where(None)} keeps sending us from node to node")

    async def _exchange(self, address: Address | None, exchange: _Exchange) -> Any:
        connections = self._connections_to(address)
        try:
            connection = await connections.take()
        except REFUSALS as error:
            raise refusal(error, self._text(error), self._where(address)) from None
        except (redis_errors.RedisError, OSError) as error:
            by_tls = isinstance(error.__context__, SSLError)
            raise Unavailable(
                f"{self._where(address)} cannot be reached: {self._text(error)}",
                hint="check redis.ssl_ca_file and the certificate of Redis"
                if by_tls
                else "start Redis, or correct STREAM_APP_REDIS__URL",
            ) from None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await exchange.with_(connection)
        except (redis_errors.MovedError, redis_errors.NoScriptError):
            raise
        except REFUSALS as error:
            raise refusal(error, self._text(error), self._where(address)) from None
        except (redis_errors.RedisError, OSError) as error:
            await connection.disconnect(nowait=True)
            kind = OutcomeUnknown if exchange.writes else Unavailable
            raise kind(
                f"{self._where(address)} gave no answer to {exchange.name}: {self._text(error)}",
                hint="look whether Redis is busy or stopped; a worker tries again by itself",
            ) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            connections.put_back(connection)

    def _connections_to(self, address: Address | None) -> Connections:
        connections = self._nodes.get(address)
        if connections is None:
            node = {} if address is None else {"host": address[0], "port": address[1]}
            connections = Connections({**self._options, **node}, self._timeout_seconds)
            self._nodes[address] = connections
        return connections

    def _where(self, address: Address | None) -> str:
        path = self._options.get("path")
        if path:
            return f"Redis at {path}"
        host, port = self._options.get("host", "localhost"), self._options.get("port", 6379)
        return "Redis at {}:{}".format(*(address or (host, port)))

    def _text(self, error: Exception) -> str:
        """The message; some servers repeat the command they did not understand, AUTH included."""
        text = str(error) or type(error).__name__
        return text.replace(self._secret, "***") if self._secret else text


def _connection_options(settings: RedisSettings) -> dict[str, Any]:
    url = settings.url.get_secret_value()
    try:
        options: dict[str, Any] = dict(parse_url(url))
        parts = urlsplit(url)
    except ValueError:
        raise _bad_url("it cannot be read") from None
    if any(name.startswith("ssl_") for name in options):
        raise _bad_url("options for TLS have settings of their own, STREAM_APP_REDIS__SSL_…")
    # redis-py would silently take database 0, and these are signs of a password not encoded.
    database = "" if parts.scheme == "unix" else parts.path.strip("/")
    if parts.fragment or not (database or "0").isdecimal():
        raise _bad_url("after host and port only the number of a database may follow")
    return {
        "max_connections": _MAX_CONNECTIONS,
        **options,
        **_credentials(settings, options),
        # RESP2: with RESP3, redis-py 8 expects unasked-for messages and no longer notices an
        # answer that was left on a connection.
        "protocol": 2,
        "decode_responses": False,
        # No name for displays: to give it takes a command that ACLs before Redis 7.2 cannot grant.
        "driver_info": None,
        "retry": None,
        "retry_on_timeout": False,
        "retry_on_error": [],
        "socket_timeout": None,  # each call has one limit; redis-py would make a task for its own
        "socket_connect_timeout": settings.timeout_seconds,
        "socket_read_size": _READ_BYTES,
    }


def _credentials(settings: RedisSettings, from_url: Mapping[str, Any]) -> dict[str, Any]:
    """User, password and TLS, where they are settings of their own."""
    own = {"username": settings.username, "password": settings.password.get_secret_value()}
    for name, value in own.items():
        if value and from_url.get(name):
            raise ConfigError(
                f"redis.{name} is given, but redis.url has one too",
                hint=f"leave it out of STREAM_APP_REDIS__URL, or unset redis.{name}",
            )
    found: dict[str, Any] = {name: value for name, value in own.items() if value}
    if settings.uses_tls:
        found["connection_class"] = _Tls
        found["tls"] = tls_context(settings, "redis")
    return found


class _Tls(Connection):
    """A connection with a context of our own: redis-py's reads its files again and again, and
    what is wrong with them would look like a Redis that is away."""

    def __init__(self, *, tls: SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._tls}


def _bad_url(why: str) -> ConfigError:
    return ConfigError(
        f"STREAM_APP_REDIS__URL does not fit: {why}",
        hint="write redis://user:password@host:6379/0 and percent-encode signs such as # / ? @",
    )
