"""What control events do to the accounts of a partition. Pure, like the engine, which does not know
of them: they are rare, and are applied one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.changes import describe
from stream_app.changes.accounts import account_at
from stream_app.effects import Effects
from stream_app.events.batch import Columns
from stream_app.events.control import Control, EraseAccount, EraseContact
from stream_app.features import silence
from stream_app.features.table import Erased, FeatureTable, digest_of
from stream_app.features.update import forget_contact
from stream_app.segments.snapshot import Assigner
from stream_app.settings import ScoreSettings

_REMEMBERED = 8
"""Erasures of one account whose ids are known."""


class Controls:
    """Applies control events.

    Parameters
    ----------
    columns
        Knows which traces a contact leaves in an account's record.
    """

    def __init__(self, columns: Columns, settings: ScoreSettings) -> None:
        self._columns, self._settings = columns, settings

    def apply(
        self,
        table: FeatureTable,
        events: Sequence[Control],
        times_us: Sequence[int],
        assigner: Assigner | None,
        now_us: int | None,
    ) -> Effects:
        """Apply control events in order; `times_us` is `occurred_at` of each, and stands for
        `now_us` where that is None (replay)."""
        effects = Effects(np.empty(0, np.int64))
        touched: set[str] = set()
        for event, at_us in zip(events, times_us, strict=True):
            if isinstance(event, EraseAccount):
                if self._erase(table, event, at_us, assigner, now_us, effects):
                    touched.discard(event.account_id)
                    effects.controls[_type_of(event)] += 1
                else:
                    effects.duplicates += 1
                continue
            row = table.row_of(event.account_id)
            if isinstance(event, EraseContact) and row is not None:
                forget_contact(table.data[row], self._columns.person(event.contact_id))
                touched.add(event.account_id)
            self._restate(table, event.account_id, assigner, effects)
            effects.controls[_type_of(event)] += 1
        effects.touched = table.rows_of(sorted(touched))
        return effects

    def _erase(
        self,
        table: FeatureTable,
        event: EraseAccount,
        at_us: int,
        assigner: Assigner | None,
        now_us: int | None,
        effects: Effects,
    ) -> bool:
        """False: this event was carried out before, and the account may have come again since."""
        account, digest = event.account_id, digest_of(event.account_id)
        past = table.erased.get(digest)
        if past is not None and event.id in past.by:
            return False
        sequence, spikes, by = (past.sequence, past.spikes, past.by) if past else (0, 0, ())
        if (row := table.row_of(account)) is not None:
            record = table.data[row]
            moment = describe.Moment.of(assigner, now_us)
            effects.changes.append(describe.erased(account, record, at_us, moment))
            sequence, spikes = int(record["sequence"]) + 1, int(record["spikes"])
            table.remove(account)
        effects.restated.pop(account, None)
        effects.gone.append(account)
        at_us = at_us if now_us is None else now_us
        remains = Erased(sequence, spikes, at_us, (*by, event.id)[-_REMEMBERED:])
        table.erased[digest] = effects.erased[digest] = remains
        return True

    def _restate(
        self, table: FeatureTable, account: str, assigner: Assigner | None, effects: Effects
    ) -> None:
        """As of the instant up to which the account has been decided."""
        if (row := table.row_of(account)) is None:
            effects.gone.append(account)
            return
        records = table.data[row : row + 1]
        effects.restated[account] = account_at(
            account,
            records,
            assigner,
            table.topic_names,
            int(silence.as_of(records)[0]),
            self._settings,
        )


def _type_of(event: Control) -> str:
    return str(event.__struct_config__.tag)
