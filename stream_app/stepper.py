"""Applying a batch of events in compiled code: `rounds.py` in one pass, to the same bits.

Weights of events are computed here, for the whole batch at once, because powers of two are what
compilers and libraries round differently. The compiled code adds, compares and moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.events.batch import EventBatch
from stream_app.events.instants import DAY
from stream_app.features import decay, silence, update
from stream_app.features.table import (
    ACCOUNT,
    NEVER,
    RING,
    SESSIONS,
    TOPIC_SLOT,
    TOPIC_SLOTS,
    FeatureTable,
    Rows,
    as_records,
    offsets_of,
)
from stream_app.intent.spikes import (
    BRIEF_US,
    CANDIDATE,
    NO_CANDIDATES,
    PEOPLE,
    TELLING,
    Candidates,
)
from stream_app.rounds import Applied
from stream_app.settings import Settings


class Stepper:
    """The settings, prepared. Only where the extension is there (`native.available`)."""

    def __init__(self, settings: Settings) -> None:
        weights = update.Weights(settings.scores)
        self._compiled = native.compiled.Stepper(
            offsets_of(ACCOUNT),
            offsets_of(TOPIC_SLOT),
            {
                "record": ACCOUNT.itemsize,
                "slot": TOPIC_SLOT.itemsize,
                "slots": TOPIC_SLOTS,
                "ring": RING,
                "sessions": SESSIONS,
            },
            weights.matrix.ravel().tolist(),
            update.HALF_LIFE_OF.tolist(),
            update.DWELL.tolist(),
            update.SESSION.tolist(),
            update.FIRST_OF_DAY.tolist(),
            silence.OFFSETS_US.tolist(),
            TELLING.tolist(),
            PEOPLE.tolist(),
            settings.spikes.campaign_visits,
            settings.spikes.min_contacts,
            settings.spikes.cooldown_hours * 60,
            {
                name: float(getattr(settings.spikes, name))
                for name in (
                    *("min_surprise", "prior_visits", "prior_share", "prior_days"),
                    *("working_hours", "visit_dispersion"),
                )
            },
        )

    def apply(self, table: FeatureTable, batch: EventBatch, rows: Rows, model: int) -> Applied:
        """Apply a batch; `rows` are those of its accounts, `model` the version in use, 0: none."""
        held = _room(3 * len(rows))  # under a new model, at silence, and after the event
        events, copies, columns, candidates = self._compiled.apply(
            table.data,
            held,
            model,
            rows,
            batch.at_us,
            batch.id_hash,
            batch.kind,
            batch.dwell_minutes,
            batch.session_hash,
            batch.contact,
            batch.prompted,
            batch.topics,
            _growth(batch.at_us),
        )
        found = np.frombuffer(candidates, CANDIDATE)
        return _applied(held, copies, columns, found, events)

    def look(
        self, table: FeatureTable, rows: Rows, before_us: npt.NDArray[np.int64], model: int
    ) -> Applied:
        """As `Rounds.look`."""
        held = _room(2 * len(rows))
        copies, columns = self._compiled.look(table.data, held, model, rows, before_us)
        return _applied(held, copies, columns, NO_CANDIDATES, 0)

    def note_due(self, table: FeatureTable, rows: Rows) -> None:
        """As `Rounds.note_due`."""
        self._compiled.note_due(table.data, rows, table.due_us, NEVER)


def _room(records: int) -> npt.NDArray[np.uint8]:
    """For copies of so many records at most. What is not needed is never touched, so it costs
    nothing."""
    return np.empty(records * ACCOUNT.itemsize, np.uint8)


def _applied(
    held: npt.NDArray[np.uint8],
    copies: int,
    columns: Sequence[bytes],
    candidates: Candidates,
    events: int,
) -> Applied:
    rows, at_us, cause, occurred_us, record = columns
    return Applied(
        np.frombuffer(rows, np.int64),
        np.frombuffer(at_us, np.int64),
        np.frombuffer(cause, np.uint8),
        np.frombuffer(occurred_us, np.int64),
        as_records(held[: copies * ACCOUNT.itemsize]),
        np.frombuffer(record, np.int64),
        candidates,
        events,
    )


def _growth(at_us: decay.Times) -> npt.NDArray[np.float64]:
    """(n, 5) weights of events: of the sums that refer to a period, and of the brief ones."""
    growth = np.empty((len(at_us), 5))
    growth[:, :3] = decay.own_growth(at_us)
    growth[:, 3:] = decay.own_growth(at_us, BRIEF_US, DAY)
    return growth
