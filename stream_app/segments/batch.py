"""Batch k-means over collected vectors: the warm start of the online model, and its polish.

On one thread: so little data gains nothing from more, which on a busy machine cost seconds of
spinning, and the result must not depend on how many cores there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from stream_app.features.values import Floats

_SILHOUETTE_SAMPLE = 1_000
"""Vectors on which the number of segments is judged; silhouette is quadratic."""


def choose_centres(scaled: Floats, least: int, most: int, seed: int) -> Floats:
    """Centres of k-means++ with the number of segments that has the best silhouette.

    Parameters
    ----------
    scaled
        (n, dimensions) standardised vectors.
    least, most
        Limits for the number of segments; fewer come out when there are fewer different vectors.
    """
    # Imported late: it takes a second, and only the trainer needs it.
    from sklearn.cluster import KMeans  # noqa: PLC0415

    different = len(np.unique(scaled, axis=0))
    best: tuple[float, Floats] | None = None
    for k in range(min(least, different), min(most, different) + 1):
        with threadpool_limits(limits=1):
            fitted = KMeans(k, n_init=5, random_state=seed).fit(scaled)
            score = _silhouette(scaled, fitted.labels_, seed)
        if best is None or score > best[0]:
            best = score, fitted.cluster_centers_
    assert best is not None
    return best[1]


def _silhouette(scaled: Floats, labels: npt.NDArray[np.int32], seed: int) -> float:
    """Silhouette of a sample, -1 where it is not defined: a sample may miss all small segments."""
    from sklearn.metrics import silhouette_score  # noqa: PLC0415
    from sklearn.utils import check_random_state  # noqa: PLC0415

    sample = check_random_state(seed).permutation(len(scaled))[:_SILHOUETTE_SAMPLE]
    if not 1 < len(np.unique(labels[sample])) < len(sample):
        return -1.0
    return float(silhouette_score(scaled[sample], labels[sample]))


def polish_centres(scaled: Floats, centres: Floats) -> Floats:
    """Lloyd's algorithm from existing centres; a centre that loses all vectors stays put."""
    from sklearn.cluster import KMeans  # noqa: PLC0415

    with threadpool_limits(limits=1):
        fitted = KMeans(len(centres), init=centres, n_init=1).fit(scaled)
    polished: Floats = fitted.cluster_centers_
    counts: npt.NDArray[np.int64] = np.bincount(fitted.labels_, minlength=len(centres))
    polished[counts == 0] = centres[counts == 0]
    return polished
