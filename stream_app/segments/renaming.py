"""Names that people give to segments, and that stay. Pure: from one snapshot to another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from msgspec.structs import replace

from stream_app.errors import NotFound, UsageError
from stream_app.segments.snapshot import UNSEGMENTED_NAME, Lineage, Snapshot

MAX_NAME = 80
"""Characters of a segment's name."""


def user_names(snapshot: Snapshot) -> dict[int, str]:
    """Names that people gave, by segment id."""
    return {s.id: s.name for s in snapshot.segments if s.named_by == "user"}


def rename(snapshot: Snapshot, segment: int, name: str) -> Snapshot:
    """The snapshot with another name for a segment; the caller gives it a version.

    Raises
    ------
    NotFound
        There is no such segment.
    UsageError
        The name is empty, too long, another segment's, or has signs that a terminal would obey.
    """
    names = {s.id: s.name for s in snapshot.segments}
    if segment not in names:
        listed = ", ".join(f"{id_} ({known})" for id_, known in names.items())
        raise NotFound(f"there is no segment {segment}", hint=f"there are {listed}")
    name = _valid(name)
    taken = {UNSEGMENTED_NAME: 0} | {known: id_ for id_, known in names.items() if id_ != segment}
    for known, id_ in taken.items():
        if known.casefold() == name.casefold():
            raise UsageError(
                f"segment {id_} is called {known!r} already", hint="names of segments must differ"
            )
    step = Lineage(kind="renamed", segment=segment, name=name, before=names[segment])
    return replace(
        _named(snapshot, {segment: name}),
        parent=snapshot.version,
        cause="renamed",
        lineage=[step] if step.name != step.before else [],
    )


def keep_user_names(proposal: Snapshot, active: Snapshot, version: int) -> Snapshot | None:
    """A copy of a proposal, as `version`, in which segments have the names that people gave them
    in the active snapshot; None if it has them. A segment that the model gave such a name gets
    another one."""
    given = user_names(active)
    names = {s.id: s.name for s in proposal.segments}
    missing = {id_: name for id_, name in given.items() if names.get(id_, name) != name}
    if not missing:
        return None
    taken = {name.casefold() for name in missing.values()}
    for segment in proposal.segments:
        if segment.id not in missing and segment.name.casefold() in taken:
            missing[segment.id] = _free(
                segment.name, taken | {n.casefold() for n in names.values()}
            )
    lineage = [
        replace(step, name=missing.get(step.segment, step.name)) for step in proposal.lineage
    ]
    return replace(_named(proposal, missing, given), version=version, lineage=lineage)


def _named(
    snapshot: Snapshot, names: Mapping[int, str], by_users: Mapping[int, str] | None = None
) -> Snapshot:
    """With other names of segments, also in what is said about them."""
    by_users = names if by_users is None else by_users
    before = {s.name: names.get(s.id, s.name) for s in snapshot.segments}
    # All names, the longest first: one may begin like another.
    known = re.compile("|".join(re.escape(name) for name in sorted(before, key=len, reverse=True)))

    def retold(text: str) -> str:
        return known.sub(lambda match: before[match[0]], text)

    return replace(
        snapshot,
        rules=[retold(rule) for rule in snapshot.rules],
        health=[replace(check, says=retold(check.says)) for check in snapshot.health],
        segments=[
            replace(s, name=names[s.id], named_by="user" if s.id in by_users else s.named_by)
            if s.id in names
            else s
            for s in snapshot.segments
        ],
    )


def _valid(name: str) -> str:
    """Without blanks around it. Raises UsageError."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise UsageError("the name is empty", hint="give it as one argument, in quotes")
    if len(name) > MAX_NAME:
        raise UsageError(f"the name has {len(name)} characters, {MAX_NAME} are the most")
    if not name.isprintable():
        raise UsageError("the name has signs that cannot be printed", hint="write it as plain text")
    return name


def _free(name: str, taken: set[str]) -> str:
    """The name with the first number that makes it differ."""
    number = 2
    while f"{name} {number}".casefold() in taken:
        number += 1
    return f"{name} {number}"
