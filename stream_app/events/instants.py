"""Instants: microseconds since 1970-01-01 UTC inside, RFC 3339 outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stream_app.errors import UsageError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_datetime(instant: datetime) -> int:
    """Microseconds of an aware datetime.

    >>> from_datetime(datetime(1970, 1, 2, tzinfo=UTC)) == DAY
    True
    """
    return (instant - _EPOCH) // timedelta(microseconds=1)


def to_rfc3339(instant_us: int) -> str:
    """RFC 3339 in UTC, with microseconds only where there are some.

    >>> to_rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    text = (_EPOCH + timedelta(microseconds=int(instant_us))).isoformat()
    return text.removesuffix("+00:00") + "Z"


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
