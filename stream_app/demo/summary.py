"""What a run of the demo ends with: one JSON object, or a few plain lines."""

from __future__ import annotations

import msgspec

from stream_app.demo.picture import Picture
from stream_app.demo.planted import Found
from stream_app.demo.words import milliseconds, plural
from stream_app.events.instants import SECOND, to_rfc3339


class SegmentSize(msgspec.Struct, frozen=True):
    """A segment and how many accounts are in it."""

    id: int
    name: str
    accounts: int


class Milliseconds(msgspec.Struct, frozen=True):
    """Real time from handing an event to the broker until its change could be read;
    null: no event caused a change."""

    p50: float | None
    p99: float | None


class PlantedSurges(msgspec.Struct, frozen=True):
    """How the spikes compare with what the traffic contains. Known because it is synthetic."""

    surges: int
    """Bursts of several people on one topic that are over and began when accounts had a
    baseline."""
    found: int
    """Of these, how many a spike reported."""
    spikes_inside: int
    """Spikes that lie in a planted surge. The others are interest that came by itself."""


class DemoSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the demo. records = events + duplicates + dead_letters, once all has arrived."""

    seconds: float
    simulated_days: float
    simulated_until: str
    records: int
    events: int
    events_per_second: float
    duplicates: int
    dead_letters: int
    dead_letters_by_reason: dict[str, int]
    accounts: int
    segments: list[SegmentSize]
    segment_changes: int
    segment_changes_by_reason: dict[str, int]
    intent_spikes: int
    planted: PlantedSurges
    lag_ms: Milliseconds
    model_version: int
    vectors: int
    seed: int


def summarise(picture: Picture, found: Found, seed: int) -> DemoSummary:
    """The summary of a run from its last picture."""
    totals = picture.totals
    return DemoSummary(
        seconds=round(picture.seconds, 2),
        simulated_days=round(picture.days, 2),
        simulated_until=to_rfc3339(picture.now_us // SECOND * SECOND),
        records=totals.records,
        events=totals.events,
        events_per_second=round(totals.events / max(picture.seconds, 1e-3), 1),
        duplicates=totals.duplicates,
        dead_letters=totals.refused,
        dead_letters_by_reason=dict(sorted(totals.dead_letters.items())),
        accounts=picture.accounts,
        segments=[SegmentSize(s.id, s.name, s.accounts) for s in picture.segments],
        segment_changes=totals.moved,
        segment_changes_by_reason=dict(sorted(totals.changes.items())),
        intent_spikes=totals.spikes,
        planted=PlantedSurges(found.surges, found.found, found.spikes_inside),
        lag_ms=Milliseconds(picture.lag.p50, picture.lag.p99),
        model_version=picture.model.version,
        vectors=picture.model.vectors,
        seed=seed,
    )


def as_text(summary: DemoSummary) -> str:
    """The same for a person."""
    lag, planted = summary.lag_ms, summary.planted
    until = summary.simulated_until.replace("T", " ").removesuffix("Z")
    freshness = (
        "no event caused a change"
        if lag.p50 is None or lag.p99 is None
        else f"a change can be read {milliseconds(lag.p50)} after its event was sent, "
        f"{milliseconds(lag.p99)} in the slowest 1 %"
    )
    facts = {
        "time": f"{summary.seconds:.1f} s for {summary.simulated_days:.1f} simulated days, "
        f"until {until} UTC, seed {summary.seed}",
        "events": f"{summary.events:,}, {summary.events_per_second:,.0f} per second; "
        f"{plural(summary.duplicates, 'duplicate')} dropped",
        "refused": plural(summary.dead_letters, "dead letter")
        + _by(summary.dead_letters_by_reason),
        "freshness": freshness,
        "changes": f"{summary.segment_changes:,}{_by(summary.segment_changes_by_reason)}",
        "spikes": f"{summary.intent_spikes:,}, {planted.spikes_inside:,} of them in planted "
        f"surges; of {planted.surges:,} surges that are over, {planted.found:,} were found",
        "accounts": f"{summary.accounts:,} in {plural(len(summary.segments), 'segment')}, "
        f"model version {summary.model_version}",
    }
    lines = [f"{name:<10} {fact}" for name, fact in facts.items()]
    lines += [f"{segment.accounts:>17,}  {segment.name}" for segment in summary.segments]
    return "\n".join(lines)


def _by(counts: dict[str, int]) -> str:
    """Counts by reason, in brackets, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in ordered)
    return f" ({words})" if words else ""
