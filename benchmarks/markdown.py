"""Tables and rounded figures for pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, log10


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Two digits that count: `120,000`, `3.1`, `0.05`."""
    if value <= 0:
        return "0"
    digits = 1 - floor(log10(value))
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if digits <= 0 else f"{rounded:.{digits}f}"


def rate_of(bytes_per_second: float) -> str:
    """Bytes a second."""
    return f"{number(bytes_per_second / 1e6)} MB/s"


def time_of(seconds: float) -> str:
    """Seconds, or minutes from two on, or hours."""
    if seconds < 120:
        return f"{number(seconds)} s"
    return f"{number(seconds / 60)} min" if seconds < 7_200 else f"{number(seconds / 3_600)} h"
