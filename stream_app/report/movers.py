"""The accounts whose engagement changed most while they moved to another segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream_app.changes.types import Moved
from stream_app.events.instants import DAY
from stream_app.report.history import History, moved

WINDOW_US = 14 * DAY
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Mover:
    """One account before and after."""

    account: str
    source: int
    """Segment at the beginning of the window."""
    target: int
    at_us: int
    """Of its last change."""
    before: float
    """Engagement score at its last change before the window."""
    after: float
    """Engagement score at its last change."""
    active: bool
    """Whether something that it did made the last change, and not silence."""
    why: Moved | None
    """What decided the last change most."""


@dataclass(frozen=True, slots=True)
class Movers:
    """Largest difference first. The change before may be long ago: whose score is lower since, but
    moved by doing something, is not cooling down, and whom silence moved is not warming up."""

    since_us: int
    up: tuple[Mover, ...]
    """Moved by what they did, with a higher score."""
    down: tuple[Mover, ...]
    """Moved by silence, with a lower score."""


def movers_of(accounts: Mapping[str, History], from_us: int, until_us: int) -> Movers:
    """Movers of the last 14 days, or of the second half of a shorter time. A new version of the
    model moves nobody here."""
    since_us = max(until_us - WINDOW_US, (from_us + until_us) // 2)
    found = list(_movers(accounts, since_us))
    up = [mover for mover in found if mover.active]
    down = [mover for mover in found if not mover.active]
    return Movers(since_us, _most(up, 1.0), _most(down, -1.0))


def _movers(accounts: Mapping[str, History], since_us: int) -> Iterable[Mover]:
    for account, history in accounts.items():
        index = history.index_at(since_us)
        last = history.changes[-1]
        if index < 0 or index == len(history.changes) - 1:
            continue
        before = history.changes[index]
        if last.reason not in {"behaviour", "inactivity"} or not moved(last):
            continue
        if before.current is None or last.current is None or before.current.id == last.current.id:
            continue
        yield Mover(
            account,
            before.current.id,
            last.current.id,
            last.at_us,
            before.engagement,
            last.engagement,
            last.reason == "behaviour",
            last.why,
        )


def _most(movers: Iterable[Mover], sign: float) -> tuple[Mover, ...]:
    found = [mover for mover in movers if sign * (mover.after - mover.before) > 0]
    found.sort(key=lambda mover: (-sign * (mover.after - mover.before), mover.account))
    return tuple(found[:_SHOWN])
