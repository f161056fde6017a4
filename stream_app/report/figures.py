"""The figures of a report: frozen values, computed from the material. Nothing is drawn here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream_app.changes.types import IntentSpike
from stream_app.events.instants import parse
from stream_app.report.accounts_map import AccountsMap, map_of
from stream_app.report.drift import Drift, drift_of
from stream_app.report.flows import Flows, flows_of
from stream_app.report.history import GONE, NEW, History, histories, moved
from stream_app.report.material import Material
from stream_app.report.movers import Movers, movers_of
from stream_app.report.segment_rows import ProfileRow, SegmentRow, profile_of, rows_of
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME, HealthCheck

_SPIKES = 12
_TOPICS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts of the whole period."""

    events: int
    accounts: int
    changes: tuple[tuple[str, int], ...]
    """By reason, most first."""
    moves: int
    """Changes from one segment of a model to another."""
    reversals: int
    """Of these, back to the segment that was left within the 7 days before."""
    spikes: int
    letters: tuple[tuple[str, int], ...]
    """Dead letters by reason, most first."""
    unreadable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spikes:
    """Unusual interest."""

    strongest: tuple[IntentSpike, ...]
    topics: tuple[tuple[str, int], ...]
    """Spikes by topic, most first; the first few topics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that a report shows."""

    source: str
    from_us: int
    """The earliest change that is known."""
    until_us: int
    changes_cut: bool
    letters_cut: bool
    names: Mapping[int, str]
    """Of all segments that are mentioned, and of `NEW` and `GONE`."""
    order: tuple[int, ...]
    """All their ids, the most important first."""
    model_version: int
    """0: there is no model yet."""
    totals: Totals
    segments: tuple[SegmentRow, ...]
    profile: tuple[ProfileRow, ...]
    rules: tuple[str, ...]
    map: AccountsMap | None
    sampled: int
    """Accounts that the map was computed from."""
    flows: Flows | None
    health: tuple[HealthCheck, ...]
    drift: Drift
    movers: Movers
    spikes: Spikes


def figures_of(material: Material) -> Figures:
    """Everything, from material of any source."""
    accounts = histories(material.changes)
    times = [history.times_us[0] for history in accounts.values()]
    until_us = material.as_of_us
    from_us = min(times, default=until_us)
    model = material.models[-1] if material.models else None
    flows = flows_of(accounts, material.sizes, from_us, until_us)
    before = flows.sizes(len(flows.instants_us) - 2) if flows else {}
    segments = rows_of(model, material.sizes, before)
    names = _names(material, segments)
    spikes = _spikes_of(material.spikes, accounts, from_us)
    return Figures(
        source=material.source,
        from_us=from_us,
        until_us=until_us,
        changes_cut=material.changes_cut,
        letters_cut=material.letters_cut,
        names=names,
        order=_order(segments, names),
        model_version=model.version if model else 0,
        totals=_totals(material, accounts, len(spikes)),
        segments=segments,
        profile=profile_of(model, material.accounts, [row.id for row in segments]),
        rules=tuple(model.rules) if model else (),
        map=map_of(material.accounts, model),
        sampled=len(material.accounts),
        flows=flows,
        health=tuple(model.health) if model else (),
        drift=drift_of(material.models),
        movers=movers_of(accounts, from_us, until_us),
        spikes=Spikes(
            strongest=tuple(sorted(spikes, key=lambda s: (-s.surprise, s.account_id))[:_SPIKES]),
            topics=_most(Counter(spike.topic for spike in spikes))[:_TOPICS],
        ),
    )


def _names(material: Material, segments: Iterable[SegmentRow]) -> dict[int, str]:
    """The newest name of every segment that anything mentions."""
    names: dict[int, str] = {}
    for change in material.changes:
        for ref in (change.previous, change.current):
            if ref and not ref.name.endswith("(retired)"):
                names[ref.id] = ref.name
    for model in material.models:
        names |= {segment.id: segment.name for segment in model.segments}
    current = {row.id: row.name for row in segments if row.id not in names}
    fixed = {UNSEGMENTED: UNSEGMENTED_NAME, NEW: "Not seen yet", GONE: "Erased"}
    return names | current | fixed


def _order(segments: Iterable[SegmentRow], names: Mapping[int, str]) -> tuple[int, ...]:
    """Segments of the model by size, then those of the past, then what is no segment."""
    current = [row.id for row in segments if row.id != UNSEGMENTED]
    past = sorted(names.keys() - {*current, UNSEGMENTED, NEW, GONE})
    return (*current, *past, UNSEGMENTED, NEW, GONE)


def _totals(material: Material, accounts: Mapping[str, History], spikes: int) -> Totals:
    changes = [change for history in accounts.values() for change in history.changes]
    return Totals(
        events=material.events,
        accounts=sum(material.sizes.values()),
        changes=_most(Counter(change.reason for change in changes)),
        moves=sum(map(moved, changes)),
        reversals=sum(history.reversals for history in accounts.values()),
        spikes=spikes,
        letters=_most(material.letters),
        unreadable=material.unreadable,
    )


def _spikes_of(
    spikes: Iterable[IntentSpike], accounts: Mapping[str, History], from_us: int
) -> list[IntentSpike]:
    """Each once, without those of accounts that were erased since. Of spikes older than all
    changes that is not known, so they are left out too."""
    found = {(spike.account_id, spike.number): spike for spike in spikes}
    return [spike for spike in found.values() if _known(spike, accounts, from_us)]


def _known(spike: IntentSpike, accounts: Mapping[str, History], from_us: int) -> bool:
    at_us = parse(spike.occurred_at)
    history = accounts.get(spike.account_id)
    erased = history and any(c.current is None and c.at_us >= at_us for c in history.changes)
    return at_us >= from_us and not erased


def _most(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
