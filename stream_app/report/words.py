"""Numbers and instants as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_app.events.instants import parse


def day(rfc3339: str) -> str:
    """
    >>> day('2026-02-03T12:00:00Z')
    '3 Feb 2026'
    """
    return day_of(parse(rfc3339))


def day_of(at_us: int) -> str:
    """
    >>> day_of(0)
    '1 Jan 1970'
    """
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    return f"{at.day} {at:%b %Y}"


def minute_of(at_us: int) -> str:
    """
    >>> minute_of(0)
    '1 Jan 1970, 00:00 UTC'
    """
    return f"{day_of(at_us)}, {datetime.fromtimestamp(at_us / 1e6, UTC):%H:%M} UTC"


def number(value: float) -> str:
    """About three digits.

    >>> [number(value) for value in (0, 0.014, 0.94, 6.25, 48.6, 1234.5)]
    ['0', '0.01', '0.9', '6.2', '49', '1,234']
    """
    if value == 0:
        return "0"
    if abs(value) < 0.1:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 10 else f"{value:,.0f}"


def measured(value: float) -> str:
    """Two digits after the point where they matter.

    >>> measured(0.2277), measured(5.0)
    ('0.23', '5')
    """
    return f"{value:.2f}" if abs(value) < 1 else f"{value:g}"


def percent(share: float) -> str:
    """
    >>> percent(0.125) == tight('12 %'), percent(0.004) == tight('0.4 %')
    (True, True)
    """
    return tight(f"{100 * share:.1f} %" if 0 < share < 0.01 else f"{100 * share:.0f} %")


def tight(text: str) -> str:
    """Keep percent signs with their numbers.

    >>> tight('5 %') == '5\N{NO-BREAK SPACE}%'
    True
    """
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def counted(value: int, noun: str) -> str:
    """
    >>> counted(1, 'account'), counted(2_000, 'account')
    ('1 account', '2,000 accounts')
    """
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def clipped(text: str, length: int) -> str:
    """
    >>> clipped('Newsletter readers', 11)
    'Newsletter…'
    """
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
