"""Streams, models and runs of the engine for tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stream_app.changes.types import AccountSegment, FeatureSample, IntentSpike, SegmentChange
from stream_app.effects import Effects
from stream_app.engine import Engine
from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR, MINUTE, SECOND
from stream_app.events.types import Event
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.features.table import FeatureTable
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, SegmentModel, Snapshot
from stream_app.settings import Settings, SpikeSettings
from tests.features.build import START_US, columns, event

DIMENSIONS = [dimension.name for dimension in MODEL_VECTOR]

EAGER_SPIKES = SpikeSettings(
    min_surprise=0.5, min_contacts=1, cooldown_hours=3.0, campaign_visits=True
)
"""So easily surprised that a short random stream has spikes."""


def snapshot(version: int, *centres: Mapping[str, float], ids: Sequence[int] = ()) -> Snapshot:
    """A model whose centres lie at the given values of some features (in their units)."""
    numbers = ids or range(1, len(centres) + 1)
    return Snapshot(
        version=version,
        created_at="2025-01-01T00:00:00Z",
        catalogue=catalogue_hash(),
        dimensions=DIMENSIONS,
        mean=[0.0] * len(DIMENSIONS),
        scale=[1.0] * len(DIMENSIONS),
        segments=[
            SegmentModel(
                id=number,
                name=f"Segment number {number}",
                description="",
                centre=[float(np.log1p(centre.get(name, 0.0))) for name in DIMENSIONS],
                share=0.0,
            )
            for number, centre in zip(numbers, centres, strict=True)
        ],
        vectors=1_000,
        trained_from="2025-01-01T00:00:00Z",
        trained_until="2025-01-01T00:00:00Z",
    )


QUIET_OR_BUSY = snapshot(
    1,
    {"silence_days": 31.0},
    {"web_visits_7d": 1.3, "web_visits_28d": 1.4},
    {"web_visits_7d": 9.0, "web_visits_28d": 14.0, "contacts_28d": 3.1},
    {"pricing_pages_28d": 3.3, "downloads_decision_28d": 1.2, "web_visits_7d": 4.0},
)
OTHER_VIEW = snapshot(
    2,
    {"silence_days": 9.7, "web_visits_28d": 2.1},
    {"web_visits_7d": 2.7, "web_visits_28d": 3.9},
    {"email_clicks_28d": 2.2},
    ids=(2, 3, 7),
)
MODELS = (None, QUIET_OR_BUSY, OTHER_VIEW)


@dataclass
class Outcome:
    """Everything that a run led to, by account, in a form that can be compared."""

    states: dict[str, bytes] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    changes: dict[str, list[SegmentChange]] = field(default_factory=dict)
    spikes: dict[str, list[IntentSpike]] = field(default_factory=dict)
    samples: dict[str, list[FeatureSample]] = field(default_factory=dict)
    accounts: dict[str, AccountSegment] = field(default_factory=dict)
    topics: dict[int, str] = field(default_factory=dict)
    applied: int = 0
    duplicates: int = 0


class Run:
    """An engine over one table, with all effects kept."""

    def __init__(self, settings: Settings, model: Snapshot | None = None) -> None:
        self.settings = settings
        self.engine = Engine(settings)
        self.table = FeatureTable(2)
        self.outcome = Outcome()
        self.use(model)

    def use(self, model: Snapshot | None) -> None:
        """Switch to another model."""
        self.assigner = Assigner(model, Hysteresis.of(self.settings.segments)) if model else None

    def step(self, *events: Event, now_us: int | None = None) -> Effects:
        """Apply events as one batch."""
        effects = self.engine.step(self.table, columns(events), self.assigner, now_us)
        return self._keep(effects)

    def each(self, *events: Event) -> list[Effects]:
        """Apply events one by one."""
        return [self.step(one) for one in events]

    def sweep(self, until_us: int, limit: int = 1_000) -> None:
        """Let time pass until nothing is left to do."""
        while True:
            effects = self._keep(
                self.engine.sweep(self.table, until_us, self.assigner, None, limit)
            )
            if not len(effects.touched):
                return

    def finished(self) -> Outcome:
        """The outcome, with the final state of the table."""
        rows, out = np.arange(len(self.table)), self.outcome
        out.states = dict(self.table.pack(rows))
        out.due = dict(zip(self.table.all_ids(), self.table.due_us[rows].tolist(), strict=True))
        out.topics = self.table.topic_names
        return out

    def _keep(self, effects: Effects) -> Effects:
        out = self.outcome
        kept: Iterable[tuple[dict[str, list[Any]], list[Any]]] = (
            (out.changes, effects.changes),
            (out.spikes, effects.spikes),
            (out.samples, effects.samples),
        )
        for by_account, payloads in kept:
            for payload in payloads:
                by_account.setdefault(payload.account_id, []).append(payload)
        out.accounts |= effects.accounts
        out.applied += effects.applied
        out.duplicates += effects.duplicates
        return effects


_gaps = st.one_of(
    st.integers(0, 5 * MINUTE),
    st.integers(MINUTE, 4 * HOUR),
    st.integers(HOUR, 2 * DAY),
    st.integers(DAY, 60 * DAY),
)
_lateness = st.one_of(st.just(0), st.just(0), st.just(0), st.integers(SECOND, 40 * DAY))
_topics = st.lists(st.sampled_from(list("abcdefgh")), max_size=5)


@st.composite
def streams(
    draw: st.DrawFn, *, late: bool = True, accounts: str = "AB", most: int = 40
) -> list[Event]:
    """Events of few accounts: bursts, long gaps, duplicates, and late ones unless told."""
    events: list[Event] = []
    at_us = START_US
    for i in range(draw(st.integers(1, most))):
        if events and draw(st.integers(0, 9)) == 0:
            again = draw(st.sampled_from(events))
            if late or again.occurred_at == events[-1].occurred_at:
                events.append(again)
                continue
        at_us += draw(_gaps)
        kind = draw(st.sampled_from(list(Kind)))
        fields: dict[str, Any] = {"topics": draw(_topics)}
        if kind in (Kind.VISIT, Kind.VISIT_PRODUCT, Kind.VISIT_PRICING):
            fields["dwell_seconds"] = draw(st.floats(0, 4_000))
            fields["session_id"] = draw(st.sampled_from(["", *"uvwxyz"]))
        events.append(
            event(
                kind,
                at_us - (draw(_lateness) if late else 0),
                draw(st.sampled_from(accounts)),
                f"id-{i}",
                contact_id=draw(st.sampled_from([None, "c1", "c2", "c3", "c4"])),
                **fields,
            )
        )
    return events


def split(draw: st.DrawFn, events: Sequence[Event]) -> list[Sequence[Event]]:
    """Events in batches of random sizes."""
    cuts = sorted(draw(st.sets(st.integers(1, max(len(events) - 1, 1)), max_size=12)))
    edges = [0, *(cut for cut in cuts if cut < len(events)), len(events)]
    return [events[a:b] for a, b in itertools.pairwise(edges)]
