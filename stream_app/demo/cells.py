"""Lines made of cells with fixed widths: what the view is drawn with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from rich.cells import cell_len, set_cell_size
from rich.text import Text

_SPARKS = "▁▂▃▄▅▆▇█"

Cell = tuple[str, int, str]
"""Text, width in columns (above 0: text to the right, below 0: to the left), style."""


def padded(rows: Iterator[Text], count: int) -> list[Text]:
    """Exactly `count` lines."""
    taken = list(islice(rows, count))
    return taken + [Text()] * (count - len(taken))


def spread(left: Text, right: Text, width: int) -> Text:
    """Both in one line of `width` columns, at its two ends."""
    left.truncate(width - right.cell_len, pad=True)
    return left.append_text(right)


def row(*cells: Cell) -> Text:
    """A line of cells."""
    line = Text()
    for text, size, style in cells:
        line.append(fit(text, size), style)
    return line


def fit(text: str, size: int) -> str:
    """`text` in exactly |size| columns, to the right if size is above 0, cut with an ellipsis."""
    width = abs(size)
    if cell_len(text) > width:
        return set_cell_size(text, max(width - 1, 0)) + ("…" if width else "")
    room = " " * (width - cell_len(text))
    return room + text if size > 0 else text + room


def bar(share: float, width: int) -> str:
    """A bar of `width` columns, filled to its share."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def spark(history: tuple[int, ...]) -> str:
    """A line of blocks between the lowest and the highest value."""
    if len(history) < 2:
        return ""
    low, high = min(history), max(history)
    step = max(high - low, 1) / (len(_SPARKS) - 1)
    return "".join(_SPARKS[round((value - low) / step)] for value in history)
