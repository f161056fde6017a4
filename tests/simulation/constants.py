"""The size and the timetable of every simulated world."""

from __future__ import annotations

from stream_app.events.instants import parse
from stream_app.streams.partitioning import partition_of

PARTITIONS = 2
START_US = parse("2025-03-03T00:00:00Z")
"""Wall clock at virtual time 0."""
PRODUCED_BY = 6.0
"""Virtual seconds by which every record has been produced."""
HEALED_AT = 9.0
"""From then on nothing fails any more."""
SESSION_SECONDS = 2.0
"""A member that is silent for so long loses its partitions."""

TOPICS = ("website-visits", "content-downloads", "email-events")
CONTROL = "account-control"


def _accounts() -> tuple[tuple[str, ...], ...]:
    """Account ids by partition."""
    names = [f"acme-{i}" for i in range(40)]
    return tuple(
        tuple(n for n in names if partition_of(n.encode(), PARTITIONS) == p)[:4]
        for p in range(PARTITIONS)
    )


ACCOUNTS = _accounts()

POISON = tuple(f"poison-{i}" for i in range(4))
"""Ids of records on which the worker is made to fail."""
