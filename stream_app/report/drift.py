"""How the model changed from version to version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stream_app.events.instants import parse
from stream_app.features.values import Floats
from stream_app.segments.snapshot import Cause, Snapshot

CAUSES: Mapping[Cause, str] = {
    "warm_start": "the first model",
    "online": "centres moved a little",
    "growth": "chosen anew: the history is young",
    "drift": "chosen anew: accounts behave differently",
    "requested": "chosen anew: an operator asked",
    "renamed": "a person named a segment",
}
_DRAWN = 200
"""Versions in the charts, evenly chosen."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the model against the one before it."""

    version: int
    at_us: int
    cause: str
    """In words."""
    vectors: int
    step: float | None
    """How far the centre moved that moved most, in standard deviations; None: the first one."""
    mover: int | None
    """Its segment."""
    events: tuple[str, ...]
    """What became of segments, a sentence each."""
    remarkable: bool
    """More than centres that moved a little."""


@dataclass(frozen=True, slots=True)
class Line:
    """One segment over the versions that have it."""

    segment: int
    at_us: tuple[int, ...]
    distance: tuple[float, ...]
    """Of its centre from where it first was, in standard deviations."""
    share: tuple[float, ...]
    """Of the recent training vectors."""


@dataclass(frozen=True, slots=True)
class Drift:
    """All versions, and the segments over them."""

    versions: tuple[Version, ...]
    """Newest first."""
    lines: tuple[Line, ...]
    """By segment id."""
    apart: float | None
    """Distance of the two closest centres of the last version; None: it has only one."""


def drift_of(models: Sequence[Snapshot]) -> Drift:
    """Distances are measured where features have their own units, and then put in terms of the last
    version's standard deviations: each version's own scale is another one."""
    if not models:
        return Drift((), (), None)
    scale = np.array(models[-1].scale)
    centres = [_centres(model, scale) for model in models]
    versions = [
        _version(model, centres[i], centres[i - 1] if i else {}) for i, model in enumerate(models)
    ]
    return Drift(tuple(reversed(versions)), _lines(models, centres), _apart(centres[-1]))


def _centres(model: Snapshot, scale: Floats) -> dict[int, Floats]:
    """Centres in standard deviations of the last version; constant dimensions do not count."""
    factor = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)
    mean, own = np.array(model.mean), np.array(model.scale)
    return {s.id: (np.array(s.centre) * own + mean) * factor for s in model.segments}


def _version(model: Snapshot, now: dict[int, Floats], before: dict[int, Floats]) -> Version:
    steps = {i: float(np.linalg.norm(now[i] - before[i])) for i in now.keys() & before.keys()}
    mover = max(sorted(steps), key=steps.__getitem__) if steps else None
    return Version(
        version=model.version,
        at_us=parse(model.created_at),
        cause=CAUSES[model.cause],
        vectors=model.vectors,
        step=None if mover is None else steps[mover],
        mover=mover,
        events=_events(model),
        remarkable=model.cause != "online" or bool(model.lineage) or not before,
    )


def _events(model: Snapshot) -> tuple[str, ...]:
    names = {s.id: s.name for s in model.segments}

    def named(ids: Sequence[int]) -> str:
        return " and ".join(names.get(i, f"segment {i}") for i in ids) or "others"

    words = {
        "created": "{name} is new",
        "retired": "{name} is gone",
        "split": "{name} was split, into {others}",
        "merged": "{name} went into {others}",
        "renamed": "{before} is now called {name}",
    }
    return tuple(
        words[each.kind].format(name=each.name, before=each.before, others=named(each.others))
        for each in model.lineage
    )


def _lines(models: Sequence[Snapshot], centres: Sequence[dict[int, Floats]]) -> tuple[Line, ...]:
    drawn = np.unique(np.linspace(0, len(models) - 1, _DRAWN).round().astype(int)).tolist()
    found: dict[int, list[tuple[int, float, float]]] = {}
    first: dict[int, Floats] = {}
    for i in drawn:
        at_us = parse(models[i].created_at)
        for segment in models[i].segments:
            centre = centres[i][segment.id]
            start = first.setdefault(segment.id, centre)
            distance = float(np.linalg.norm(centre - start))
            found.setdefault(segment.id, []).append((at_us, distance, segment.share))
    return tuple(Line(i, *zip(*found[i], strict=True)) for i in sorted(found))


def _apart(centres: dict[int, Floats]) -> float | None:
    if len(centres) < 2:
        return None
    points = np.stack(list(centres.values()))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    return float(distances[~np.eye(len(points), dtype=bool)].min())
