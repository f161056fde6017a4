"""One figure, measured several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measurement:
    """Values of the same figure, one per round."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Measurement:
        """From at least one value."""
        if not values:
            raise ValueError("a measurement needs a value")
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """What is quoted."""
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Least and largest."""
        return min(self.values), max(self.values)

    def over(self, other: Measurement) -> Measurement:
        """The ratio to another figure, round by round: so what disturbs a whole round cancels."""
        return Measurement(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def text(self, form: str = ",.0f") -> str:
        """Median and spread, for a table."""
        low, high = self.spread
        if len(self.values) == 1:
            return f"{self.median:{form}}"
        return f"{self.median:{form}} ({low:{form}} to {high:{form}})"
