"""Reads what the worker publishes, as a downstream tool would, and keeps what is worth showing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from time import monotonic

import msgspec

from stream_app.changes.types import IntentSpike, ReasonCode, SegmentChange
from stream_app.demo.freshness import Freshness
from stream_app.demo.picture import ChangeLine, SpikeLine
from stream_app.demo.words import number
from stream_app.events.instants import parse
from stream_app.streams import topics
from stream_app.streams.ports import Record

TOPICS = (topics.SEGMENT_CHANGES.name, topics.INTENT_SPIKES.name, topics.DEAD_LETTERS.name)
_KEPT = 40
_CHANGE_SECONDS, _SPIKE_SECONDS = 0.5, 1.0
"""So often a person can take in another line."""

_decode_change = msgspec.json.Decoder(SegmentChange).decode
_decode_spike = msgspec.json.Decoder(IntentSpike).decode


class Observer:
    """Counts everything that it is given, and chooses lines to show.

    Hundreds of changes a second cannot be read. So lines are chosen at a pace that people can
    follow, the latest of each reason in turn; accounts seen for the first time only when there is
    nothing else.
    """

    def __init__(self, freshness: Freshness, topic_prefix: str = "") -> None:
        self.changes: Counter[str] = Counter()
        """By reason."""
        self.dead_letters: Counter[str] = Counter()
        """By reason."""
        self.spikes: list[tuple[str, str, int]] = []
        """(account, topic, when it occurred) of every spike."""
        self._freshness = freshness
        self._prefix = topic_prefix
        self._waiting: dict[ReasonCode, SegmentChange] = {}
        self._shown_at: dict[ReasonCode, float] = {}
        self._lines: deque[ChangeLine] = deque(maxlen=_KEPT)
        self._spike: IntentSpike | None = None
        self._spike_lines: deque[SpikeLine] = deque(maxlen=_KEPT)
        self._change_at = self._spike_at = 0.0

    def take(self, records: Sequence[Record]) -> None:
        """Records of `TOPICS` that have just been read."""
        now = monotonic()
        for record in records:
            topic = record.topic.removeprefix(self._prefix)
            if topic == topics.SEGMENT_CHANGES.name:
                self._take_change(_decode_change(record.value), now)
            elif topic == topics.INTENT_SPIKES.name:
                self._spike = spike = _decode_spike(record.value)
                self.spikes.append((spike.account_id, spike.topic, parse(spike.occurred_at)))
            else:
                self.dead_letters[dict(record.headers)["ce_reason"].decode()] += 1

    def _take_change(self, change: SegmentChange, now: float) -> None:
        self.changes[change.reason] += 1
        self._waiting[change.reason] = change
        if change.reason in ("first_seen", "behaviour"):
            self._freshness.readable(change.account_id, parse(change.occurred_at), now)

    def lines(self, now: float) -> tuple[tuple[ChangeLine, ...], tuple[SpikeLine, ...]]:
        """Changes and spikes to show at this real moment, newest first."""
        if self._waiting and now - self._change_at >= _CHANGE_SECONDS:
            reason = min(self._waiting, key=self._last_shown)
            self._lines.appendleft(_change_line(self._waiting.pop(reason)))
            self._change_at = self._shown_at[reason] = now
        if self._spike is not None and now - self._spike_at >= _SPIKE_SECONDS:
            self._spike_lines.appendleft(_spike_line(self._spike))
            self._spike, self._spike_at = None, now
        return tuple(self._lines), tuple(self._spike_lines)

    def _last_shown(self, reason: ReasonCode) -> tuple[bool, float]:
        return reason == "first_seen", self._shown_at.get(reason, 0.0)


def _change_line(change: SegmentChange) -> ChangeLine:
    return ChangeLine(
        account=change.account_id,
        previous=change.previous.name if change.previous else "",
        current=change.current.name if change.current else "",
        reason=change.reason,
        why=in_words(change),
    )


def in_words(change: SegmentChange) -> tuple[tuple[str, str], ...]:
    """Why, for a person."""
    if change.reason == "first_seen":
        return (("its first event", ""),)
    if change.reason == "model":
        return (("new model, version", str(change.model_version)),)
    return tuple(
        (moved.label, f"{number(moved.before)} → {number(moved.now)}") for moved in change.why
    )


def _spike_line(spike: IntentSpike) -> SpikeLine:
    return SpikeLine(
        account=spike.account_id,
        topic=spike.topic,
        times=spike.visits / spike.expected,
        people=spike.people,
        segment=spike.segment.name,
    )
