"""One colour and one sign per segment, the same everywhere on the page.

The colours are those of Matthew Petroff, "Accessible Color Sequences for Data Visualization" (2021,
arXiv 2107.02270), made to be told apart with colour-blind eyes; the palest come last, and its greys
are kept for accounts that are in no segment. The signs tell segments apart where there is no colour
at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stream_app.report.history import GONE, NEW
from stream_app.segments.snapshot import UNSEGMENTED

_COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#a96b59", "#e76300", "#92dadd", "#b9ac70",
)  # fmt: skip
_SIGNS = (
    "circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "x", "star",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """How a segment is drawn."""

    colour: str
    """#rrggbb"""
    sign: str
    """A marker of plotly's."""

    def veil(self, opacity: float) -> str:
        """The colour, to be seen through."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


_GREY = {
    UNSEGMENTED: Look("#94a4a2", "circle-open"),
    NEW: Look("#c3cac9", "circle-open"),
    GONE: Look("#717581", "circle-open"),
}


def looks(segments: Iterable[int]) -> dict[int, Look]:
    """A look for each segment, in the order of importance.

    A segment gets the colour of its id, so that it has the same in the next report too, unless a
    more important one has it; then the next free one. From the ninth segment on they are shared.

    >>> [look.colour for look in looks([1, 9, 2]).values()][:3]
    ['#3f90da', '#ffa90e', '#bd1f01']
    """
    found = {}
    free = list(range(len(_COLOURS)))
    for segment in segments:
        if segment in _GREY:
            continue
        wanted = (segment - 1) % len(_COLOURS)
        taken = min(free, key=lambda i: (i - wanted) % len(_COLOURS)) if free else wanted
        if free:
            free.remove(taken)
        found[segment] = Look(_COLOURS[taken], _SIGNS[taken])
    return found | _GREY
