"""Adapts: planted drifts are detected and made up for; where nothing drifts nothing is refitted."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.metrics import adjusted_rand_score

from tests.quality.drifting import KINDS, Drifted, drifting_traffic, groups, still_traffic
from tests.quality.section import Options, Section
from tests.quality.vectors import Learnt, batch_labels

WITHIN = {"groups": 3_000, "traffic": 5_000}
"""Vectors after a drift within which the model must be as good as batch again. Accounts of the
traffic change over two days, and their features over weeks: they remember 28 days."""
_SPAN = 1_000
"""Vectors on which two groupings are compared."""
_GAP = 0.03


def run(options: Options) -> Section:
    """Three kinds of drift in independent vectors and in traffic; twenty streams without any."""
    section = Section("Adapts (4)")
    worst = 0.0
    for kind in KINDS:
        worst = max(worst, _report(section, "groups", kind, groups(kind, 51)))
    for kind in () if options.quick else KINDS:
        worst = max(worst, _report(section, "traffic", kind, drifting_traffic(kind)))
    section.add(
        "gap to batch after so many vectors, worst", worst, at_most=_GAP, figure="drift_ari_gap"
    )
    runs = 1 if options.quick else 10
    still = [groups("none", seed, per_day=100).learnt for seed in range(60, 60 + runs)]
    living = [still_traffic(seed) for seed in range(31, 31 + runs)]
    refits = _causes(still) + _causes(living)
    section.add(
        f"refits for drift in {2 * runs} stationary streams",
        refits["drift"],
        at_most=0,
        figure="false_refits",
        note=f"half of them traffic; growth refits {refits['growth']}, "
        f"alarms {sum(len(run.alarms) for run in [*still, *living])}, "
        f"reviews {sum(run.online.state.reviews for run in [*still, *living])}",
    )
    section.details += [
        "Batch: k-means++ on the vectors after the drift only, with the online model's number of",
        f"groups. Gap: ARI of batch less ARI online, on spans of {_SPAN} vectors.",
    ]
    return section


def _causes(runs: list[Learnt]) -> Counter[str]:
    return Counter(review.refit.cause for run in runs for review in run.refits)


def _report(section: Section, name: str, kind: str, drifted: Drifted) -> float:
    """Rows of one drift; returns its gap once the stated number of vectors has come."""
    at, found = drifted.at, drifted.learnt
    gaps = _gaps(drifted)
    within = WITHIN[name]
    late = [gap for start, gap in gaps if start + _SPAN > within]
    bad = [start + _SPAN for start, gap in gaps if gap > _GAP]
    recovered = max(bad, default=0)
    alarms = [i - at for i in found.alarms if i >= at]
    refits = [f"{r.index - at}: {r.refit.cause}" for r in found.refits if r.index >= at]
    note = f"gap after {within} vectors {float(np.mean(late)):.3f}; "
    note += f"alarm after {alarms[0]}; " if alarms else "no alarm; "
    note += f"refits after {', '.join(refits)}" if refits else "no refit"
    section.add(
        f"{name}: one {kind}: vectors until within {_GAP}", recovered, at_most=within, note=note
    )
    return float(np.mean(late))


def _gaps(drifted: Drifted) -> list[tuple[int, float]]:
    """(vectors since the drift at the start of a span, batch's ARI less the online one)."""
    after = slice(drifted.at, None)
    truth, online = drifted.vectors.truth[after], drifted.learnt.predicted[after]
    clusters = drifted.learnt.online.clusters
    assert clusters is not None
    batch = batch_labels(drifted.vectors.x[after], len(clusters.ids))
    gaps = []
    for start in range(0, len(truth) - _SPAN + 1, _SPAN // 2):
        span = slice(start, start + _SPAN)
        ideal = adjusted_rand_score(truth[span], batch[span])
        gaps.append((start, float(ideal - adjusted_rand_score(truth[span], online[span]))))
    return gaps
