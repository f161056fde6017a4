"""What a part of the benchmark returns: lines of tables, and figures for the JSON object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.measurement import Measurement


class LeftOut(Exception):
    """A part or a contender cannot run on this machine. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its target."""

    name: str
    measured: Measurement
    unit: str
    form: str = ",.0f"
    """How its numbers are written."""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """In words; empty: only for information."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target. None: there is none."""
        if self.at_least is not None:
            return self.measured.median >= self.at_least
        return self.measured.median <= self.at_most if self.at_most is not None else None


@dataclass(slots=True)
class Section:
    """One part."""

    title: str
    method: str
    """How it is measured, in a few sentences, for the page."""
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """Keys of the JSON object."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What could not be measured, and why."""

    def add(self, name: str, values: Measurement | float, unit: str, **more: Any) -> None:
        """Add a row."""
        measured = values if isinstance(values, Measurement) else Measurement((values,))
        self.rows.append(Row(name, measured, unit, **more))
