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
    nearest = int(assigner.distances(now[None])[0].argmin())
    effect = _pull(assigner, now, own, nearest) - _pull(assigner, before, own, nearest)
    order = np.argsort(-effect, kind="stable")
    order = order[before[order] != now[order].astype(np.float32)]  # anchors are stored as float32
    prefixes = np.tile(now, (len(order), 1))
    for i, j in enumerate(order.tolist()):
        prefixes[i:, j] = before[j]
    distances = assigner.distances(prefixes)
    back = np.flatnonzero(distances.argmin(axis=1) == own)
    if not len(back):
        margin = assigner.hysteresis.margin
        back = np.flatnonzero(distances.min(axis=1) >= (1.0 - margin) * distances[:, own])
    enough = int(back[0]) + 1 if len(back) else len(order)
    return [_moved(j, before[j], now[j]) for j in order[:enough].tolist()]


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


def _pull(assigner: Assigner, vector: Floats, own: int, other: int) -> Floats:
    """Per dimension, how much nearer the other centre is than the own one (squared distances)."""
    scaled = assigner.scaled(vector)
    pull: Floats = np.square(scaled - assigner.centres[own]) - np.square(
        scaled - assigner.centres[other]
    )
    return pull
