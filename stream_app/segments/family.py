"""Who came from whom: the life of each segment along a line of versions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from stream_app.segments.snapshot import Lineage, Snapshot


class Life(Struct, kw_only=True):
    """One segment, from its first version to its last."""

    id: int
    name: str
    """The latest one."""
    since: int
    """The first version of the line that has it."""
    parent: int | None = None
    """The segment that it was split from."""
    until: int | None = None
    """The version that does not have it any more; None: it is still there."""
    into: list[int] = []
    """The segments that took its accounts when it went."""
    former_names: list[str] = []
    """Each once, oldest first."""


def line_to(version: int, versions: Mapping[int, Snapshot]) -> list[Snapshot]:
    """A version and those that it came from, oldest first, as far as they are known."""
    line: list[Snapshot] = []
    while (snapshot := versions.get(version)) is not None:
        line.append(snapshot)
        if not 0 < snapshot.parent < version:
            break
        version = snapshot.parent
    return line[::-1]


def lives(line: Sequence[Snapshot]) -> dict[int, Life]:
    """The segments of a line of versions by id, in the order in which they came."""
    found: dict[int, Life] = {}
    for snapshot in line:
        here = {segment.id: segment.name for segment in snapshot.segments}
        for id_, name in here.items():
            life = found.setdefault(id_, Life(id=id_, name=name, since=snapshot.version))
            _rename(life, name)
        for life in found.values():
            if life.id not in here and life.until is None:
                life.until = snapshot.version
        for step in snapshot.lineage:
            if step.kind in ("split", "merged") and step.segment in found:
                _pass_on(step, found, snapshot.version)
    return found


def _rename(life: Life, name: str) -> None:
    if life.name != name:
        former = dict.fromkeys([*life.former_names, life.name])
        life.former_names = [each for each in former if each != name]
        life.name = name


def _pass_on(step: Lineage, found: Mapping[int, Life], version: int) -> None:
    """Accounts of a segment went to others."""
    if found[step.segment].until == version:
        found[step.segment].into = list(step.others)
    for other in step.others if step.kind == "split" else ():
        if other in found and found[other].since == version:
            found[other].parent = step.segment
