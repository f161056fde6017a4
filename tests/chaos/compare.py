"""Compares what was published with what should have been, message by message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_EXAMPLES = 5


class Said(NamedTuple):
    """One message."""

    id: str
    content: Any
    """What must be as the oracle has it: everything, apart from when it was decided."""
    whole: Any = None
    """Everything. Copies of a message must agree in it."""
    number: int = 0
    """`sequence` of a change, `number` of a spike; 0: it has none."""


@dataclass
class Tally:
    """What the comparison of one topic found. All counts are of messages."""

    expected: int = 0
    published: int = 0
    """Different ones of those expected."""
    missing: int = 0
    unexpected: int = 0
    """Published, but not by the oracle."""
    altered: int = 0
    """With the expected id, but another content than the oracle's or than an earlier copy."""
    gaps: int = 0
    """Numbers below an account's highest that nothing was published with."""
    reordered: int = 0
    """First publications that came after one that should follow them."""
    duplicates: int = 0
    """Further copies of a message. Allowed."""
    examples: list[str] = field(default_factory=list)
    """Of what is wrong."""

    def note(self, what: str) -> None:
        """Keep an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(what)

    @property
    def broken(self) -> int:
        """How often a promise was broken."""
        return self.missing + self.unexpected + self.altered + self.gaps + self.reordered


def compare(
    expected: Mapping[str, Sequence[Said]],
    found: Mapping[str, Sequence[Said]],
    *,
    ordered: bool = True,
) -> Tally:
    """By key (account): what should have been published, and what lies on the topic, in order.

    The oracle may expect a message more than once (an event that was sent twice is forwarded
    twice); only further copies are duplicates. `ordered`: whether the order is promised.
    """
    tally = Tally()
    for key in sorted(expected.keys() | found.keys()):
        _compare_key(key, expected.get(key, ()), found.get(key, ()), ordered, tally)
    return tally


def _compare_key(
    key: str, expected: Sequence[Said], found: Sequence[Said], ordered: bool, tally: Tally
) -> None:
    wanted = {said.id: said for said in expected}
    position = {id_: i for i, id_ in enumerate(wanted)}
    copies = len(wanted) - len(expected)
    seen: dict[str, Said] = {}
    highest = -1
    for said in found:
        first = said.id not in seen
        original = seen.setdefault(said.id, said)
        copies += not first
        if said.id not in wanted:
            tally.unexpected += first
            tally.note(f"unexpected {said.id} of {key}: {said.content}")
            continue
        if said.content != wanted[said.id].content or said.whole != original.whole:
            tally.altered += 1
            tally.note(f"altered {said.id}: {said}, not {wanted[said.id]}, first {original}")
        if first and ordered and position[said.id] < highest:
            tally.reordered += 1
            tally.note(f"reordered {said.id} of {key}: {[each.id for each in found]}")
        highest = max(highest, position[said.id])
    missing = [id_ for id_ in wanted if id_ not in seen]
    if missing:
        tally.note(f"missing {missing} of {key}")
    skipped = _skipped(said.number for said in found)
    if skipped:
        tally.note(f"gap at {skipped} of {key}")
    tally.expected += len(wanted)
    tally.published += len(wanted) - len(missing)
    tally.missing += len(missing)
    tally.gaps += len(skipped)
    tally.duplicates += max(copies, 0)


def _skipped(numbers: Iterable[int]) -> list[int]:
    seen = set(numbers)
    return [n for n in range(1, max(seen, default=0)) if n not in seen]
