"""Identity: which new centre is which old one, and what became of the others.

Decided by how the recent vectors flow from the old grouping to the new one: counts need no common
scale, and ids that follow the flow move as few accounts as can be.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from stream_app.features.values import Floats
from stream_app.segments.clusters import Clusters, Scale, crossed, jaccard, nearest
from stream_app.segments.snapshot import Lineage

_SAME = 0.25
"""Vectors that an old and a new group have in common, as a share of those in either of them, from
which they may be the same."""
_MOST = 0.5
"""Share of a group's vectors that must have come from, or gone to, another one to name it."""


def carried(
    old: Clusters | None, scale: Scale, centres: Floats, vectors: Floats, last_id: int
) -> Clusters:
    """New centres with ids: those of the old groups that they continue, else ids above `last_id`.

    The Hungarian method (Kuhn 1955) pairs old and new groups so that the pairs have the most in
    common. Groups without a past get ids by their share, largest first, so that equal data give
    equal ids.
    """
    scaled = scale.of(vectors)
    labels = nearest(scaled, centres)
    ids = [0] * len(centres)
    if old is not None:
        counts = crossed(old.positions(vectors), labels, len(old.ids), len(centres))
        common = jaccard(counts) * (counts > 0)
        for i, j in zip(*linear_sum_assignment(common, maximize=True), strict=True):
            if common[i, j] >= _SAME:
                ids[j] = old.ids[i]
    sizes = np.bincount(labels, minlength=len(centres))
    for j in sorted(range(len(centres)), key=lambda j: (-sizes[j], *centres[j].tolist())):
        if not ids[j]:
            last_id += 1
            ids[j] = last_id
    order = np.argsort(ids)
    return Clusters(tuple(sorted(ids)), scale, centres[order])


def lineage(
    old: Clusters, new: Clusters, vectors: Floats, names: Mapping[int, str]
) -> list[Lineage]:
    """What became of the old segments, by how recent vectors flow.

    Parameters
    ----------
    names
        Of all segments, old and new, by id.
    """
    counts = crossed(old.positions(vectors), new.positions(vectors), len(old.ids), len(new.ids))
    kept = set(old.ids) & set(new.ids)
    source = {
        new.ids[j]: old.ids[int(counts[:, j].argmax())]
        for j in range(len(new.ids))
        if new.ids[j] not in kept and counts[:, j].max() > _MOST * counts[:, j].sum()
    }
    found = [
        Lineage(kind="created", segment=id_, name=names[id_]) for id_ in new.ids if id_ not in kept
    ]
    for i, id_ in enumerate(old.ids):
        parts = [part for part, origin in source.items() if origin == id_]
        if parts:
            found.append(Lineage(kind="split", segment=id_, name=names[id_], others=parts))
        elif id_ not in kept:
            heir = int(counts[i].argmax())
            took_over = counts[i, heir] > _MOST * counts[i].sum() and new.ids[heir] in kept
            found.append(
                Lineage(
                    kind="merged" if took_over else "retired",
                    segment=id_,
                    name=names[id_],
                    others=[new.ids[heir]] if took_over else [],
                )
            )
    return found
