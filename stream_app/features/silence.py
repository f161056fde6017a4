"""When an account that does nothing is looked at again.

A silent account is checked whenever its silence has grown by a tenth: after 1 h, 1.1 h, 1.21 h, …
up to 26 weeks. Each check decides as of its own due instant, so its outcome does not depend on when
it is carried out, and the instants belong to the account, so a wave of checks at midnight cannot
arise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_app.events.instants import DAY, HOUR
from stream_app.features.table import NEVER, Records

HORIZON_US = 26 * 7 * DAY


def _offsets() -> npt.NDArray[np.int64]:
    steps = []
    offset = float(HOUR)
    while offset < HORIZON_US:
        steps.append(round(offset))
        offset *= 1.1
    return np.array([*steps, HORIZON_US], np.int64)


OFFSETS_US = _offsets()
"""Times of the checks, counted from the account's latest event."""

FIRST_US = int(OFFSETS_US[0])
"""The shortest silence that is looked at."""

_OFFSETS_DONE = np.concatenate([[0], OFFSETS_US])
_OFFSETS_NEXT = np.concatenate([OFFSETS_US, [0]])  # there is no check after the last


def as_of(records: Records) -> npt.NDArray[np.int64]:
    """Instant up to which each account has been decided: its latest event or silence check."""
    instants: npt.NDArray[np.int64] = records["latest_us"] + _OFFSETS_DONE[records["checks"]]
    return instants


def next_due(records: Records) -> npt.NDArray[np.int64]:
    """Instant of each account's next check, `NEVER` when its silence is complete."""
    done = records["checks"]
    due_us = records["latest_us"] + _OFFSETS_NEXT[done]
    return np.where(done < len(OFFSETS_US), due_us, NEVER)


def pending(records: Records, before_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of checks of each account that are due before its instant and not done."""
    passed = OFFSETS_US.searchsorted(before_us - records["latest_us"])
    counts: npt.NDArray[np.int64] = np.maximum(passed - records["checks"].astype(np.int64), 0)
    return counts


def due_instants(
    records: Records, counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(position in records, due instant) of the next `counts` checks of each record, in order."""
    position = np.repeat(np.arange(len(records)), counts)
    nth = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
    check = records["checks"][position].astype(np.int64) + nth
    return position, records["latest_us"][position] + OFFSETS_US[check]
