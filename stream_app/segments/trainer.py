"""The trainer: River's `StandardScaler | KMeans`, learning from account vectors, and its snapshots.

The two are called one after the other, as River's pipeline does it, because the pipeline does not
tell which centre a vector moved.

Until enough vectors have arrived there is no model. Then k-means++ chooses the centres, which
become those of River's online k-means; from there every vector moves its centre a little. While
the history is still young the centres are polished whenever the number of vectors has doubled,
because accounts that were all new have become accounts with different pasts.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec
import numpy as np
from river import cluster, preprocessing

from stream_app.errors import Incompatible
from stream_app.events.instants import to_rfc3339
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.features.values import Floats
from stream_app.segments.batch import choose_centres, polish_centres
from stream_app.segments.names import name_segments
from stream_app.segments.snapshot import SegmentModel, Snapshot
from stream_app.settings import SegmentSettings

_NAMES = [dimension.name for dimension in MODEL_VECTOR]
_RECENT = 5_000
"""Vectors kept for a polish."""
_LAST_POLISH = 64_000
"""Vectors after which the centres are left to the online model."""
_SHARE_STEP = 0.001
"""Weight of one vector in a segment's share."""


class _Checkpoint(msgspec.Struct):
    """The trainer's whole state, as JSON."""

    catalogue: str
    version: int
    vectors: int
    issued_at_vector: int
    polish_at_vector: int
    first_us: int
    latest_us: int
    recent: list[list[float]]
    counts: dict[str, float]
    means: dict[str, float]
    variances: dict[str, float]
    centres: dict[int, dict[str, float]]
    shares: dict[int, float]
    names: dict[int, tuple[str, str]]
    issued: list[list[float]]


class Trainer:
    """Learns vectors one by one; deterministic for a sequence of vectors and a seed."""

    def __init__(self, settings: SegmentSettings, checkpoint: bytes | None = None) -> None:
        self._settings = settings
        self._scaler = preprocessing.StandardScaler()
        self._kmeans = cluster.KMeans(n_clusters=0, halflife=settings.halflife)
        self._recent: deque[list[float]] = deque(maxlen=max(_RECENT, settings.warm_start_vectors))
        self._shares: dict[int, float] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._issued: Floats = np.empty((0, len(_NAMES)))
        self.version = 0
        """Of the last snapshot issued; 0: none."""
        self.vectors = 0
        """Learnt so far."""
        self._issued_at = self._polish_at = 0
        self._first_us = self._latest_us = 0
        if checkpoint is not None:
            self._restore(checkpoint)

    @property
    def warm(self) -> bool:
        """Whether there is a model."""
        return bool(self._kmeans.centers)

    def learn(self, vectors: Sequence[Sequence[float]], at_us: Sequence[int]) -> Snapshot | None:
        """Learn vectors in order; returns a snapshot when one is due, else None.

        Parameters
        ----------
        vectors
            Unscaled model vectors.
        at_us
            Instant of each.
        """
        for vector, instant in zip(vectors, at_us, strict=True):
            self._learn_one(vector, instant)
        return self._snapshot() if self._due() else None

    def _learn_one(self, vector: Sequence[float], at_us: int) -> None:
        x = dict(zip(_NAMES, vector, strict=True))
        self._first_us = min(self._first_us or at_us, at_us)
        self._latest_us = max(self._latest_us, at_us)
        self.vectors += 1
        self._recent.append(list(vector))
        if not self.warm:
            self._scaler.learn_one(x)
            if self.vectors >= self._settings.warm_start_vectors:
                self._warm_start()
            return
        self._scaler.learn_one(x)
        nearest = self._kmeans.learn_predict_one(self._scaler.transform_one(x))
        for segment in self._shares:
            self._shares[segment] += _SHARE_STEP * ((segment == nearest) - self._shares[segment])
        if self._polish_at and self.vectors >= self._polish_at:
            self._polish()

    def _warm_start(self) -> None:
        limits = self._settings
        centres = choose_centres(
            self._scaled(), limits.min_segments, limits.max_segments, limits.seed
        )
        # Segment ids follow the order of activity, so that equal data gives equal ids.
        centres = centres[np.lexsort(centres.T[::-1])[::-1]]
        self._place(dict(enumerate(centres, 1)))
        self._name()
        self._polish_at = 2 * self.vectors

    def _polish(self) -> None:
        ids = sorted(self._kmeans.centers)
        centres = polish_centres(self._scaled(), self._centres())
        self._place(dict(zip(ids, centres, strict=True)))
        self._name()
        self._polish_at = 2 * self.vectors if 2 * self.vectors <= _LAST_POLISH else 0
        self._issued_at = 0  # issue at once

    def _name(self) -> None:
        names = name_segments(self._centres(), np.expm1(self._unscaled()))
        self._names = dict(zip(sorted(self._shares), names, strict=True))

    def _place(self, centres: dict[int, Floats]) -> None:
        """Make these River's centres and recount the shares."""
        self._kmeans.n_clusters = len(centres)
        self._kmeans.centers = {
            segment: defaultdict(float, zip(_NAMES, centre.tolist(), strict=True))
            for segment, centre in centres.items()
        }
        scaled, stacked = self._scaled(), np.stack(list(centres.values()))
        nearest = np.square(scaled[:, None] - stacked).sum(axis=2).argmin(axis=1)
        counts = np.bincount(nearest, minlength=len(centres)) / len(scaled)
        self._shares = dict(zip(centres, counts.tolist(), strict=True))

    def _scaled(self) -> Floats:
        vectors = np.array(self._recent)
        mean, scale = self._mean_and_scale()
        scaled: Floats = np.where(scale > 0, (vectors - mean) / np.where(scale > 0, scale, 1), 0)
        return scaled

    def _mean_and_scale(self) -> tuple[Floats, Floats]:
        mean = np.array([self._scaler.means[name] for name in _NAMES])
        scale = np.sqrt([self._scaler.vars[name] for name in _NAMES])
        return mean, scale

    def _centres(self) -> Floats:
        return np.array(
            [[self._kmeans.centers[i][name] for name in _NAMES] for i in sorted(self._shares)]
        )

    def _due(self) -> bool:
        if not self.warm:
            return False
        if not self.version or not self._issued_at:
            return True
        if self.vectors - self._issued_at < self._settings.snapshot_vectors:
            return False
        now, before = self._unscaled(), self._issued
        apart = np.linalg.norm(now[:, None] - now, axis=2)[~np.eye(len(now), dtype=bool)]
        moved = np.linalg.norm(now - before, axis=1).max()
        return bool(moved >= self._settings.snapshot_shift * apart.min(initial=np.inf))

    def _unscaled(self) -> Floats:
        """Centres in feature space, where they can be compared although the scaler moves on."""
        mean, scale = self._mean_and_scale()
        centres: Floats = self._centres() * scale + mean
        return centres

    def _snapshot(self) -> Snapshot:
        self.version += 1
        self._issued_at, self._issued = self.vectors, self._unscaled()
        mean, scale = self._mean_and_scale()
        return Snapshot(
            version=self.version,
            created_at=to_rfc3339(self._latest_us),
            catalogue=catalogue_hash(),
            dimensions=_NAMES,
            mean=mean.tolist(),
            scale=scale.tolist(),
            segments=[
                SegmentModel(
                    id=segment,
                    name=self._names[segment][0],
                    description=self._names[segment][1],
                    centre=centre.tolist(),
                    share=round(self._shares[segment], 4),
                )
                for segment, centre in zip(sorted(self._shares), self._centres(), strict=True)
            ],
            vectors=self.vectors,
            trained_from=to_rfc3339(self._first_us),
            trained_until=to_rfc3339(self._latest_us),
        )

    def checkpoint(self) -> bytes:
        """The state as JSON, for a restart."""
        return msgspec.json.encode(
            _Checkpoint(
                catalogue=catalogue_hash(),
                version=self.version,
                vectors=self.vectors,
                issued_at_vector=self._issued_at,
                polish_at_vector=self._polish_at,
                first_us=self._first_us,
                latest_us=self._latest_us,
                recent=list(self._recent),
                counts=dict(self._scaler.counts),
                means=dict(self._scaler.means),
                variances=dict(self._scaler.vars),
                centres={i: dict(c) for i, c in self._kmeans.centers.items()},
                shares=self._shares,
                names=self._names,
                issued=self._issued.tolist(),
            )
        )

    def _restore(self, data: bytes) -> None:
        try:
            saved = msgspec.json.decode(data, type=_Checkpoint)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Incompatible(
                f"this is not a checkpoint of the trainer: {error}",
                hint="delete the checkpoint to train anew",
            ) from None
        if saved.catalogue != catalogue_hash():
            raise Incompatible(
                f"the trainer's checkpoint belongs to feature catalogue {saved.catalogue}, "
                f"this program has {catalogue_hash()}",
                hint="delete the checkpoint to train anew",
            )
        self.version, self.vectors = saved.version, saved.vectors
        self._issued_at, self._polish_at = saved.issued_at_vector, saved.polish_at_vector
        self._first_us, self._latest_us = saved.first_us, saved.latest_us
        self._recent.extend(saved.recent)
        self._scaler.counts.update(saved.counts)
        self._scaler.means.update(saved.means)
        self._scaler.vars.update(saved.variances)
        self._kmeans.n_clusters = len(saved.centres)
        self._kmeans.centers = {i: defaultdict(float, c) for i, c in saved.centres.items()}
        self._shares, self._names = saved.shares, saved.names
        self._issued = np.array(saved.issued).reshape(-1, len(_NAMES))
