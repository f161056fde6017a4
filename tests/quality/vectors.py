"""Vectors with known groups: benchmark sets, generated sets, and accounts of synthetic traffic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import arff
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from stream_app.changes.types import FeatureSample
from stream_app.events.instants import DAY, parse
from stream_app.segments.clusters import Clusters
from stream_app.segments.online import OnlineClusters, Refit
from stream_app.segments.review import Limits
from stream_app.settings import SegmentSettings, Settings
from stream_app.traffic import Behaviour, Traffic, TrafficConfig
from tests.engine.scenario import QUIET_OR_BUSY
from tests.quality.runs import replayed
from tests.quality.section import SHARED, DataMissing

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

SETTINGS = SegmentSettings()
STATIONARY: dict[str, Any] = {
    "with_type": True,
    "planted_window": (0.0, 0.0),
    "starting_share": 0.0,
    "surges_per_account_day": 0.0,
    "crawlers_per_account_day": 0.0,
    "shares": {
        Behaviour.PRICING_RESEARCHER: 0.14,
        Behaviour.CONTENT_READER: 0.2,
        Behaviour.NEWSLETTER_READER: 0.22,
        Behaviour.EXISTING_USER: 0.2,
        Behaviour.CASUAL_VISITOR: 0.24,
    },
}
"""Traffic in which nobody starts researching, goes quiet, or has a surge."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors in the order in which they come."""

    x: Floats
    truth: Labels
    at_us: Labels
    """Instants; all 0 where there is no time."""

    @property
    def days(self) -> Floats:
        """Days since the first vector."""
        days: Floats = (self.at_us - self.at_us.min()) / DAY
        return days

    def shuffled(self, seed: int) -> Vectors:
        """In another order, without time."""
        order = np.random.default_rng(seed).permutation(len(self.x))
        return Vectors(self.x[order], self.truth[order], np.zeros(len(order), np.int64))


@dataclass(frozen=True, slots=True)
class Review:
    """A refit, and what it took the place of."""

    index: int
    """Of the vector."""
    refit: Refit
    before: Clusters | None
    recent: Floats


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the online clustering made of vectors."""

    predicted: Labels
    """Of each vector before it was learnt; 0 before the warm start."""
    online: OnlineClusters
    refits: list[Review]
    alarms: list[int]
    """Indices of vectors."""


def learnt(vectors: Vectors, least: int, most: int, *, predict: bool = True) -> Learnt:
    """Predict, then learn, one by one, with the settings' defaults but for the limits. Without
    `predict`, which takes a third of the time, no predictions come out."""
    limits = Limits(least, most, SETTINGS.warm_start_vectors, SETTINGS.seed)
    online = OnlineClusters(limits, SETTINGS.halflife)
    out = Learnt(np.zeros(len(vectors.x), np.int64), online, [], [])
    for i, (x, at_us) in enumerate(zip(vectors.x.tolist(), vectors.at_us.tolist(), strict=True)):
        if predict:
            out.predicted[i] = online.predict(x) or 0
        alarms = online.state.alarms
        refit = online.learn(x, at_us)
        if online.state.alarms > alarms:
            out.alarms.append(i)
        if refit:
            out.refits.append(Review(i, refit, online.clusters, online.recent()))
            online.adopt(refit.clusters)
    return out


def batch_labels(x: Floats, k: int, seed: int = 0) -> Labels:
    """scikit-learn's k-means++, best of 10 starts, all vectors in hindsight, standardised."""
    with threadpool_limits(limits=1):
        scaled = StandardScaler().fit_transform(x)
        found: Labels = KMeans(k, n_init=10, random_state=seed).fit_predict(scaled)
    return found


def benchmark(name: str) -> Vectors:
    """A labelled set of `SHARED`, in the order of its file."""
    path = SHARED / "clustering" / f"{name}.arff"
    if not path.is_file():
        raise DataMissing(f"{path.name} is not there: put it into shared/data/clustering/")
    rows, meta = arff.loadarff(path)
    *columns, label = meta.names()
    x = np.array([[float(row[column]) for column in columns] for row in rows])
    truth = np.unique([row[label] for row in rows], return_inverse=True)[1]
    return Vectors(x, truth, np.zeros(len(x), np.int64))


def generated(kind: str, k: int, dimensions: int, seed: int, n: int = 5_000) -> Vectors:
    """Groups of a sort that no parameter was tuned on.

    Parameters
    ----------
    kind
        even: round groups alike. unequal: shares from a tenth to several times of each other, and
        radii from half to one and a half. correlated: stretched in random directions. heavy: with
        the tails of Student's t of 3 degrees of freedom.
    """
    random = np.random.default_rng(seed)
    centres = random.normal(0.0, 1.0, (k, dimensions)) * max(1.2, 4.0 / dimensions**0.25)
    shares, radii = np.full(k, 1.0 / k), np.ones(k)
    if kind == "unequal":
        shares, radii = random.dirichlet(np.full(k, 3.0)), random.uniform(0.5, 1.5, k)
    truth = random.choice(k, n, p=shares)
    noise = random.normal(size=(n, dimensions))
    if kind == "heavy":
        noise = random.standard_t(3, size=(n, dimensions))
    if kind == "correlated":
        stretch = random.normal(size=(k, dimensions, dimensions)) / np.sqrt(dimensions)
        noise = np.einsum("nij,nj->ni", stretch[truth], noise)
    x = centres[truth] + noise * radii[truth][:, None]
    return Vectors(x, truth, np.zeros(n, np.int64))


@cache
def stationary_traffic(seed: int) -> Vectors:
    """98 days of 100 accounts that never change their habits, at a third of the usual activity."""
    return traffic(TrafficConfig(seed=seed, accounts=100, activity=0.3, **STATIONARY), 98)


def traffic(config: TrafficConfig, days: int) -> Vectors:
    """Training vectors of synthetic traffic; truth is the planted behaviour at their instant."""
    samples: list[FeatureSample] = []
    # Samples do not depend on the model; with a fixed one nothing is trained.
    replayed(config, days, Settings(), lambda seen: samples.extend(seen.samples), QUIET_OR_BUSY)
    return vectors_of(samples, config)


def vectors_of(samples: list[FeatureSample], config: TrafficConfig) -> Vectors:
    """Samples of the traffic as vectors with their truth."""
    truth, behaviours = Traffic(config).truth, list(Behaviour)
    at_us = [parse(sample.at) for sample in samples]
    labels = [
        behaviours.index(truth.behaviour_at(sample.account_id, instant))
        for sample, instant in zip(samples, at_us, strict=True)
    ]
    return Vectors(np.array([s.vector for s in samples]), np.array(labels), np.array(at_us))
