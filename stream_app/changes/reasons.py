"""Why an account changed its segment: the few features that moved it, before and now."""

from __future__ import annotations

import numpy as np

from stream_app.changes.types import Moved
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats
from stream_app.segments.snapshot import Assigner


def why(assigner: Assigner, previous: int, before: Floats, now: Floats) -> list[Moved]:
    """The features that moved an account, strongest first.

    The list is the shortest prefix, in order of effect, such that putting these features back to
    their former values makes the previous segment's centre the nearest again. Where even all of
    them do not (the former vector lay just outside of a border that it had not left), it is enough
    that the account would stay there. When the previous segment is not part of the model any more
    there is nothing to go back to, and the list is empty.

    Parameters
    ----------
    assigner
        The model that decided.
    previous
        Id of the segment that was left.
    before, now
        Model vectors when the previous segment was entered (or a new model redrew it) and at the
        decision.
    """
    own = assigner.index.get(previous)
    if own is None:
        return []
    then, here = before.tolist(), now.tolist()
    stored = now.astype(np.float32).tolist()  # as the former values were stored
    order = [j for j in _by_effect(assigner, own, then, here) if then[j] != stored[j]]
    enough = _enough(assigner, own, then, here, order)
    return [_moved(j, then[j], here[j]) for j in order[:enough]]


def _by_effect(assigner: Assigner, own: int, then: list[float], here: list[float]) -> list[int]:
    """Dimensions by how much more the centre that is nearest now pulls than it did then."""
    distances = assigner.distances_of(here)
    nearest = distances.index(min(distances))
    centres = zip(assigner.centres[own].tolist(), assigner.centres[nearest].tolist(), strict=True)
    scaled = zip(assigner.scaled_one(then), assigner.scaled_one(here), strict=True)
    # Per dimension: how much nearer the other centre is (squared distances), then less now.
    lost = [
        ((x - mine) * (x - mine) - (x - other) * (x - other))
        - ((y - mine) * (y - mine) - (y - other) * (y - other))
        for (x, y), (mine, other) in zip(scaled, centres, strict=True)
    ]
    return sorted(range(len(lost)), key=lost.__getitem__)


def _enough(
    assigner: Assigner, own: int, then: list[float], here: list[float], order: list[int]
) -> int:
    """How many of these dimensions, in their order, must be put back for the account to be back."""
    restored = list(here)
    tried = []
    for count, j in enumerate(order, 1):
        restored[j] = then[j]
        distances = assigner.distances_of(restored)
        if distances.index(min(distances)) == own:
            return count
        tried.append(distances)
    keeps = 1.0 - assigner.hysteresis.margin
    stays = (n for n, found in enumerate(tried, 1) if min(found) >= keeps * found[own])
    return next(stays, len(order))


def _moved(dimension: int, before: float, now: float) -> Moved:
    named = MODEL_VECTOR[dimension]
    return Moved(
        feature=named.name,
        label=named.label,
        unit=named.unit,
        before=_in_units(before),
        now=_in_units(now),
    )


def _in_units(coordinate: float) -> float:
    """
    >>> _in_units(float(np.log1p(21.756))), _in_units(-1e-9)
    (21.76, 0.0)
    """
    return max(0.0, round(float(np.expm1(coordinate)), 2))
