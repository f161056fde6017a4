"""How much is measured: the sizes of a full run, of a quick one, and of the tests' own."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Plan:
    """Sizes of a run. The events of an account are as many in every load, so that a change is as
    likely in each."""

    name: str
    rounds: int
    """Of everything that is compared; the median counts."""
    events: int
    """Of the loads that the product's worker drains."""
    latency_seconds: float
    """Length of the load at each rate."""
    peer_share: float
    """Of the events that a peer's own load has in a full run."""
    few_accounts: int
    many_accounts: int
    """What an event costs is compared between these two."""
    partition_accounts: int
    """Of the partition that is claimed."""
    swept_accounts: int
    parts: tuple[str, ...]
    """What is measured if nothing is named."""
    load_accounts: int
    """Of the loads for the worker alone: so many that an account has few events in a batch, as it
    would have them at such a rate."""
    events_per_account: int = 100
    """Of all other loads, in which everybody begins with no accounts."""

    def accounts(self, events: int) -> int:
        """That a load of so many events has."""
        return max(events // self.events_per_account, 1)


PARTS = (
    "throughput",
    "stages",
    "comparison",
    "latency",
    "accounts",
    "scaleout",
    "takeover",
    "move",
    "sweep",
    "limits",
    "replay",
    "demo",
    "skew",
)
"""Modules of this package, each with `run(bench) -> Section`, in the order of the page."""

FULL = Plan(
    "full",
    rounds=3,
    events=200_000,
    latency_seconds=12.0,
    peer_share=1.0,
    few_accounts=10_000,
    many_accounts=1_000_000,
    partition_accounts=250_000,
    swept_accounts=200_000,
    parts=PARTS,
    load_accounts=50_000,
)
QUICK = replace(
    FULL,
    name="quick",
    events=40_000,
    latency_seconds=6.0,
    load_accounts=10_000,
    parts=("throughput", "stages", "latency", "replay", "demo"),
)
TINY = Plan(
    "tiny",
    rounds=1,
    events=6_000,
    latency_seconds=5.0,
    peer_share=0.05,
    few_accounts=200,
    many_accounts=2_000,
    partition_accounts=2_000,
    swept_accounts=5_000,
    parts=PARTS,
    load_accounts=1_500,
)
"""Says nothing about speed: only whether everything works."""
PLANS = {plan.name: plan for plan in (FULL, QUICK, TINY)}
