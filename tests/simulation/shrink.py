"""Fewer faults, same failure."""

from __future__ import annotations

from tests.simulation.plan import Plan
from tests.simulation.run import run


def shrunk(plan: Plan, bug: str | None = None) -> Plan:
    """Drop faults one by one as long as a promise is still broken."""
    again = True
    while again:
        again = False
        for i in range(len(plan.faults)):
            fewer = plan.without(plan.faults[:i] + plan.faults[i + 1 :])
            if run(fewer, bug=bug).violations:
                plan, again = fewer, True
                break
    return plan
