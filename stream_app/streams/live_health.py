"""The vetting list for the accounts that a worker holds, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from stream_app.segments import health
from stream_app.segments.snapshot import Snapshot
from stream_app.segments.targets import read_targets
from stream_app.settings import Settings
from stream_app.streams.metrics import Metrics
from stream_app.streams.processor import Processor

_SAMPLE = 1_000
"""Accounts of a partition that are looked at, at most: a few milliseconds."""


class LiveHealth:
    """Judges the segments from time to time. Raises ConfigError when built, for a target file that
    cannot be read."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._targets = read_targets(settings.health)

    def show(self, snapshot: Snapshot | None, partitions: Iterable[Processor], now_us: int) -> None:
        """Set the gauges; without a model or accounts there are none."""
        self._metrics.health_value.clear()
        self._metrics.health_passed.clear()
        held = list(partitions)
        if snapshot is None or not held:
            return
        sizes: Counter[int] = Counter()
        before: Counter[int] = Counter()
        targets: Counter[int] = Counter()
        for processor in held:
            summary = processor.summary(now_us)
            sizes.update(summary.segments)
            before.update(summary.days[0].segments if summary.days else {})
            targets.update(processor.segments_of(self._targets or ()))
        checks = health.live(
            snapshot,
            np.concatenate([processor.sample(_SAMPLE, now_us) for processor in held]),
            sizes,
            before,
            None if self._targets is None else targets,
            self._settings.segments,
            self._settings.health,
        )
        for check in checks:
            if check.value is not None:
                self._metrics.health_value.labels(check.name).set(check.value)
            if check.passed is not None:
                self._metrics.health_passed.labels(check.name).set(check.passed)
