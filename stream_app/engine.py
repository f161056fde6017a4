"""One step over one batch: where features, intent, segments and changes meet.

Pure: no I/O, no clock, no global state; what it changes is the table it is given. Batching never
changes a result: events are applied in their order (`rounds.py`), and the points that arise are
decided in that order too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.describing import describe_decisions, take_samples
from stream_app.effects import Effects
from stream_app.events.batch import EventBatch
from stream_app.events.instants import HOUR
from stream_app.features.table import FeatureTable, Rows
from stream_app.features.values import values_at
from stream_app.intent.spikes import Spike, find_spikes
from stream_app.rounds import Applied, Rounds
from stream_app.segments.decide import Points, decide
from stream_app.segments.snapshot import Assigner
from stream_app.settings import Settings
from stream_app.stepper import Stepper

MAX_POINTS = 16_384
"""Points decided at once, to bound memory; the outcome does not depend on it."""


class Engine:
    """The settings of a step, prepared."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rounds = Rounds(settings)
        self._stepper = Stepper(settings) if native.available else None
        self._sample_us = round(settings.segments.sample_hours * HOUR)

    def step(
        self, table: FeatureTable, batch: EventBatch, assigner: Assigner | None, now_us: int | None
    ) -> Effects:
        """Apply a batch of events, all of accounts that belong to `table`.

        Before an event, the account's silence checks that lie before it are carried out, if no
        sweep has done so; and a check under a new model, if it has not been looked at under it.
        `now_us` is what `decided_at` says; None (replay): the instant of what caused it.
        """
        rows = table.rows_of(batch.accounts)
        new_topics = self._name_topics(table, batch)
        applied = self._steps.apply(table, batch, rows, _version(assigner))
        spikes = find_spikes(applied.candidates, table, self._settings.spikes)
        effects = self._decide(table, applied, spikes, assigner, now_us)
        self._steps.note_due(table, effects.touched)
        effects.applied = applied.events
        effects.duplicates = len(batch) - applied.events
        effects.new_topics = new_topics
        return effects

    def sweep(
        self,
        table: FeatureTable,
        until_us: int,
        assigner: Assigner | None,
        now_us: int | None,
        limit: int,
        of_model: int | None = None,
        most_samples: int | None = None,
    ) -> Effects:
        """Carry out silence checks due before `until_us`, and checks under a new model.

        At most `limit` accounts of each sort, those longest due first; `of_model` under a new
        model, if it is given. Call again until nothing was touched to carry out everything.
        `most_samples`: training vectors that are given away, at most.
        """
        table.notice_model(_version(assigner))
        unchecked = table.take_unchecked(limit if of_model is None else of_model)
        due = table.due_before(until_us, limit)
        rows = _each_once(np.concatenate([unchecked, due]))
        return self.look(table, rows, np.full(len(rows), until_us), assigner, now_us, most_samples)

    def look(
        self,
        table: FeatureTable,
        rows: Rows,
        until_us: npt.NDArray[np.int64],
        assigner: Assigner | None,
        now_us: int | None,
        most_samples: int | None = None,
    ) -> Effects:
        """Let time pass for some accounts, until an instant each."""
        applied = self._steps.look(table, rows, until_us, _version(assigner))
        self._steps.note_due(table, rows)
        return self._decide(table, applied, [], assigner, now_us, most_samples)

    @property
    def _steps(self) -> Rounds | Stepper:
        return self._stepper if self._stepper and native.in_use else self._rounds

    def _decide(
        self,
        table: FeatureTable,
        applied: Applied,
        spikes: list[Spike],
        assigner: Assigner | None,
        now_us: int | None,
        most_samples: int | None = None,
    ) -> Effects:
        rows, at_us, cause = applied.rows, applied.at_us, applied.cause
        effects = Effects(_each_once(rows))
        for start in range(0, len(rows), MAX_POINTS):
            part = slice(start, start + MAX_POINTS)
            held = applied.held(part)
            points = Points(rows[part], at_us[part], cause[part], values_at(held, at_us[part]))
            decisions = decide(table, points, assigner, self._settings.scores)
            mine = [(s.point - start, s) for s in spikes if start <= s.point < start + MAX_POINTS]
            occurred_us = applied.occurred_us[part]
            describe_decisions(
                table, points, held, occurred_us, decisions, mine, assigner, now_us, effects
            )
            take_samples(table, points, self._sample_us, effects, most_samples)
        return effects

    def _name_topics(self, table: FeatureTable, batch: EventBatch) -> dict[int, str]:
        """Learn the names of topics; past the limit they stay nameless."""
        room = self._settings.worker.max_topics - len(table.topic_names)
        new = {h: n for h, n in batch.topic_names.items() if h not in table.topic_names}
        new = dict(list(new.items())[: max(room, 0)])
        table.topic_names |= new
        return new


def _version(assigner: Assigner | None) -> int:
    return assigner.snapshot.version if assigner else 0


def _each_once(rows: Rows) -> Rows:
    """`np.unique`, which takes three times as long for a few rows."""
    ordered = np.sort(rows)
    return np.concatenate([ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]])
