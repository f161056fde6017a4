"""How accounts moved between segments from one instant to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from stream_app.events.instants import DAY
from stream_app.report.history import GONE, NEW, History

INSTANTS = 5


@dataclass(frozen=True, slots=True)
class Flow:
    """Accounts that were in one segment at an instant, and in `target` at the next one."""

    period: int
    """0: from the first instant to the second."""
    source: int
    """Segment id, or `NEW`."""
    target: int
    """Segment id, or `GONE`."""
    accounts: int


@dataclass(frozen=True, slots=True)
class Flows:
    """Where accounts stood at a handful of instants."""

    instants_us: tuple[int, ...]
    flows: tuple[Flow, ...]
    """Those who stay are among them; those who have not come, or are gone already, are not."""

    @property
    def moves(self) -> list[Flow]:
        """Without those who stay: largest first within a period."""
        moves = [flow for flow in self.flows if flow.source != flow.target]
        return sorted(moves, key=lambda flow: (flow.period, -flow.accounts))

    def sizes(self, instant: int) -> Counter[int]:
        """Accounts by segment at one of the instants. `NEW`: those who come until the next one.
        `GONE`: those who went since the one before."""
        last = instant == len(self.instants_us) - 1
        found: Counter[int] = Counter()
        for flow in self.flows:
            if flow.period == instant:
                found[flow.source] += flow.accounts
            elif flow.period == instant - 1 and (last or flow.target == GONE):
                found[flow.target] += flow.accounts
        return found


def flows_of(
    accounts: Mapping[str, History], sizes: Mapping[int, int], from_us: int, until_us: int
) -> Flows | None:
    """Flows between `INSTANTS` instants, the last of which is `until_us`; None: no time passed.

    Accounts without a change have been where they are all the time, so they only need to be
    counted: `sizes` has all accounts.
    """
    step = (until_us - from_us) // INSTANTS
    if step <= 0:
        return None
    if step > DAY:
        step -= step % DAY
    instants = tuple(until_us - step * back for back in reversed(range(INSTANTS)))
    counts: Counter[tuple[int, int, int]] = Counter()
    resting = Counter(sizes)
    for history in accounts.values():
        resting[history.segment] -= 1
        standings = map(history.at, instants)
        for period, (source, target) in enumerate(pairwise(standings)):
            # An account that was erased and is seen again begins anew.
            left = NEW if source == GONE != target else source
            counts[period, left, target] += 1
    for segment, number in resting.items():
        if number > 0:  # workers go on while we read
            for period in range(INSTANTS - 1):
                counts[period, segment, segment] += number
    flows = [
        Flow(*key, number)
        for key, number in sorted(counts.items())
        if key[1] != GONE and key[2] != NEW
    ]
    return Flows(instants, tuple(flows))
