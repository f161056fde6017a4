"""Makes a bare snapshot one that people can read: names, descriptions, rules, health.

Pure and deterministic: the same snapshot, vectors and parent give the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from stream_app.features.values import Floats
from stream_app.segments import health
from stream_app.segments.names import names_of, sentence_of
from stream_app.segments.rules import Rules, rules_of
from stream_app.segments.snapshot import HealthCheck, Lineage, SegmentModel, Snapshot
from stream_app.segments.traits import Traits, traits_of
from stream_app.settings import HealthSettings, SegmentSettings


def explained(
    snapshot: Snapshot,
    recent: Floats,
    parent: Snapshot | None,
    settings: SegmentSettings,
    health_settings: HealthSettings,
) -> Snapshot:
    """The snapshot with names, descriptions, top features, rules and health, and with an entry of
    kind `renamed` in its lineage for each segment that its parent calls differently.

    A segment keeps the name that it has in the parent while that is still true of it, and for
    ever if a person gave it.

    Parameters
    ----------
    snapshot
        Centres, scaler, ids and shares. Its names count only where a person gave them.
    recent
        (n, dimensions) unscaled model vectors, n >= 0: the accounts as they are now.
    parent
        The version that it was made from; None: there is none.
    """
    traits = traits_of(snapshot, recent)
    known = {s.id: s for s in (parent.segments if parent else ())}
    given = {s.id: s.name for s in (*known.values(), *snapshot.segments) if s.named_by == "user"}
    names = names_of(traits, {id_: s.name for id_, s in known.items()}, given)
    segments = [
        _described(segment, t, names[segment.id], by_user=segment.id in given)
        for segment, t in zip(snapshot.segments, traits, strict=True)
    ]
    rules = rules_of(snapshot, recent, settings.seed)
    renamed = [
        Lineage(kind="renamed", segment=id_, name=names[id_], before=known[id_].name)
        for id_ in sorted(names)
        if id_ in known and known[id_].name != names[id_]
    ]
    named = replace(snapshot, segments=segments, lineage=[*snapshot.lineage, *renamed])
    return replace(
        named,
        rules=rules.sentences([segment.name for segment in segments]),
        health=_health(named, recent, parent, rules, settings, health_settings),
    )


def _described(segment: SegmentModel, traits: Traits, name: str, *, by_user: bool) -> SegmentModel:
    return replace(
        segment,
        name=name,
        named_by="user" if by_user else "model",
        description=sentence_of(traits, name),
        top=traits.top(),
    )


def _health(
    snapshot: Snapshot,
    recent: Floats,
    parent: Snapshot | None,
    rules: Rules,
    settings: SegmentSettings,
    limits: HealthSettings,
) -> list[HealthCheck]:
    spread = health.spread_of(snapshot, recent, limits, settings.seed)
    shares, before = _shares(snapshot.segments), _shares(parent.segments if parent else ())
    names = {segment.id: segment.name for segment in snapshot.segments}
    return [
        health.differentiated(spread, limits),
        health.manageable(len(snapshot.segments), settings),
        health.sustainable(shares, before, names, limits),
        health.understandable(rules.fidelity, limits),
        health.no_overlap(spread, limits),
        health.aligned(None, {}, names, limits),
    ]


def _shares(segments: Sequence[SegmentModel]) -> dict[int, float]:
    return {segment.id: segment.share for segment in segments}
