"""Numbers and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def clock_time(instant_us: int) -> str:
    """Day and time in UTC, the same in every locale.

    >>> clock_time(0)
    'Thu 1 Jan 1970 00:00'
    """
    at = _EPOCH + timedelta(microseconds=instant_us)
    return f"{_DAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M}"


def since(seconds: float) -> str:
    """Minutes and seconds.

    >>> since(75.9)
    '1:15'
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def milliseconds(value: float | None) -> str:
    """Milliseconds, or a hyphen where nothing was measured.

    >>> milliseconds(3.26), milliseconds(48.6), milliseconds(None)
    ('3.3 ms', '49 ms', '-')
    """
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def number(value: float) -> str:
    """One decimal below ten, where it says something.

    >>> number(0.42), number(3.0), number(14.3)
    ('0.4', '3', '14')
    """
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "vector"), plural(1_200, "vector")
    ('1 vector', '1,200 vectors')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
