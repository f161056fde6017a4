"""Looks at the running system now and then, and makes a picture of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple

from prometheus_client import Counter

from stream_app.demo.picture import Model, Phase, Picture, SegmentLine, Totals
from stream_app.demo.system import System
from stream_app.events.instants import DAY, HOUR
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME, retired_name

_LATELY_SECONDS = 2.0
_HISTORY_US = 12 * HOUR
_HISTORY = 15
"""Sizes of segments kept: a week in steps of half a day, both ends included."""


class _Mark(NamedTuple):
    at: float
    now_us: int
    events: int


class Meter:
    """Rates and trends over the last pictures."""

    def __init__(self, system: System, days_per_second: float) -> None:
        self._system = system
        self._wanted = days_per_second
        self._marks: deque[_Mark] = deque()
        self._sizes: deque[Mapping[int, int]] = deque(maxlen=_HISTORY)
        self._sized_us = 0
        self._began: float | None = None

    async def picture(self, phase: Phase, warning: str = "") -> Picture:
        """How things stand at this moment."""
        system, now = self._system, monotonic()
        if self._began is None and system.producer.handed_over:
            self._began = now
        now_us = system.clock.now_us()
        sizes = await system.accounts_by_segment()
        if sizes and now_us - self._sized_us >= _HISTORY_US:
            self._sizes.append(sizes)
            self._sized_us = now_us
        totals = self.totals()
        rates = self._rates(_Mark(now, now_us, totals.events))
        changes, spikes = system.observer.lines(now)
        return Picture(
            phase=phase,
            seconds=now - self._began if self._began else 0.0,
            now_us=now_us,
            days=(now_us - system.traffic.config.start_us) / DAY,
            days_per_second=rates[1],
            wanted_days_per_second=self._wanted,
            events_per_second=rates[0],
            lag=system.freshness.recent(now),
            accounts=sum(sizes.values()),
            totals=totals,
            model=self._model(),
            segments=self._segments(sizes),
            trend_days=max(len(self._sizes) - 1, 0) * _HISTORY_US / DAY,
            changes=changes,
            spikes=spikes,
            warning=warning,
        )

    def totals(self) -> Totals:
        """Counts since the start."""
        system = self._system
        return Totals(
            records=system.producer.handed_over,
            events=_total(system.metrics.events),
            duplicates=_total(system.metrics.duplicates),
            dead_letters=dict(system.observer.dead_letters),
            changes=dict(system.observer.changes),
            spikes=len(system.observer.spikes),
        )

    def _rates(self, mark: _Mark) -> tuple[float, float]:
        """Events and simulated days per real second, lately."""
        marks = self._marks
        marks.append(mark)
        while len(marks) > 2 and mark.at - marks[1].at >= _LATELY_SECONDS:
            marks.popleft()
        seconds = mark.at - marks[0].at
        if seconds <= 0:
            return 0.0, 0.0
        days = (mark.now_us - marks[0].now_us) / DAY
        return (mark.events - marks[0].events) / seconds, days / seconds

    def _model(self) -> Model:
        needed = self._system.settings.segments.warm_start_vectors
        snapshot = self._system.snapshot
        return Model(snapshot.version if snapshot else 0, self._system.vectors, needed)

    def _segments(self, sizes: Mapping[int, int]) -> tuple[SegmentLine, ...]:
        snapshot = self._system.snapshot
        names = {s.id: s.name for s in snapshot.segments} if snapshot else {}
        names[UNSEGMENTED] = UNSEGMENTED_NAME
        shown = [segment for segment in {*names, *sizes} if segment or sizes.get(0)]
        return tuple(
            SegmentLine(
                id=segment,
                name=names.get(segment) or retired_name(segment, snapshot),
                accounts=sizes.get(segment, 0),
                history=tuple(old[segment] for old in self._sizes if segment in old),
            )
            for segment in sorted(shown, key=lambda segment: (-sizes.get(segment, 0), segment))
        )


def _total(counter: Counter) -> int:
    """Value of a counter without labels."""
    return int(
        sum(
            sample.value
            for family in counter.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )
    )
