"""The marketer's vetting list: is this a good set of segments? Numbers, and verdicts in words.

The list is that of market segmentation (Kotler: measurable, substantial, accessible,
differentiable, actionable), as far as the model can answer for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
from threadpoolctl import threadpool_limits

from stream_app.features.values import Floats
from stream_app.segments.snapshot import Assigner, Check, HealthCheck, Snapshot
from stream_app.settings import HealthSettings, SegmentSettings

_SILHOUETTE_SAMPLE = 1_000
"""Vectors that silhouette is measured on: it is quadratic."""

CHECKS: tuple[Check, ...] = get_args(Check)
"""In the order in which they are shown."""

Shares = Mapping[int, float]
"""Share of the accounts by segment id."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How accounts lie among the centres."""

    silhouette: float | None
    """Mean silhouette (Rousseeuw 1987); None: all are in one segment, or there are too few."""
    thin: float | None
    """Share on a border; None: there are no accounts."""


def spread_of(snapshot: Snapshot, vectors: Floats, limits: HealthSettings, seed: int) -> Spread:
    """Measure (n, dimensions) unscaled model vectors, n >= 0, each in its nearest segment."""
    sample = vectors[np.random.default_rng(seed).permutation(len(vectors))[:_SILHOUETTE_SAMPLE]]
    assigner = Assigner(snapshot)
    labels = assigner.distances(sample).argmin(axis=1)
    silhouette = _silhouette(assigner.scaled(sample), labels)
    return Spread(silhouette, border_share(snapshot, vectors, limits))


def border_share(snapshot: Snapshot, vectors: Floats, limits: HealthSettings) -> float | None:
    """Share of (n, dimensions) unscaled model vectors that lie on a border; None where n is 0."""
    if not len(vectors) or len(snapshot.segments) == 1:
        return 0.0 if len(vectors) else None
    distances = np.sort(Assigner(snapshot).distances(vectors), axis=1)
    thin = distances[:, 0] > (1.0 - limits.thin_margin) * distances[:, 1]
    return float(thin.mean())


def _silhouette(scaled: Floats, labels: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float | None:
    # Imported late: it takes a second, and not everybody asks.
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    if not 1 < len(np.unique(labels)) < len(labels):
        return None
    with threadpool_limits(limits=1):
        return float(silhouette_score(scaled, labels))


def differentiated(spread: Spread, settings: HealthSettings) -> HealthCheck:
    """Do the segments differ from each other more than their accounts among themselves?"""
    value, least = spread.silhouette, settings.min_silhouette
    passed = None if value is None else value >= least
    says = {
        True: "Accounts are clearly more like those of their own segment than like others.",
        False: "Accounts are hardly more like those of their own segment than like others.",
        None: "Not known: there are too few accounts, or all are in one segment.",
    }[passed]
    return _check("differentiated", value, f"silhouette at least {least:g}", passed, says)


def manageable(count: int, settings: SegmentSettings) -> HealthCheck:
    """Are there not too many segments to do something for each, nor too few to matter?"""
    least, most = settings.min_segments, settings.max_segments
    passed = least <= count <= most
    says = f"There are {count} segments."
    if not passed:
        says = f"There are {count} segments, too {'many' if count > most else 'few'} to work with."
    return _check("manageable", float(count), f"{least} to {most} segments", passed, says)


def sustainable(
    shares: Shares, before: Shares, names: Mapping[int, str], settings: HealthSettings
) -> HealthCheck:
    """Is each segment large enough to be worth a campaign, and does it last?

    Parameters
    ----------
    before
        Shares to compare with; segments that were not there yet are not compared.
    """
    smallest = min(shares, key=lambda id_: (shares[id_], id_))
    losses = {i: 1 - shares[i] / before[i] for i in shares if before.get(i, 0) > 0}
    worst = max(losses, key=lambda id_: (losses[id_], -id_), default=None)
    small = shares[smallest] < settings.min_share
    fading = worst is not None and losses[worst] > settings.max_loss
    says = f"The smallest segment, {names[smallest]}, has {percent(shares[smallest])}."
    if worst is not None and fading:
        says = (
            f"{names[worst]} went from {percent(before[worst])} to {percent(shares[worst])} of "
            f"the accounts. {says}"
        )
    threshold = (
        f"each at least {percent(settings.min_share)}, none losing more than "
        f"{percent(settings.max_loss)} of its share"
    )
    return _check("sustainable", shares[smallest], threshold, not (small or fading), says)


def understandable(fidelity: float | None, settings: HealthSettings) -> HealthCheck:
    """Do a few plain rules say the same as the model?"""
    passed = None if fidelity is None else fidelity >= settings.min_fidelity
    says = "Not known: there are too few accounts."
    if fidelity is not None:
        says = (
            f"Three plain questions put {percent(fidelity)} of the accounts where the model does."
        )
    threshold = f"rules agree for at least {percent(settings.min_fidelity)}"
    return _check("understandable", fidelity, threshold, passed, says)


def no_overlap(spread: Spread, settings: HealthSettings) -> HealthCheck:
    """Is it clear where each account belongs?"""
    most = settings.max_thin_share
    passed = None if spread.thin is None else spread.thin <= most
    says = "Every account is in exactly one segment"
    if spread.thin is not None:
        says += f"; {percent(spread.thin)} lie on a border between two"
    return _check(
        "no_overlap", spread.thin, f"at most {percent(most)} on a border", passed, says + "."
    )


def aligned(
    targets: Mapping[int, int] | None,
    everybody: Mapping[int, int],
    names: Mapping[int, str],
    settings: HealthSettings,
) -> HealthCheck:
    """Do the segments tell something about the accounts that marketing is after?

    Parameters
    ----------
    targets
        Target accounts by segment id; None: nobody said which they are.
    everybody
        All accounts by segment id.
    """
    threshold = (
        f"target accounts spread differently by at least {percent(settings.min_target_difference)}"
    )
    total, all_ = sum((targets or {}).values()), sum(everybody.values())
    if not targets or not total or not all_:
        why = "no target accounts are given" if targets is None else "none of them was seen yet"
        return _check("aligned", None, threshold, None, f"Not known: {why}.")
    lead = {i: count / total - everybody.get(i, 0) / all_ for i, count in targets.items()}
    value = sum(ahead for ahead in lead.values() if ahead > 0)
    most = max(lead, key=lambda id_: (lead[id_], -id_))
    says = (
        f"{percent(targets[most] / total)} of {total:,} target accounts are in {names[most]}, and "
        f"{percent(everybody.get(most, 0) / all_)} of all accounts."
    )
    return _check("aligned", value, threshold, value >= settings.min_target_difference, says)


def _check(
    name: Check, value: float | None, threshold: str, passed: bool | None, says: str
) -> HealthCheck:
    rounded = None if value is None else round(value, 4)
    return HealthCheck(
        name=name,
        value=rounded,
        threshold=threshold,
        passed=passed,
        says=says,
    )


def live(
    snapshot: Snapshot,
    vectors: Floats,
    sizes: Mapping[int, int],
    before: Mapping[int, int],
    targets: Mapping[int, int] | None,
    settings: SegmentSettings,
    limits: HealthSettings,
) -> list[HealthCheck]:
    """The list for the accounts as they are now. What takes a fit (silhouette, rules) is as it was
    when the snapshot was made.

    Parameters
    ----------
    vectors
        (n, dimensions) unscaled model vectors of some of the accounts, n >= 0.
    sizes, before
        Accounts by segment id, now and some days ago; empty: not known.
    targets
        Target accounts by segment id; None: nobody said which they are.
    """
    names = {segment.id: segment.name for segment in snapshot.segments}
    shares, past = (
        {i: s for i, s in _as_shares(counts).items() if i in names} for counts in (sizes, before)
    )
    now: dict[Check, HealthCheck] = {
        "manageable": manageable(len(names), settings),
        "no_overlap": no_overlap(Spread(None, border_share(snapshot, vectors, limits)), limits),
        "aligned": aligned(targets, sizes, names, limits),
    }
    if shares:
        complete = {i: shares.get(i, 0.0) for i in names}
        now["sustainable"] = sustainable(complete, past, names, limits)
    known = {check.name: check for check in snapshot.health} | now
    return [known[name] for name in CHECKS if name in known]


def _as_shares(counts: Mapping[int, int]) -> dict[int, float]:
    total = sum(counts.values())
    return {id_: count / total for id_, count in counts.items()} if total else {}


def percent(share: float) -> str:
    """
    >>> percent(0.25), percent(0.004)
    ('25 %', '0.4 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.1f} %"
