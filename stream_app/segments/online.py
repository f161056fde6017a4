"""Online clustering: River's `StandardScaler | KMeans`, kept as good as batch by reviews.

Until enough vectors have arrived there are no centres. Then k-means++ chooses them, and from there
every vector moves its centre a little. That alone falls short of batch: few vectors make a bad
start, and a centre cannot leave the group that it is in. So the centres are reviewed (`eras`):
a batch fit on the recent vectors takes their place if it is clearly better. The scale is part of
a fit and stays as it is until the next, so that in the meantime only centres move.

Knows nothing of accounts: vectors have any number of dimensions, known by their position.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import msgspec
import numpy as np
from river import cluster, preprocessing

from stream_app.events.instants import DAY
from stream_app.features.values import Floats
from stream_app.segments.clusters import CLIP, Clusters, SavedClusters, Scale
from stream_app.segments.drift import DriftAlarm
from stream_app.segments.eras import Era, is_young
from stream_app.segments.matching import carried
from stream_app.segments.review import Limits, better_centres
from stream_app.segments.snapshot import Cause

_WINDOW = 4_000
"""Recent vectors that are kept for reviews."""
_WINDOW_US = 14 * DAY
"""Where there are more vectors than the window holds, it holds a sample of so long a time: whole
weeks, because people work in a weekly rhythm."""
_WEEK_US = 7 * DAY
"""A fit looks at whole weeks at least, even if they began before the era."""
_REACH = 1.5
"""A vector that is further from its centre pulls no harder than from here; in units of how far
vectors lie from their common mean, the root of the number of dimensions."""
_LARGEST = 1e38
"""What the window's 32-bit floats can hold."""
_GOLDEN_RATIO = (sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class Refit:
    """What a review found: clearly better centres."""

    cause: Cause
    clusters: Clusters
    """A centre that is still there keeps its id."""


class State(msgspec.Struct):
    """What goes on after a restart, beside the window and the centres."""

    vectors: int = 0
    """Learnt so far."""
    skipped: int = 0
    """Left out because a coordinate was no number, or beyond all bounds."""
    first_us: int = 0
    latest_us: int = 0
    last_id: int = 0
    """The highest id ever given."""
    reviews: int = 0
    alarms: int = 0
    era: Era = msgspec.field(default_factory=Era)
    alarm: DriftAlarm = msgspec.field(default_factory=DriftAlarm)


class Saved(msgspec.Struct, frozen=True):
    """Everything, as JSON has it."""

    state: State
    window_us: list[int]
    window: bytes
    """Vectors of the window, one after the other, as little-endian 32-bit floats."""
    clusters: SavedClusters | None
    declined: SavedClusters | None


class OnlineClusters:
    """Learns vectors one by one; deterministic for a sequence of vectors and a seed."""

    def __init__(self, limits: Limits, step: float, saved: Saved | None = None) -> None:
        self.limits = limits
        self.state = State()
        self._scaler = preprocessing.StandardScaler()
        self._kmeans = cluster.KMeans(n_clusters=0, halflife=step)
        self._scale: Scale | None = None
        self._declined: Clusters | None = None
        size = max(_WINDOW, limits.warm_start)
        self._window: deque[tuple[int, list[float]]] = deque(maxlen=size)
        if saved is not None:
            self._restore(saved)

    @property
    def clusters(self) -> Clusters | None:
        """The centres as they are now; None before the warm start."""
        if self._scale is None:
            return None
        ids = sorted(self._kmeans.centers)
        dimensions = range(len(self._scale.mean))
        centres = np.array([[self._kmeans.centers[i][j] for j in dimensions] for i in ids])
        return Clusters(tuple(ids), self._scale, centres)

    def predict(self, vector: Sequence[float]) -> int | None:
        """Id of the nearest centre; None before the warm start."""
        found: int | None = self._kmeans.predict_one(self._scaled(vector)) if self._scale else None
        return found

    def learn(self, vector: Sequence[float], at_us: int) -> Refit | None:
        """Learn one vector. Returns better centres when a review has found some: `adopt` or
        `decline` them."""
        state = self.state
        if not all(abs(x) <= _LARGEST for x in vector):  # false for what is no number, too
            state.skipped += 1
            return None
        state.vectors += 1
        state.first_us = min(state.first_us or at_us, at_us)
        state.latest_us = max(state.latest_us, at_us)
        state.era.first_us = state.era.first_us or at_us
        if self._is_kept():
            self._window.append((at_us, np.array(vector, np.float32).tolist()))
        if self._scale:
            self._move(vector)
        if state.era.due(state.vectors, state.latest_us, self.limits.warm_start):
            return self._review()
        return None

    def refit(self) -> Refit | None:
        """Fit anew, better or not; None before the warm start."""
        return self._review(requested=True) if self._scale else None

    def _move(self, vector: Sequence[float]) -> None:
        """Move the nearest centre toward a vector, and watch how far away vectors are."""
        state, x = self.state, self._scaled(vector)
        before = self._kmeans.predict_one(x)
        centre = self._kmeans.centers[before]
        distance = sqrt(sum((x[j] - centre[j]) ** 2 for j in x))
        # On the way to the vector, and so with the same nearest centre.
        part = min(1.0, _REACH * sqrt(len(x)) / max(distance, 1e-12))
        self._kmeans.learn_one({j: centre[j] + part * (x[j] - centre[j]) for j in x})
        if state.alarm.rings(sorted(self._kmeans.centers), before, distance, state.latest_us):
            state.alarms += 1
            if state.era.next_vectors:  # else the review that the last alarm called for is to come
                age_us = state.latest_us - state.first_us
                young = is_young(state.vectors, age_us, self.limits.warm_start)
                state.era = Era(state.vectors, state.latest_us, "growth" if young else "drift")

    def _review(self, *, requested: bool = False) -> Refit | None:
        state, limits, present = self.state, self.limits, self.clusters
        cause: Cause = state.era.cause if present else "warm_start"
        cause = "requested" if requested else cause
        recent = self.recent()
        rivals = [c for c in (present, self._declined) if c is not None]
        demand = state.era.demand(state.latest_us)
        found = better_centres(recent, rivals, limits, demand=demand, at_any_rate=requested)
        state.reviews += 1
        state.era.reviewed(state.vectors, state.latest_us, limits.warm_start)
        if found is None:
            return None
        refit = Refit(cause, carried(present, *found, recent, state.last_id))
        state.last_id = max(state.last_id, *refit.clusters.ids)
        return refit

    def recent(self) -> Floats:
        """The recent vectors that a fit looks at, (n, dimensions): those of the era, or of the last
        week where the era is younger."""
        from_us = min(self.state.era.first_us, self.state.latest_us - _WEEK_US)
        return np.array([vector for at_us, vector in self._window if at_us >= from_us])

    def adopt(self, clusters: Clusters) -> None:
        """Go on from these centres."""
        self.state.last_id = max(self.state.last_id, *clusters.ids)
        self.state.alarm.forget()
        self._declined = None
        self._place(clusters)

    def decline(self, clusters: Clusters | None) -> None:
        """Go on without these centres; the next refit must be clearly better than they, too."""
        self._declined = clusters

    def _place(self, clusters: Clusters) -> None:
        scale = self._scale = clusters.scale
        self._scaler = preprocessing.StandardScaler()
        self._scaler.means.update(enumerate(scale.mean.tolist()))
        self._scaler.vars.update(enumerate(np.square(scale.deviation).tolist()))
        self._kmeans.n_clusters = len(clusters.ids)
        self._kmeans.centers = {
            id_: defaultdict(float, enumerate(centre))
            for id_, centre in zip(clusters.ids, clusters.centres.tolist(), strict=True)
        }

    def _scaled(self, vector: Sequence[float]) -> dict[int, float]:
        scaled: dict[int, float] = self._scaler.transform_one(dict(enumerate(vector)))
        return {j: min(max(x, -CLIP), CLIP) for j, x in scaled.items()}

    def _is_kept(self) -> bool:
        """Whether the newest vector is among those that the window holds a sample of. The multiples
        of the golden ratio spread evenly over [0, 1), whatever came before a restart."""
        state = self.state
        age_us = max(state.latest_us - state.first_us, 1)
        in_time = state.vectors * min(1.0, _WINDOW_US / age_us)
        return state.vectors * _GOLDEN_RATIO % 1.0 * in_time < (self._window.maxlen or 0)

    def saved(self) -> Saved:
        """Everything that a restart needs."""
        return Saved(
            state=self.state,
            window_us=[at_us for at_us, _ in self._window],
            window=np.array([v for _, v in self._window], "<f4").tobytes(),
            clusters=_saved(self.clusters),
            declined=_saved(self._declined),
        )

    def _restore(self, saved: Saved) -> None:
        self.state = saved.state
        if saved.window_us:
            vectors = np.frombuffer(saved.window, "<f4").reshape(len(saved.window_us), -1)
            self._window.extend(zip(saved.window_us, vectors.tolist(), strict=True))
        if saved.clusters is not None:
            self._place(saved.clusters.clusters())
        self._declined = saved.declined.clusters() if saved.declined else None


def _saved(clusters: Clusters | None) -> SavedClusters | None:
    return SavedClusters.of(clusters) if clusters else None
