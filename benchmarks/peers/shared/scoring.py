"""The job for peers in Python, written to be fast one event at a time.

Precomputed lists, typed decoding by msgspec, distances by `math.dist`. Frameworks that hand over
events one by one gain nothing from numpy: a call on ten numbers costs more than the ten.
"""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from functools import cache, lru_cache
from math import dist, exp2, log, log1p
from pathlib import Path
from zlib import crc32

import msgspec

DAY_US = 86_400_000_000
PERIOD_US = 28 * DAY_US
HALF_LIVES = (1, 7, 28)

_PAGES = {"product": "visit_product", "pricing": "visit_pricing"}
_STAGES = {stage: f"download_{stage}" for stage in ("awareness", "consideration", "decision")}
_EMAILS = {
    "opened": "email_opened",
    "clicked": "email_clicked",
    "replied": "email_replied",
    "unsubscribed": "email_unsubscribed",
    "complained": "email_unsubscribed",
}


class Event(msgspec.Struct, gc=False):
    """What the job needs of any event."""

    account_id: str
    occurred_at: datetime
    contact_id: str | None = None
    page_category: str = ""
    dwell_seconds: float = 0.0
    stage: str = ""
    kind: str = ""
    machine_open: bool = False


class Account(msgspec.Struct, array_like=True, gc=False):
    """All that is kept of an account. Sums refer to the start of a 28-day period."""

    reference_us: int
    latest_us: int
    engaged_us: int
    """0: never."""
    segment: int
    """0: none yet."""
    sums: list[float]
    contacts: dict[int, int]


class Change(msgspec.Struct, gc=False):
    """What is published."""

    account_id: str
    previous: int | None
    current: int
    at_us: int


decode_event = msgspec.json.Decoder(Event).decode
encode_change = msgspec.json.Encoder().encode
pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Account).decode

_FREE = [-64 * log(max(free, 0.5) / 64) for free in range(65)]
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@cache
def begin() -> None:
    """Say once when the first event of this process came, for the benchmark. For frameworks that
    decode long before they apply."""
    if folder := os.environ.get("BENCH_STATE"):
        Path(folder, "began").write_text(repr(time.time()))


class Job:
    """The job's numbers, prepared."""

    def __init__(self, path: str) -> None:
        job = json.loads(Path(path).read_text())
        features = job["features"]
        half_life = [HALF_LIVES.index(f["half_life_days"]) for f in features]
        self._size = len(features)
        self._half_life = half_life
        self._dwell = [(i, half_life[i]) for i, f in enumerate(features) if f["dwell"]]
        self._adds = {
            kind: [(i, weight, half_life[i]) for i, weight in enumerate(weights) if weight]
            for kind, weights in job["weights"].items()
        }
        self._dimensions = [
            (
                d["sums"],
                half_life[d["sums"][0]] if d["sums"] else d["name"],
                mean,
                1.0 / scale,
            )
            for d, mean, scale in zip(job["dimensions"], job["mean"], job["scale"], strict=True)
        ]
        self._centres = [(s["id"], tuple(s["centre"])) for s in job["segments"]]
        self._centre = dict(self._centres)
        self._keeps = 1.0 - job["margin"]
        self.apply = self._first
        """One event of a topic (by the end of its name)."""

    def _first(
        self, account: Account | None, topic: str, event: Event
    ) -> tuple[Account, Change | None]:
        """The first event of this process."""
        self.apply = self._apply
        begin()
        return self._apply(account, topic, event)

    def _apply(
        self, account: Account | None, topic: str, event: Event
    ) -> tuple[Account, Change | None]:
        at_us = _microseconds(event.occurred_at)
        if account is None:
            account = Account(at_us - at_us % PERIOD_US, at_us, 0, 0, [0.0] * self._size, {})
        elif at_us > account.latest_us:
            account.latest_us = at_us
            if at_us - account.reference_us >= PERIOD_US:
                self._move_reference(account, at_us - at_us % PERIOD_US)
        self._add(account, _kind(topic, event), at_us, event)
        segment = self._decide(account)
        if segment == account.segment:
            return account, None
        previous, account.segment = account.segment, segment
        return account, Change(event.account_id, previous or None, segment, at_us)

    def _move_reference(self, account: Account, reference_us: int) -> None:
        days = (account.reference_us - reference_us) / DAY_US
        factors = [exp2(days / half_life) for half_life in HALF_LIVES]
        account.sums = [x * factors[h] for x, h in zip(account.sums, self._half_life, strict=True)]
        account.reference_us = reference_us

    def _add(self, account: Account, kind: str, at_us: int, event: Event) -> None:
        if kind == "passive":
            return
        age = (at_us - account.reference_us) / DAY_US
        growth = (exp2(age), exp2(age / 7), exp2(age / 28))
        sums = account.sums
        for i, weight, half_life in self._adds[kind]:
            sums[i] += weight * growth[half_life]
        if event.dwell_seconds:
            minutes = min(event.dwell_seconds / 60.0, 60.0)
            for i, half_life in self._dwell:
                sums[i] += minutes * growth[half_life]
        account.engaged_us = max(account.engaged_us, at_us)
        if event.contact_id:
            bucket, day = _bucket(event.contact_id), at_us // DAY_US
            if account.contacts.get(bucket, 0) < day:
                account.contacts[bucket] = day

    def _decide(self, account: Account) -> int:
        latest_us, sums = account.latest_us, account.sums
        age = (account.reference_us - latest_us) / DAY_US
        fading = (exp2(age), exp2(age / 7), exp2(age / 28))
        vector = []
        for addends, how, mean, factor in self._dimensions:
            if addends:
                value = (
                    sums[addends[0]] if len(addends) == 1 else sum([sums[i] for i in addends])
                ) * fading[how]
            elif how == "contacts_28d":
                limit = latest_us // DAY_US - 28
                value = _FREE[64 - sum([day > limit for day in account.contacts.values()])]
            else:
                engaged = account.engaged_us
                value = min((latest_us - engaged) / DAY_US, 182.0) if engaged else 182.0
            vector.append((log1p(value) - mean) * factor)
        nearest, least = 0, float("inf")
        for id_, centre in self._centres:
            if (d := dist(vector, centre)) < least:
                nearest, least = id_, d
        own = account.segment
        if own and not least < self._keeps * dist(vector, self._centre[own]):
            return own
        return nearest


def _kind(topic: str, event: Event) -> str:
    if topic.endswith("website-visits"):
        return _PAGES.get(event.page_category, "visit")
    if topic.endswith("content-downloads"):
        return _STAGES[event.stage]
    if event.machine_open and event.kind == "opened":
        return "passive"
    return _EMAILS.get(event.kind, "passive")


def _microseconds(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=65_536)
def _bucket(contact: str) -> int:
    h = crc32(contact.encode()) or 1
    h ^= h >> 16
    h = h * 0x85EBCA6B & 0xFFFFFFFF
    h ^= h >> 13
    h = h * 0xC2B2AE35 & 0xFFFFFFFF
    return (h ^ h >> 16) & 63
