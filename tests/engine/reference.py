"""A second implementation of what the engine decides: one event at a time, in plain Python.

It shares the tested parts below the decisions (decayed features, the schedule of silence checks)
and nothing else: scores, bands, distances, hysteresis, de-duplication and the order of looks are
written again from their description.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream_app.events.instants import DAY
from stream_app.events.types import Event
from stream_app.features import silence, update
from stream_app.features.table import ACCOUNT
from stream_app.features.values import values_at
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from tests.features.build import columns


def _empty() -> npt.NDArray[np.void]:
    record = np.zeros(1, ACCOUNT)
    record["segment"] = -1
    return record


@dataclass
class Account:
    """What the reference knows of an account."""

    record: npt.NDArray[np.void] = field(default_factory=_empty)
    ids: deque[str] = field(default_factory=lambda: deque(maxlen=64))
    model: int = 0
    segment: int | None = None
    bands: list[int] = field(default_factory=lambda: [0, 0])
    changes: list[tuple[int, int | None, int, str]] = field(default_factory=list)
    """(sequence, previous, current, reason)."""
    margins: list[float | None] = field(default_factory=list)
    pending: tuple[int, str] | None = None
    """Since when weak evidence has lasted, and the reason of the look that saw it first."""


class Reference:
    """Accounts under a model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.weights = update.Weights(settings.scores)
        self.model: Snapshot | None = None
        self.accounts: dict[str, Account] = {}

    def event(self, event: Event) -> None:
        """Apply one event."""
        account = self.accounts.setdefault(event.account_id, Account())
        if event.id in account.ids:
            return
        batch = columns([event])
        at_us = int(batch.at_us[0])
        self._new_model(account)
        if account.ids:
            self._silence(account, at_us)
        account.ids.append(event.id)
        update.advance(account.record, batch.at_us)
        update.add(account.record, batch, np.array([0]), self.weights)
        self._decide(account, "behaviour")

    def sweep(self, until_us: int) -> None:
        """Let time pass."""
        for account in self.accounts.values():
            self._new_model(account)
            self._silence(account, until_us)

    def _new_model(self, account: Account) -> None:
        version = self.model.version if self.model else 0
        if account.ids and account.model != version:
            account.model = version
            self._decide(account, "model")
        account.model = version

    def _silence(self, account: Account, before_us: int) -> None:
        while silence.next_due(account.record)[0] < before_us:
            account.record["checks"] += 1
            self._decide(account, "inactivity")

    def _decide(self, account: Account, reason: str) -> None:
        at_us = int(silence.as_of(account.record)[0])
        values = values_at(account.record, np.array([at_us]))
        self._rescore(account, values.named(0))
        segment, margin, gain = self._nearest(account.segment, values.vector[0].tolist())
        if segment == account.segment:
            account.pending = None
            return
        rules = self.settings.segments
        if gain is not None:
            strong, (since, first) = gain > rules.strong_margin, account.pending or (at_us, reason)
            if not strong and at_us - since < rules.confirm_days * DAY:
                account.pending = since, first
                return
            if not strong or first == "model" or reason == "inactivity":
                reason = first
        account.pending = None
        reason = "first_seen" if account.segment is None else reason
        account.changes.append((len(account.changes) + 1, account.segment, segment, reason))
        account.margins.append(margin)
        account.segment = segment

    def _rescore(self, account: Account, features: dict[str, float]) -> None:
        scores = self.settings.scores
        days = features["active_days_28d"] + scores.contact_days * features["contacts_28d"]
        days += scores.activity_days * math.log1p(features["engagement_points_28d"])
        engagement = days / scores.engagement_scale
        intent = features["intent_points_7d"] / scores.intent_scale
        for i, points in enumerate((engagement, intent)):
            account.bands[i] = self._band(100 * (1 - math.exp(-points)), account.bands[i])

    def _band(self, score: float, band: int) -> int:
        """Up as long as the next band's entry is reached, down as long as the own exit is."""
        enter, leave = self.settings.scores.enter, self.settings.scores.leave
        while band < 3 and score >= enter[band]:
            band += 1
        while band > 0 and score < leave[band - 1]:
            band -= 1
        return band

    def _nearest(
        self, own: int | None, vector: list[float]
    ) -> tuple[int, float | None, float | None]:
        """Stay, unless another centre is nearer by the margin: segment, how far inside, and by
        which share it is nearer than the own centre (None: there is no own one)."""
        if self.model is None:
            return (0 if own is None else own), None, None
        distances = {
            s.id: math.dist(
                [(v - m) / x for v, m, x in zip(vector, *self._scaling(), strict=True)], s.centre
            )
            for s in self.model.segments
        }
        (nearest, least), *others = sorted(distances.items(), key=lambda item: item[1])
        margin = 1 - least / others[0][1] if others else 1.0
        if own not in distances:
            return nearest, margin, None
        if least >= (1 - self.settings.segments.margin) * distances[own]:
            return own, margin, None
        return nearest, margin, 1 - least / distances[own]

    def _scaling(self) -> tuple[list[float], list[float]]:
        assert self.model is not None
        return self.model.mean, self.model.scale
