"""Single commands to Redis: each ends with its own answer or an error of ours.

redis-py's client is not used above its connections, for two reasons. It repeats a command after a
lost connection, which must not happen to a write whose outcome is unknown. And a cancelled call
could leave its answer on the connection for the next caller (redis-py issues 2624 and 2665). Here
a call runs in a task that cancellation of the caller does not reach: it takes a connection, sends
once, reads the answer, and closes the connection unless the answer was read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions as redis_errors
from redis.asyncio.connection import BlockingConnectionPool, Connection, parse_url
from redis.crc import key_slot

from stream_app.errors import ConfigError, OutcomeUnknown, Unavailable
from stream_app.settings import RedisSettings
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


class RedisCalls:
    """Connections to one Redis, or to the nodes of one Redis Cluster."""

    def __init__(self, settings: RedisSettings) -> None:
        self._options = _connection_options(settings)
        self._secret = str(self._options.get("password") or "")
        self._pools: dict[Address | None, Any] = {}
        self._routes: dict[int, Address] = {}
        self._running: set[asyncio.Task[Any]] = set()
        try:
            self._pool(None).make_connection()
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
        for pool in self._pools.values():
            await pool.disconnect()

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
        task = asyncio.create_task(self._follow(key, command, write))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that nobody warns when the caller has gone

    async def _follow(self, key: str, command: Sequence[Any], write: bool) -> Any:
        """Send to the node that has `key`. A redirected command was not carried out."""
        for _ in range(_MAX_REDIRECTS):
            address = self._routes.get(key_slot(key.encode())) if self._routes else None
            try:
                return await self._exchange(address, command, write)
            except redis_errors.MovedError as moved:
                known = address[0] if address else str(self._options.get("host", "localhost"))
                self._routes[moved.slot_id] = (moved.host or known, moved.port)
            except Unavailable:
                self._routes.clear()  # a failover may have moved everything: ask again
                raise
        raise Unavailable(f"{self._where(None)} keeps sending us from node to node")

    async def _exchange(self, address: Address | None, command: Sequence[Any], write: bool) -> Any:
        pool = self._pool(address)
        try:
            connection = await pool.get_connection()
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
            await connection.send_command(*command)
            return await connection.read_response()
        except (redis_errors.MovedError, redis_errors.NoScriptError):
            raise
        except REFUSALS as error:
            raise refusal(error, self._text(error), self._where(address)) from None
        except (redis_errors.RedisError, OSError) as error:
            await connection.disconnect(nowait=True)
            kind = OutcomeUnknown if write else Unavailable
            raise kind(
                f"{self._where(address)} gave no answer to {command[0]}: {self._text(error)}",
                hint="look whether Redis is busy or stopped; a worker tries again by itself",
            ) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    def _pool(self, address: Address | None) -> Any:
        pool = self._pools.get(address)
        if pool is None:
            node = {} if address is None else {"host": address[0], "port": address[1]}
            pool = self._pools[address] = BlockingConnectionPool(**{**self._options, **node})
        return pool

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
        "socket_timeout": settings.timeout_seconds,
        "socket_connect_timeout": settings.timeout_seconds,
        "socket_read_size": _READ_BYTES,
        "timeout": settings.timeout_seconds,
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
