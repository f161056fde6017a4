"""How long a change takes, in real time: from the hand-over of its event until it can be read.

The producer notes the real moment at which it hands each record to the broker, under the record's
key and the time at which its event occurred. A consumer of `segment-changes` looks up its change's
account and `occurred_at` there at the moment at which it has the change in its hands. So the
measure covers the wait in the topic, decoding, the engine, the commit, publishing and the reader's
own wait. Only changes that an event caused are measured; silence and models have no hand-over.
"""

from __future__ import annotations

from collections import deque
from math import ceil, log

import numpy as np

from stream_app.demo.picture import Lag

_REMEMBERED = 50_000
"""Hand-overs per generation; two are kept. More than can wait in the topics at any time."""
_RECENT, _RECENT_SECONDS = 2_000, 10.0
_LOWEST_MS, _GROWTH, _BUCKETS = 0.01, 1.02, 1_000
"""Buckets of 2 % from 10 microseconds to more than an hour."""


class Freshness:
    """Hand-overs and the lags that came of them, in bounded memory."""

    def __init__(self) -> None:
        self._young: dict[tuple[str, int], float] = {}
        self._old: dict[tuple[str, int], float] = {}
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)

    def handed_over(self, account_id: str, occurred_us: int, at: float) -> None:
        """A record was given to the broker at this real moment, in seconds. If several of one
        account occurred at the same moment, the first counts."""
        if len(self._young) >= _REMEMBERED:
            self._young, self._old = {}, self._young
        self._young.setdefault((account_id, occurred_us), at)

    def readable(self, account_id: str, occurred_us: int, at: float) -> None:
        """The change that this event caused was read at this real moment."""
        key = (account_id, occurred_us)
        began = self._old.get(key, self._young.get(key))
        if began is None:
            return
        lag_ms = (at - began) * 1_000
        self._recent.append((at, lag_ms))
        bucket = int(log(max(lag_ms, _LOWEST_MS) / _LOWEST_MS, _GROWTH))
        self._counts[min(bucket, _BUCKETS - 1)] += 1

    def recent(self, now: float) -> Lag:
        """Of the changes read within ten seconds before this real moment, the latest 2,000."""
        while self._recent and self._recent[0][0] < now - _RECENT_SECONDS:
            self._recent.popleft()
        if not self._recent:
            return Lag()
        p50, p99 = np.quantile([lag_ms for _, lag_ms in self._recent], (0.5, 0.99))
        return Lag(round(float(p50), 2), round(float(p99), 2))

    @property
    def whole(self) -> Lag:
        """Of the whole run, to 2 %."""
        return Lag(self._quantile(0.5), self._quantile(0.99))

    def _quantile(self, share: float) -> float | None:
        total = int(self._counts.sum())
        if not total:
            return None
        bucket = int(np.searchsorted(np.cumsum(self._counts), ceil(share * total)))
        return round(float(_LOWEST_MS * _GROWTH ** (bucket + 0.5)), 2)
