"""What a run led to, and its figures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.chaos.oracle import Expected
from tests.chaos.setup import Options
from tests.chaos.verify import Verdict


@dataclass
class Outcome:
    """What a run led to."""

    options: Options
    seconds: float = 0.0
    """Of load."""
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By kind of fault: seconds from the fault to the first new commit, of each partition."""
    away: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By kind of fault: seconds for which Kafka or Redis did not answer."""
    faults: dict[str, int] = field(default_factory=dict)
    unrecovered: list[str] = field(default_factory=list)
    """What did not go on within the run's patience."""
    bad_exits: list[str] = field(default_factory=list)
    refused_starts: int = 0
    """Of workers, while Kafka or Redis was away; they were started again."""
    tracebacks: list[str] = field(default_factory=list)
    records: int = 0
    """On the input topics."""
    expected: Expected = field(default_factory=Expected)
    verdict: Verdict = field(default_factory=Verdict)


def report(outcome: Outcome) -> dict[str, Any]:
    """The figures of a run; `broken` counts everything that breaks a promise."""
    verdict, tallies = outcome.verdict, outcome.verdict.topics
    changes = tallies["segment-changes"]
    sums = {
        name: sum(getattr(tally, name) for tally in tallies.values())
        for name in ("missing", "gaps", "reordered", "unexpected", "altered")
    }
    others = {
        "state_mismatches": verdict.state_mismatches,
        "lost_input": verdict.lost_input,
        "unread": verdict.unread,
        "untrimmed": verdict.outboxes,
        "unrecovered": len(outcome.unrecovered),
        "bad_exits": len(outcome.bad_exits),
        "tracebacks": len(outcome.tracebacks),
    }
    return {
        "seed": outcome.options.seed,
        "seconds": round(outcome.seconds, 1),
        "workers": outcome.options.workers,
        "overlap": outcome.options.overlap,
        "faults": dict(sorted(outcome.faults.items())),
        "records": outcome.records,
        "events": outcome.expected.events,
        "changes_expected": changes.expected,
        "changes_published": changes.published,
        "reasons": outcome.expected.reasons,
        **sums,
        **others,
        "duplicates": sum(tally.duplicates for tally in tallies.values()),
        "refused_starts": outcome.refused_starts,
        "stale_account_segments": verdict.stale_account_segments,
        "topics": {
            name: {"expected": t.expected, "published": t.published, "duplicates": t.duplicates}
            for name, t in tallies.items()
        },
        "recovery_seconds": _spread([s for each in outcome.recoveries.values() for s in each]),
        "recovery_seconds_by_fault": {
            kind: _spread(seconds) for kind, seconds in sorted(outcome.recoveries.items())
        },
        "away_seconds_by_fault": {
            kind: _spread(seconds) for kind, seconds in sorted(outcome.away.items())
        },
        "broken": sum(sums.values()) + sum(others.values()),
    }


def examples(outcome: Outcome) -> list[str]:
    """What is wrong, a few of each sort."""
    return [
        *(what for tally in outcome.verdict.topics.values() for what in tally.examples),
        *outcome.verdict.examples,
        *outcome.unrecovered,
        *outcome.bad_exits,
        *outcome.tracebacks[:3],
    ]


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {"p50": round(median(seconds), 2), "max": round(max(seconds), 2)}
