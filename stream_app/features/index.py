"""Which row is whose: account ids by row, and rows by account id.

Rows count from 0 without gaps. Where the compiled extension is not, a dict and a list do, which
take four times the memory.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.events.batch import Texts

_Rows = npt.NDArray[np.int64]


class Index(Protocol):
    """Account ids and their rows. Ids are text that can be encoded (UTF-8)."""

    def __len__(self) -> int: ...

    def get(self, account: str) -> int | None:
        """Row of an account, None: it is unknown."""

    def find(self, accounts: Texts, rows: _Rows) -> None:
        """Write the rows of accounts to `rows`, which are as many; -1 for those that are
        unknown."""

    def enter(self, accounts: Texts, rows: _Rows) -> None:
        """As `find`, but those that are unknown get the next rows. UnicodeEncodeError: an id cannot
        be encoded; then all is as before."""

    def id_of(self, row: int) -> str:
        """The account of a row. IndexError: there is none."""

    def ids(self, rows: _Rows) -> Texts:
        """The accounts of rows."""

    def remove(self, account: str) -> int:
        """Forget an account. The last row takes the place of its row, which is returned. KeyError:
        it is unknown."""


class PlainIndex:
    """`Index` in pure Python."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, account: str) -> int | None:
        return self._rows.get(account)

    def find(self, accounts: Texts, rows: _Rows) -> None:
        known = self._rows
        rows[:] = [known.get(account, -1) for account in accounts]

    def enter(self, accounts: Texts, rows: _Rows) -> None:
        known = self._rows
        try:
            rows[:] = [known[account] for account in accounts]
        except KeyError:
            for account in accounts:
                account.encode()
            rows[:] = [self._entered(account) for account in accounts]

    def id_of(self, row: int) -> str:
        if row < 0:
            raise IndexError(f"there is no row {row}")
        return self._ids[row]

    def ids(self, rows: _Rows) -> Texts:
        return [self.id_of(row) for row in rows.tolist()]

    def remove(self, account: str) -> int:
        row, last = self._rows.pop(account), self._ids.pop()
        if row < len(self._ids):
            self._ids[row] = last
            self._rows[last] = row
        return row

    def _entered(self, account: str) -> int:
        row = self._rows.setdefault(account, len(self._ids))
        if row == len(self._ids):
            self._ids.append(account)
        return row


def new_index() -> Index:
    """An empty index, of the better sort that is there."""
    return native.compiled.Index() if native.in_use else PlainIndex()
