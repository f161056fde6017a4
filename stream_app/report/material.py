"""What a report is made from, wherever it was read: a replay's folder, or Redis and Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

from stream_app.changes.types import (
    AccountSegment,
    IntentSpike,
    Moved,
    ReasonCode,
    SegmentChange,
    SegmentRef,
)
from stream_app.events.instants import parse
from stream_app.segments.snapshot import Snapshot

MAX_ACCOUNTS = 4_000
"""Accounts that are looked at one by one; more are counted only."""
MAX_CHANGES = 200_000
"""The newest of them; some 60 MB."""
MAX_SPIKES = 20_000
MAX_MODELS = 1_000
MAX_LETTERS = 5_000
"""Dead letters whose reasons are counted when they have to be read from Kafka."""


class Change(Struct, frozen=True, gc=False):
    """What a report needs of one segment change: many are held at once."""

    account: str
    sequence: int
    at_us: int
    previous: SegmentRef | None
    """None: the account was new."""
    current: SegmentRef | None
    """None: the account was erased."""
    reason: ReasonCode
    engagement: float
    why: Moved | None
    """The feature that decided most."""

    @classmethod
    def of(cls, change: SegmentChange) -> Change:
        """The needed part of a published change."""
        return cls(
            change.account_id,
            change.sequence,
            parse(change.occurred_at),
            change.previous,
            change.current,
            change.reason,
            change.scores.engagement,
            change.why[0] if change.why else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything that the figures are computed from."""

    source: str
    """Where it comes from, for the head of the page."""
    as_of_us: int
    events: int
    """Records that were read."""
    models: tuple[Snapshot, ...]
    """Versions in order; the last one is in use. Empty: there is no model yet."""
    sizes: Mapping[int, int]
    """Accounts by segment id: all of them."""
    accounts: tuple[AccountSegment, ...]
    """A sample of at most `MAX_ACCOUNTS`."""
    changes: tuple[Change, ...]
    """In the order in which they were read: each account's own are in order."""
    changes_cut: bool
    """Whether there are or were older changes than these."""
    spikes: tuple[IntentSpike, ...]
    letters: Mapping[str, int]
    """Dead letters by reason."""
    letters_cut: bool = False
    """Whether older dead letters are not among these."""
    unreadable: int = 0
    """Records on the topics that could not be read, and were passed over."""
