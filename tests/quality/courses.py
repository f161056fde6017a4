"""One stream under one rule and a fixed model: what changed, how the segments fitted, how late."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import mean

import numpy as np

from stream_app.changes.types import SegmentChange
from stream_app.events.instants import DAY, HOUR, parse
from stream_app.features.values import Floats
from stream_app.segments.snapshot import Assigner, Snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Replay
from stream_app.traffic import Surge, Traffic, TrafficConfig
from tests.quality.runs import moves, replayed, reversals, vectors_at

DAYS = 60
_FROM_DAY = 28
"""Before that most of what happens is that history fills up."""
_FOLLOWED_US = 2 * DAY
"""A strong change that is not followed for so long counts as never followed."""


Strong = list[tuple[Surge, int]]
"""Surges, each with the segment that it leads to."""


@dataclass(slots=True)
class Course:
    """What became of a stream under one rule and a fixed model."""

    changes: list[SegmentChange] = field(default_factory=list)
    looks: list[tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int32]]]] = field(
        default_factory=list
    )
    """All vectors and segments, once a week."""

    @property
    def share(self) -> float:
        """Reversals among the changes."""
        return reversals(self.changes) / max(len(self.changes), 1)

    def silhouette(self, model: Snapshot) -> float:
        """Mean over the weeks, of the segments that the accounts are in."""
        # Imported late, as everywhere: it takes a second.
        from sklearn.metrics import silhouette_score  # noqa: PLC0415

        scaled = Assigner(model).scaled
        return mean(
            silhouette_score(scaled(vectors), segments, sample_size=1_500, random_state=1)
            for vectors, segments in self.looks
        )


def traffic(seed: int, accounts: int, days: int = DAYS) -> TrafficConfig:
    """Office hours, weekends, planted switches and many surges."""
    return TrafficConfig(
        seed=seed,
        accounts=accounts,
        horizon_days=days,
        surges_per_account_day=0.004,
        with_type=True,
    )


def settings_with(rule: dict[str, float] | None = None) -> Settings:
    """Settings of `SegmentSettings` that differ from the defaults."""
    return Settings(segments=rule or {})  # type: ignore[arg-type]  # pydantic reads it


def trained_on(config: TrafficConfig, days: int = DAYS) -> Snapshot:
    """The model that traffic leads to."""
    model = replayed(config, days, settings_with(), lambda _: None).assigner
    assert model
    return model.snapshot


def course_of(config: TrafficConfig, model: Snapshot, rule: dict[str, float] | None) -> Course:
    """Traffic under a rule; None: the default one."""
    course = Course()
    changes: list[SegmentChange] = []

    def look(replay: Replay, at_us: int) -> None:
        day, hour = divmod((at_us - config.start_us) // HOUR, 24)
        if hour == 12 and day >= _FROM_DAY and day % 7 == 2:
            course.looks.append(vectors_at(replay, at_us))

    replayed(config, DAYS, settings_with(rule), lambda e: changes.extend(e.changes), model, look)
    course.changes = moves(changes, config.start_us + _FROM_DAY * DAY)
    return course


def strong_delays(strong: Strong, plain: Course, ours: Course) -> list[float]:
    """Hours between plain assignment and ours entering the segment that a strong change leads to;
    infinite: ours did not."""
    entered_plain, entered = _entries(plain), _entries(ours)
    delays = []
    for surge, segment in strong:
        first = [
            at
            for at, into in entered_plain.get(surge.account_id, [])
            if into == segment and surge.start_us <= at <= surge.end_us + HOUR
        ]
        if not first:
            continue
        follows = [
            at
            for at, into in entered.get(surge.account_id, [])
            if into == segment and surge.start_us <= at <= surge.end_us + _FOLLOWED_US
        ]
        delays.append(max(follows[0] - first[-1], 0) / HOUR if follows else float("inf"))
    return delays


def _entries(course: Course) -> dict[str, list[tuple[int, int]]]:
    entries: dict[str, list[tuple[int, int]]] = {}
    for change in course.changes:
        assert change.current
        entries.setdefault(change.account_id, []).append(
            (parse(change.occurred_at), change.current.id)
        )
    return entries


def strong_surges(config: TrafficConfig, model: Snapshot) -> Strong:
    """Strong changes: planted surges at whose end the former centre is at least twice as far as the
    nearest one."""
    surges = [
        s
        for s in Traffic(config).truth.surges
        if s.start_us >= config.start_us + _FROM_DAY * DAY
        and s.end_us < config.start_us + (DAYS - 3) * DAY
    ]
    before: dict[Surge, int] = {}
    found: list[tuple[Surge, int]] = []
    assigner = Assigner(model)

    def look(replay: Replay, at_us: int) -> None:
        for surge in surges:
            begins = at_us <= surge.start_us < at_us + HOUR
            ends = at_us - HOUR < surge.end_us + HOUR // 2 <= at_us
            if (begins or ends) and (row := replay.table.row_of(surge.account_id)) is not None:
                vectors, _ = vectors_at(replay, at_us)
                distances = assigner.distances(vectors[row : row + 1])[0]
                if begins:
                    before[surge] = int(distances.argmin())
                elif surge in before and distances[before[surge]] >= 2 * distances.min():
                    found.append((surge, int(assigner.ids[distances.argmin()])))

    settings = Settings(worker={"max_batch": 200})  # type: ignore[arg-type]  # so looks are exact
    replayed(config, DAYS, settings, lambda _: None, model, look)
    return found
