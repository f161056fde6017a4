"""A small decision tree that says nearly the same as the model, as sentences in plain units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats
from stream_app.segments.snapshot import Assigner, Snapshot
from stream_app.segments.tree import Labels, Leaf, grow

_SAMPLE = 4_000
"""Vectors that a tree is grown and measured on, at most."""
_HELD_OUT = 0.3
"""Share of them that it is measured on."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The tree as a list of rules. Exactly one of them speaks of any account."""

    leaves: tuple[Leaf, ...]
    """Those that speak of most accounts first. Columns are the model's dimensions in their units,
    labels are positions among the snapshot's segments."""
    fidelity: float | None
    """Share of vectors that the tree was not grown on and that it puts where the model does;
    None: there were too few."""

    def say(self, values: Floats) -> Labels:
        """Position of the segment that the rules name, for each of (n, dimensions) plain values."""
        said = np.zeros(len(values), np.int64)
        for leaf in self.leaves:
            said[leaf.holds(values)] = leaf.label
        return said

    def sentences(self, names: Sequence[str]) -> list[str]:
        """The rules in words; `names` are the segments', in the snapshot's order.

        The share is that of the accounts a rule speaks of that are in the segment it names.
        """
        return [
            f"{_conditions(leaf)}: {names[leaf.label]} ({leaf.agreeing / leaf.size:.0%})".replace(
                "%", " %"
            )
            for leaf in self.leaves
        ]


def rules_of(snapshot: Snapshot, recent: Floats, seed: int) -> Rules:
    """Grow a tree on what the model says of recent vectors. Deterministic.

    Parameters
    ----------
    recent
        (n, dimensions) unscaled model vectors, n >= 0. Of many, a random sample is taken.
    """
    vectors = recent[np.random.default_rng(seed).permutation(len(recent))[:_SAMPLE]]
    labels: Labels = Assigner(snapshot).distances(vectors).argmin(axis=1)
    values = plain(vectors)
    held_out = int(_HELD_OUT * len(values))
    if not held_out:
        return Rules((), None)
    leaves = grow(values[held_out:], labels[held_out:])
    rules = Rules(tuple(sorted(leaves, key=lambda leaf: -leaf.size)), None)
    agreeing = rules.say(values[:held_out]) == labels[:held_out]
    return Rules(rules.leaves, float(agreeing.mean()))


def plain(vectors: Floats) -> Floats:
    """Unscaled model vectors in their dimensions' units."""
    values: Floats = np.maximum(np.expm1(vectors), 0.0)
    return values


def named_in(sentence: str) -> str:
    """The segment that one of `Rules.sentences` names, whatever people call it.

    >>> named_in("pricing pages < 4 and active people >= 2: Big: (the best) (75 %)")
    'Big: (the best)'
    """
    return sentence.partition(": ")[2].rpartition(" (")[0]


def _conditions(leaf: Leaf) -> str:
    parts = []
    for column, (least, below) in sorted(leaf.bounds.items()):
        label = MODEL_VECTOR[column].label
        if least == -inf:
            parts.append(f"{label} < {below:g}")
        elif below == inf:
            parts.append(f"{label} >= {least:g}")
        else:
            parts.append(f"{label} from {least:g} to {below:g}")
    return " and ".join(parts) or "any account"
