"""The best decision tree of three questions: it agrees with given labels as often as one can.

The usual way (CART) takes the question that leaves the purest halves, which is often not the one
after which two more say most: with six to eight labels it lost up to a tenth of the rows. So all
trees over a set of sensible questions are compared. Counting how often each pair of questions is
answered in each way makes that cheap, as in Demirović et al., "MurTree: Optimal Decision Trees via
Dynamic Programming and Search" (JMLR 23, 2022).
"""

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
Bounds = dict[int, tuple[float, float]]
"""Column -> (at least, less than)."""

_DEEP = 5
"""Depth of the usual trees whose questions are the sensible ones."""
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
    bounds: Bounds = field(default_factory=dict)

    def holds(self, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which of (n, columns) rows lead here."""
        held = np.ones(len(values), bool)
        for column, (least, below) in self.bounds.items():
            held &= (values[:, column] >= least) & (values[:, column] < below)
        return held


@dataclass(frozen=True, slots=True)
class _Two:
    """A tree of two questions, by their numbers."""

    right: float
    """Rows that it puts right."""
    first: int
    after_yes: int
    after_no: int


def grow(values: npt.NDArray[np.float64], labels: Labels) -> list[Leaf]:
    """The leaves of the best tree. Deterministic.

    Parameters
    ----------
    values
        (n, columns), n > 0.
    labels
        (n,) from 0.
    """
    with threadpool_limits(limits=1):
        questions = _questions(values, labels)
        bounds = _best(values, labels, questions)
    leaves = []
    for bound in bounds:
        mine = np.bincount(labels[Leaf(0, 0, 0, bound).holds(values)], minlength=1)
        if mine.sum():
            leaves.append(Leaf(int(mine.argmax()), int(mine.max()), int(mine.sum()), bound))
    return leaves


def _questions(values: npt.NDArray[np.float64], labels: Labels) -> list[Question]:
    """Every question of two deep trees, with a threshold that people can read."""
    # Imported late: it takes a second, and only the trainer needs it.
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    asked = set()
    criteria: tuple[Literal["gini", "entropy"], ...] = ("gini", "entropy")
    for criterion in criteria:
        tree = (
            DecisionTreeClassifier(
                criterion=criterion,
                max_depth=_DEEP,
                min_samples_leaf=max(1, int(_SMALLEST * len(values))),
                random_state=0,
            )
            .fit(values, labels)
            .tree_
        )
        inner = tree.children_left >= 0
        for column, threshold in zip(tree.feature[inner], tree.threshold[inner], strict=True):
            asked.add((int(column), float(f"{threshold:.{_DIGITS}g}")))
    return sorted(asked)


def _best(
    values: npt.NDArray[np.float64], labels: Labels, questions: list[Question]
) -> list[Bounds]:
    """Bounds of the leaves of the best tree over these questions."""
    # Question 0 is always answered with yes: to ask it is to ask nothing.
    yes = np.ones((len(values), len(questions) + 1), np.float32)
    for i, (column, threshold) in enumerate(questions, 1):
        yes[:, i] = values[:, column] < threshold
    kinds = [yes[labels == label] for label in range(int(labels.max()) + 1)]
    least = max(1, int(_SMALLEST * len(values)))
    everywhere = _pairs(kinds)
    best: tuple[float, int, _Two, _Two] | None = None
    for first in range(len(questions) + 1):
        low = _pairs([rows[rows[:, first] > 0] for rows in kinds])
        below, above = _two(low, least), _two(everywhere - low, least)
        score = below.right + above.right
        if best is None or score > best[0]:
            best = score, first, below, above
    assert best is not None
    _, first, below, above = best
    paths = [
        ((first, answer), (two.first, again), (two.after_yes if again else two.after_no, last))
        for answer, two in ((True, below), (False, above))
        for again in (True, False)
        for last in (True, False)
    ]
    return [_bounds(path, questions) for path in paths if (0, False) not in path]


def _bounds(path: tuple[tuple[int, bool], ...], questions: list[Question]) -> Bounds:
    """What answers say together."""
    bounds: Bounds = {}
    for number, answer in path:
        if number:
            column, threshold = questions[number - 1]
            low, high = bounds.get(column, (-inf, inf))
            narrower = (low, min(high, threshold)) if answer else (max(low, threshold), high)
            bounds[column] = narrower
    return bounds


def _pairs(kinds: list[Singles]) -> Singles:
    """(questions, questions, labels): rows of a label that answer both questions with yes."""
    return np.stack([rows.T @ rows for rows in kinds], axis=2)


def _two(pairs: Singles, least: int) -> _Two:
    """The best tree of two questions."""
    ones, total = pairs[:, 0], pairs[0, 0]
    after_yes = _right(pairs, ones[:, None] - pairs, least)
    no_yes = ones[None] - pairs
    after_no = _right(no_yes, (total - ones)[:, None] - no_yes, least)
    first = int((after_yes.max(axis=1) + after_no.max(axis=1)).argmax())
    return _Two(
        float(after_yes[first].max() + after_no[first].max()),
        first,
        int(after_yes[first].argmax()),
        int(after_no[first].argmax()),
    )


def _right(yes: Singles, no: Singles, least: int) -> Singles:
    """(first, second): rows that two leaves put right; minus infinity where one is too small."""
    small = np.zeros(yes.shape[:2], bool)
    for leaf in (yes, no):
        size = leaf.sum(axis=2)
        small |= (size > 0) & (size < least)
    right: Singles = np.where(small, np.float32(-inf), yes.max(axis=2) + no.max(axis=2))
    return right
