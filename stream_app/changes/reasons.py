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
    their former values puts the account back into its previous segment under the assignment's own
    rule: no other centre nearer by the margin. When the previous segment is not part of the model
    any more there is nothing to go back to, and the list is empty.

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
    restored, named = now.copy(), []
    for j in np.argsort(-effect, kind="stable").tolist():
        if before[j] == np.float32(now[j]):  # anchors are stored as float32
            continue
        restored[j] = before[j]
        dimension = MODEL_VECTOR[j]
        named.append(
            Moved(
                feature=dimension.name,
                label=dimension.label,
                unit=dimension.unit,
                before=round(float(np.expm1(before[j])), 2),
                now=round(float(np.expm1(now[j])), 2),
            )
        )
        distances = assigner.distances(restored[None])[0]
        if not distances.min() < (1.0 - assigner.margin) * distances[own]:
            break
    return named


def _pull(assigner: Assigner, vector: Floats, own: int, other: int) -> Floats:
    """Per dimension, how much nearer the other centre is than the own one (squared distances)."""
    scaled = assigner.scaled(vector)
    pull: Floats = np.square(scaled - assigner.centres[own]) - np.square(
        scaled - assigner.centres[other]
    )
    return pull
