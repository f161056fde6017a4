"""Compares the spikes of a run with the surges that its traffic contains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stream_app.events.instants import DAY
from stream_app.traffic import GroundTruth


@dataclass(frozen=True, slots=True)
class Found:
    """What was planted and what came of it."""

    surges: int
    """Planted surges that could be noticed and are over."""
    found: int
    """Of these, how many a spike on the same account and topic reported."""
    spikes_inside: int
    """Spikes that lie in a planted surge."""


def compare(truth: GroundTruth, spikes: Iterable[tuple[str, str, int]], until_us: int) -> Found:
    """Match spikes with surges of the same account and topic, until a day after a surge's end.

    Parameters
    ----------
    spikes
        (account, topic, when it occurred), microseconds.
    until_us
        Surges that end later do not count: they go on.
    """
    surges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for surge in truth.surges:
        surges.setdefault((surge.account_id, surge.topic), []).append(
            (surge.start_us, surge.end_us)
        )
    reported: set[tuple[str, str, int]] = set()
    inside = 0
    for account, topic, at_us in spikes:
        hits = [
            start for start, end in surges.get((account, topic), ()) if start <= at_us <= end + DAY
        ]
        inside += bool(hits)
        reported.update((account, topic, start) for start in hits)
    over = {
        (surge.account_id, surge.topic, surge.start_us)
        for surge in truth.surges
        if surge.end_us <= until_us
    }
    return Found(len(over), len(over & reported), inside)
