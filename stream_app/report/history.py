"""Changes by account, and which segment an account was in at an instant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from stream_app.events.instants import DAY
from stream_app.report.material import Change
from stream_app.segments.snapshot import UNSEGMENTED

NEW = -1
"""Stands for the segment of an account that has not been seen yet."""
GONE = -2
"""Stands for the segment of an account that was erased."""
REVERSAL_US = 7 * DAY


@dataclass(frozen=True, slots=True)
class History:
    """The changes of one account, at least one, by sequence."""

    changes: Sequence[Change]
    times_us: Sequence[int]
    """Of each change; never falling, although late events may have caused them."""

    @property
    def segment(self) -> int:
        """Where the last change put the account."""
        return _segment(self.changes[-1])

    @property
    def gone(self) -> bool:
        """Whether the account was erased and has not been seen again."""
        return self.changes[-1].current is None

    def index_at(self, instant_us: int) -> int:
        """Index of the last change up to an instant; -1: none."""
        return bisect_right(self.times_us, instant_us) - 1

    def at(self, instant_us: int) -> int:
        """Id of the segment at an instant, `NEW` or `GONE`."""
        index = self.index_at(instant_us)
        if index >= 0:
            return _segment(self.changes[index])
        before = self.changes[0].previous
        return before.id if before else NEW

    @property
    def reversals(self) -> int:
        """Changes back to the segment that was left within the 7 days before."""
        pairs = zip(self.changes, self.changes[1:], self.times_us, self.times_us[1:], strict=False)
        return sum(
            moved(first) and moved(second) and second.current == first.previous
            for first, second, left_us, back_us in pairs
            if back_us - left_us <= REVERSAL_US
        )


def moved(change: Change) -> bool:
    """Whether it leads from one segment of a model to another."""
    before, after = change.previous, change.current
    return before is not None and after is not None and before.id != UNSEGMENTED


def histories(changes: Iterable[Change]) -> dict[str, History]:
    """Changes by account, repetitions left out."""
    by_account: dict[str, dict[int, Change]] = {}
    for change in changes:
        by_account.setdefault(change.account, {})[change.sequence] = change
    found = {}
    for account, numbered in by_account.items():
        ordered = [numbered[sequence] for sequence in sorted(numbered)]
        times_us = list(accumulate((change.at_us for change in ordered), max))
        found[account] = History(ordered, times_us)
    return found


def _segment(change: Change) -> int:
    return change.current.id if change.current else GONE
