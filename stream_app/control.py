"""What control events do to the accounts of a partition. Pure, like the engine, which does not know
of them: they are rare, and are applied one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.changes import describe
from stream_app.engine import Effects
from stream_app.events.batch import Columns
from stream_app.events.control import Control, EraseAccount, EraseContact
from stream_app.features import silence
from stream_app.features.table import Erased, FeatureTable, digest_of
from stream_app.features.update import forget_contact
from stream_app.segments.snapshot import Assigner
from stream_app.settings import ScoreSettings


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
        now_us: int,
    ) -> Effects:
        """Apply control events in order; `times_us` is `occurred_at` of each."""
        effects = Effects(np.empty(0, np.int64))
        touched: set[str] = set()
        for event, at_us in zip(events, times_us, strict=True):
            if isinstance(event, EraseAccount):
                touched.discard(event.account_id)
                self._erase(table, event, at_us, assigner, now_us, effects)
                continue
            if isinstance(event, EraseContact) and event.account_id in table.rows:
                person = self._columns.person(event.contact_id)
                forget_contact(table.data[table.rows[event.account_id]], *person)
                touched.add(event.account_id)
            self._restate(table, event.account_id, assigner, effects)
        effects.applied = len(events) - effects.duplicates
        effects.touched = table.rows_of(sorted(touched))
        return effects

    def _erase(
        self,
        table: FeatureTable,
        event: EraseAccount,
        at_us: int,
        assigner: Assigner | None,
        now_us: int,
        effects: Effects,
    ) -> None:
        account, digest = event.account_id, digest_of(event.account_id)
        past = table.erased.get(digest)
        if past is not None and past.by == event.id:
            effects.duplicates += 1  # the account may have come again since
            return
        sequence, spikes = (past.sequence, past.spikes) if past else (0, 0)
        if (row := table.rows.get(account)) is not None:
            record = table.data[row]
            effects.changes.append(describe.erased(account, record, assigner, at_us, now_us))
            sequence, spikes = int(record["sequence"]) + 1, int(record["spikes"])
            table.remove(account)
        effects.accounts.pop(account, None)
        effects.gone.append(account)
        remains = Erased(sequence, spikes, now_us, event.id)
        table.erased[digest] = effects.erased[digest] = remains

    def _restate(
        self, table: FeatureTable, account: str, assigner: Assigner | None, effects: Effects
    ) -> None:
        """As of the instant up to which the account has been decided."""
        if (row := table.rows.get(account)) is None:
            effects.gone.append(account)
            return
        records = table.data[row : row + 1]
        effects.accounts[account] = describe.account_at(
            account,
            records,
            assigner,
            table.topic_names,
            int(silence.as_of(records)[0]),
            self._settings,
        )
