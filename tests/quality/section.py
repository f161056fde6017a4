"""What every part of `make quality` returns: a table, and figures for the JSON object."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared" / "data"
"""Real data beside the clone; the parts that need it say so where it is missing."""


class DataMissing(Exception):
    """A file of `SHARED` is not there. The message names it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    quick: bool = False
    """Fewer seeds and shorter streams: for the test suite. The figures are then not those of the
    documentation."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a figure beside its target."""

    name: str
    value: float
    target: str = ""
    """In words, e.g. `>= 0.97`; empty: only for information."""
    passed: bool | None = None
    """None: there is no target."""
    note: str = ""


@dataclass(slots=True)
class Section:
    """One part of the evaluation."""

    title: str
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    """Figures of the JSON object, by key."""
    details: list[str] = field(default_factory=list)
    """Lines that are printed under the table, such as a curve."""

    def add(
        self,
        name: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        figure: str = "",
        note: str = "",
    ) -> None:
        """Add a row with its verdict; `figure` also puts the value into the JSON object."""
        target, passed = "", None
        if at_least is not None:
            target, passed = f">= {at_least:g}", value >= at_least
        if at_most is not None:
            target, passed = f"<= {at_most:g}", value <= at_most
        self.rows.append(Row(name, value, target, passed, note))
        if figure:
            self.figures[figure] = round(value, 6)
