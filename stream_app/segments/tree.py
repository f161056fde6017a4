"""A tree of a few questions that agrees with given labels as far as it can."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Labels = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Question = tuple[int, float]
"""(column, threshold): is the value below the threshold?"""

_DEEP = 6
"""Depth of the tree whose questions are tried."""
_TRIED = 1_000
"""Rows on which a question is tried, at most."""
_SMALLEST = 0.005
"""Share of the rows that a leaf must hold."""
_DIGITS = 2
"""Significant digits of a threshold: people read 12, not 11.7342."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where answers lead."""

    label: int
    """The most frequent label there."""
    agreeing: int
    """Rows with that label."""
    size: int
    """Rows."""
    bounds: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Column -> (at least, less than)."""

    def narrowed(self, column: int, least: float, below: float) -> Leaf:
        """The same leaf under one more question."""
        low, high = self.bounds.get(column, (-inf, inf))
        narrower = {column: (max(low, least), min(high, below))}
        return Leaf(self.label, self.agreeing, self.size, self.bounds | narrower)


def grow(values: npt.NDArray[np.float64], labels: Labels, depth: int) -> list[Leaf]:
    """The leaves of a tree of so many questions at most. Deterministic.

    Parameters
    ----------
    values
        (n, columns), n > 0, in random order: questions are tried on the first rows.
    labels
        (n,) from 0.
    """
    least = max(1, int(_SMALLEST * len(values)))
    with threadpool_limits(limits=1):
        return _grow(values.astype(np.float32), labels, depth, least)


def _grow(values: Singles, labels: Labels, depth: int, least: int) -> list[Leaf]:
    """A usual tree asks what leaves the purest halves, and that is often not the question after
    which the remaining ones say most. So each question that a deep tree would ask is tried, and
    judged by what the usual trees below it put right."""
    counts = np.bincount(labels)
    leaf = Leaf(int(counts.argmax()), int(counts.max()), len(labels))
    if not depth or leaf.agreeing == leaf.size:
        return [leaf]
    tried = [(_promise(values, labels, q, depth - 1), q) for q in _questions(values, labels, least)]
    if not tried:
        return [leaf]
    _, (column, threshold) = max(tried)
    low = values[:, column] < threshold
    below = _grow(values[low], labels[low], depth - 1, least)
    above = _grow(values[~low], labels[~low], depth - 1, least)
    if len(below) == len(above) == 1 and below[0].label == above[0].label:
        return [leaf]
    return [x.narrowed(column, -inf, threshold) for x in below] + [
        x.narrowed(column, threshold, inf) for x in above
    ]


def _questions(values: Singles, labels: Labels, least: int) -> list[Question]:
    """Every question in a deep tree, with a threshold that people can read, if enough rows lie on
    both of its sides."""
    asked = set()
    for criterion in ("gini", "entropy"):
        tree = _tree(values, labels, _DEEP, least, criterion)
        inner = tree.children_left >= 0
        for column, threshold in zip(tree.feature[inner], tree.threshold[inner], strict=True):
            asked.add((int(column), float(f"{threshold:.{_DIGITS}g}")))
    below = {q: int((values[:, q[0]] < q[1]).sum()) for q in asked}
    return sorted(q for q in asked if least <= below[q] <= len(values) - least)


def _promise(values: Singles, labels: Labels, question: Question, depth: int) -> int:
    """How many rows the usual trees below a question put right."""
    values, labels = values[:_TRIED], labels[:_TRIED]
    column, threshold = question
    low = values[:, column] < threshold
    return sum(_right(values[half], labels[half], depth) for half in (low, ~low) if half.any())


def _right(values: Singles, labels: Labels, depth: int) -> int:
    """How many rows a usual tree puts right."""
    if not depth:
        return int(np.bincount(labels).max())
    tree = _tree(values, labels, depth, max(1, int(_SMALLEST * len(values))), "gini")
    leaves = tree.children_left < 0
    shares = tree.value[leaves, 0].max(axis=1)
    return round(float((shares * tree.n_node_samples[leaves]).sum()))


def _tree(
    values: Singles, labels: Labels, depth: int, least: int, criterion: Literal["gini", "entropy"]
) -> Any:
    """scikit-learn's tree as arrays, by node."""
    # Imported late: it takes a second, and only the trainer needs it.
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    tree = DecisionTreeClassifier(
        criterion=criterion, max_depth=depth, min_samples_leaf=least, random_state=0
    )
    return tree.fit(values, labels, check_input=False).tree_
