"""Batch k-means over collected vectors: the centres of a number of groups.

On one thread: so little data gains nothing from more, which on a busy machine cost seconds of
spinning, and the result must not depend on how many cores there are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from stream_app.features.values import Floats

_STARTS = 10
"""Starts of k-means++ of which the best is kept."""
_STRAY = 0.005
"""A group with a smaller share of the vectors is no group: its vectors are left out."""
_FEW = 3
"""The same of a group with fewer vectors."""


def centres_of(scaled: Floats, k: int, seed: int, starts: int = _STARTS) -> Floats:
    """Centres of k groups, by k-means++ with several starts.

    Fewer come out where fewer vectors differ. A group that would hold a few strays only is none:
    these are left out, and the rest is grouped again.
    """
    # Imported late: it takes a second, and only the trainer needs it.
    from sklearn.cluster import KMeans  # noqa: PLC0415

    while True:
        wanted = _different(scaled, k)
        with _one_thread():
            fitted = KMeans(wanted, n_init=starts, random_state=seed).fit(scaled)
        counts = np.bincount(fitted.labels_, minlength=wanted)
        strays = counts < max(_STRAY * len(scaled), _FEW)
        if not strays.any() or strays.all():
            centres: Floats = fitted.cluster_centers_
            return centres
        scaled = scaled[~strays[fitted.labels_]]


def _different(scaled: Floats, enough: int) -> int:
    """How many vectors differ by more than rounding, counted up to `enough`."""
    found: set[bytes] = set()
    for row in np.round(scaled, 4) + 0.0:  # which makes -0.0 to 0.0
        found.add(row.tobytes())
        if len(found) == enough:
            break
    return len(found)


@cache
def _threads() -> ThreadpoolController:
    """To look for the libraries that have threads takes as long as a fit."""
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    limited: AbstractContextManager[object] = _threads().limit(limits=1)
    return limited
