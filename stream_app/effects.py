"""What a step leads to, as values for others to carry out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stream_app.changes.accounts import Accounts, Told
from stream_app.changes.types import AccountSegment, FeatureSample, IntentSpike, SegmentChange
from stream_app.features.table import Erased, Rows


@dataclass(slots=True)
class Effects:
    """What a step leads to. Values for others to carry out."""

    touched: Rows
    """Rows whose records changed, each once."""
    applied: int = 0
    """Events that were no duplicates."""
    duplicates: int = 0
    controls: Counter[str] = field(default_factory=Counter)
    """Control events that were carried out, by type."""
    changes: list[SegmentChange] = field(default_factory=list)
    spikes: list[IntentSpike] = field(default_factory=list)
    decided: list[Accounts] = field(default_factory=list)
    """Where accounts stand whose segment or band changed, or that had a spike. Who is in several of
    them stands as the last one says."""
    restated: dict[str, AccountSegment] = field(default_factory=dict)
    """Where accounts stand that were asked for."""
    samples: list[FeatureSample] = field(default_factory=list)
    new_topics: dict[int, str] = field(default_factory=dict)
    """Topic names seen for the first time in this partition, by hash."""
    gone: list[str] = field(default_factory=list)
    """Accounts that are not there (any more): what is stored and published of them goes."""
    erased: dict[str, Erased] = field(default_factory=dict)
    """What remains of accounts that were erased now, by `digest_of` their id."""

    @property
    def accounts(self) -> dict[str, AccountSegment]:
        """Where accounts stand, as payloads; they are made anew each time."""
        decided = [account for accounts in self.decided for account in accounts.payloads()]
        return {account.account_id: account for account in decided} | self.restated

    def told(self) -> list[Told]:
        """Where accounts stand, each once, ready to be sent."""
        decided = [told for accounts in self.decided for told in accounts.told()]
        if len(self.decided) > 1:
            decided = list({told.account_id: told for told in decided}.values())
        return decided + [Told.of(account) for account in self.restated.values()]
