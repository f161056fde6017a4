"""What Redis's refusals mean for the caller: wait, mend a setting, or stop.

A refusal is an answer: the command was not carried out. No answer at all is `redis_calls`' part.
"""

from __future__ import annotations

from typing import NamedTuple

from redis import exceptions as redis_errors

from stream_app.errors import (
    ConfigError,
    Incompatible,
    OutcomeUnknown,
    StreamAppError,
    Unavailable,
)

REFUSALS = (
    redis_errors.ResponseError,
    # These reach us as connection errors, but are answers.
    redis_errors.AuthenticationError,
    redis_errors.AuthorizationError,
    redis_errors.BusyLoadingError,
)
"""Exceptions of redis-py that stand for an answer."""


class _Rule(NamedTuple):
    words: tuple[str, ...]
    error: type[StreamAppError]
    hint: str


# Redis 6.2 wraps what happens inside a script in its own sentence: words are looked for anywhere.
_RULES = (
    _Rule(
        ("AuthenticationError", "AuthorizationError", "AuthenticationWrongNumber", "NOAUTH"),
        ConfigError,
        "correct user and password, in STREAM_APP_REDIS__URL or redis.username and redis.password",
    ),
    _Rule(
        ("NoPermissionError", "NOPERM", "ACL failure", "can't run this command", "can't access"),
        ConfigError,
        "grant the Redis user this command, scripts included, on keys under the prefix; "
        "deploy/redis/users.acl has all that is needed",
    ),
    _Rule(
        ("WRONGTYPE",),
        Incompatible,
        "another program uses keys under this prefix; choose another STREAM_APP_REDIS__PREFIX",
    ),
    _Rule(
        ("OutOfMemoryError", "OOM command not allowed"),
        Unavailable,
        "Redis is out of memory: raise its maxmemory",
    ),
    _Rule(
        ("ReadOnlyError", "READONLY"),
        Unavailable,
        "this is a replica: STREAM_APP_REDIS__URL must name the primary",
    ),
    _Rule(("MISCONF",), Unavailable, "Redis cannot write to its disk: see its log"),
    _Rule(("NOREPLICAS",), Unavailable, "Redis misses replicas that it was told to wait for"),
    _Rule(("BusyLoadingError", "LOADING"), Unavailable, "Redis is reading its data; wait"),
    _Rule(("BUSY",), Unavailable, "a script holds up Redis; wait"),
    _Rule(
        ("ClusterDownError", "MasterDownError", "TryAgainError", "AskError"),
        Unavailable,
        "the cluster is being repaired or moves keys; wait",
    ),
)


def refusal(error: Exception, text: str, where: str) -> StreamAppError:
    """The error to raise for the answer `error`; `text` is its message without secrets."""
    seen = f"{type(error).__name__} {getattr(error, 'status_code', None) or ''} {text}"
    for rule in _RULES:
        if any(word in seen for word in rule.words):
            return rule.error(f"{where} refused: {text}", hint=rule.hint)
    # A script may have stopped half-way for a reason that nobody foresaw.
    return OutcomeUnknown(f"{where} answered with an error: {text}", hint="see the log of Redis")
