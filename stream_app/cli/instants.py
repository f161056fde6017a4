"""Instants as options have them: `2h` for two hours ago, or RFC 3339."""

from __future__ import annotations

import re

from stream_app.errors import UsageError
from stream_app.events.instants import DAY, HOUR, MINUTE, SECOND, parse

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_AGO = re.compile(r"(\d{1,6})([smhd])")


def since_us(text: str, now_us: int) -> int:
    """Microseconds since 1970 of the instant that `text` means at `now_us`.

    >>> since_us("2h", 3 * HOUR) == HOUR
    True
    >>> since_us("1970-01-02", 0) == DAY
    True

    Raises
    ------
    UsageError
        It is neither of the two.
    """
    if ago := _AGO.fullmatch(text):
        return max(now_us - int(ago.group(1)) * _UNITS[ago.group(2)], 0)
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(
            str(error), hint="write 90s, 15m, 2h or 3d, or 2026-01-31T12:00:00Z"
        ) from None
