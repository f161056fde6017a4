"""Instants: microseconds since 1970-01-01 UTC inside, RFC 3339 outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from stream_app.errors import UsageError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def from_datetime(instant: datetime) -> int:
    """Microseconds of an aware datetime.

    >>> from_datetime(datetime(1970, 1, 2, tzinfo=UTC)) == DAY
    True
    """
    return (instant - _EPOCH) // _MICROSECOND


def to_rfc3339(instant_us: int) -> str:
    """RFC 3339 in UTC, with microseconds only where there are some.

    >>> to_rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    minute, rest_us = divmod(int(instant_us), MINUTE)
    second, us = divmod(rest_us, SECOND)
    return f"{_minute(minute)}{second:02}.{us:06}Z" if us else f"{_minute(minute)}{second:02}Z"


@lru_cache(maxsize=1_024)
def _minute(minute: int) -> str:
    """Text of a minute since 1970. Instants that are told of are close to each other."""
    return (_EPOCH + timedelta(minutes=minute)).isoformat()[: len("1970-01-01T00:00:")]


def parse(text: str) -> int:
    """Microseconds of an RFC 3339 text (a date alone is midnight UTC).

    Raises
    ------
    UsageError
        The text is not an instant, or has no offset.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time", hint="write it like 2026-01-31T12:00:00Z"
        ) from None
    if instant.tzinfo is None:
        if "T" in text or " " in text:
            raise UsageError(f"{text!r} has no offset", hint="add Z or +01:00")
        instant = instant.replace(tzinfo=UTC)
    return from_datetime(instant)
