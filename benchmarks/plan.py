"""How much is measured: the sizes of a full run, of a quick one, and of the tests' own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of a run. The events of an account are as many in every load, so that a change is as
    likely in each."""

    name: str
    rounds: int
    """Of everything that is compared; the median counts."""
    events: int
    """Of the loads that the product's worker drains."""
    events_per_account: int = 60

    def accounts(self, events: int) -> int:
        """That a load of so many events has."""
        return max(events // self.events_per_account, 1)


FULL = Plan("full", rounds=3, events=600_000)
QUICK = Plan("quick", rounds=3, events=120_000)
TINY = Plan("tiny", rounds=1, events=6_000)
"""Says nothing about speed: only whether everything works."""
PLANS = {plan.name: plan for plan in (FULL, QUICK, TINY)}
