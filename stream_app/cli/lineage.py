"""What versions of the model did to segments, in words."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.segments.snapshot import Lineage, Snapshot


def told(snapshot: Snapshot) -> list[str]:
    """A sentence for each step of a version."""
    names = {segment.id: segment.name for segment in snapshot.segments}
    return [_sentence(step, names) for step in snapshot.lineage]


def named(id_: int, names: Mapping[int, str]) -> str:
    """A segment as people read it: `3 Gone quiet`."""
    return f"{id_} {names.get(id_, '')}".rstrip()


def _sentence(step: Lineage, names: Mapping[int, str]) -> str:
    segment = named(step.segment, {step.segment: step.name})
    others = ", ".join(named(other, names) for other in step.others)
    match step.kind:
        case "created":
            return f"{segment}: new"
        case "retired":
            return f"{segment}: gone"
        case "split":
            stays = "and stays" if step.segment in names else "and is gone"
            return f"{segment}: split into {others}, {stays}"
        case "merged":
            return f"{segment}: merged into {others}"
        case "renamed":
            return f"{segment}: renamed, was {step.before}"
