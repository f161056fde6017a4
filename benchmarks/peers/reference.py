"""The job of JOB.md in plain Python: short rather than fast. Peers are checked against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import log, log1p, sqrt
from typing import Any
from zlib import crc32

DAY_US = 86_400_000_000
BUCKETS = 64
MAX_SILENCE_DAYS = 182.0
MAX_DWELL_MINUTES = 60.0

_EMAILS = {
    "opened": "email_opened",
    "clicked": "email_clicked",
    "replied": "email_replied",
    "unsubscribed": "email_unsubscribed",
    "complained": "email_unsubscribed",
}
_PAGES = {"product": "visit_product", "pricing": "visit_pricing"}


@dataclass
class Account:
    """All that is kept of one account."""

    sums: list[float]
    """Decayed sums as of `latest_us`."""
    latest_us: int
    engaged_us: int | None = None
    contacts: dict[int, int] = field(default_factory=dict)
    """Day when a contact of each bucket was last seen."""
    segment: int | None = None


@dataclass(frozen=True)
class Change:
    """What is published."""

    account: str
    previous: int | None
    current: int


class Reference:
    """Accounts by id, and what one event does to them."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._half_lives_us = [f["half_life_days"] * DAY_US for f in job["features"]]
        self.accounts: dict[str, Account] = {}

    def apply(self, topic: str, event: dict[str, Any]) -> Change | None:
        """Apply an event of a topic (its name without a prefix)."""
        kind, at_us = kind_of(topic, event), microseconds(event["occurred_at"])
        account = self.accounts.get(event["account_id"])
        if account is None:
            account = Account([0.0] * len(self._half_lives_us), at_us)
            self.accounts[event["account_id"]] = account
        self._add(account, kind, at_us, event)
        distances = self._distances(account)
        segment = self._decide(account.segment, distances)
        if segment == account.segment:
            return None
        change = Change(event["account_id"], account.segment, segment)
        account.segment = segment
        return change

    def _add(self, account: Account, kind: str, at_us: int, event: dict[str, Any]) -> None:
        latest_us = max(account.latest_us, at_us)
        minutes = min(event.get("dwell_seconds", 0.0) / 60.0, MAX_DWELL_MINUTES)
        for i, (weight, half_life_us) in enumerate(
            zip(self._job["weights"][kind], self._half_lives_us, strict=True)
        ):
            amount = minutes if self._job["features"][i]["dwell"] else weight
            faded = account.sums[i] * 2.0 ** ((account.latest_us - latest_us) / half_life_us)
            account.sums[i] = faded + amount * 2.0 ** ((at_us - latest_us) / half_life_us)
        account.latest_us = latest_us
        if kind == "passive":
            return
        account.engaged_us = max(account.engaged_us or at_us, at_us)
        if event.get("contact_id"):
            bucket = bucket_of(event["contact_id"])
            account.contacts[bucket] = max(account.contacts.get(bucket, 0), at_us // DAY_US)

    def _distances(self, account: Account) -> list[float]:
        job = self._job
        today = account.latest_us // DAY_US
        seen = sum(day > today - 28 for day in account.contacts.values())
        silence = MAX_SILENCE_DAYS
        if account.engaged_us is not None:
            silence = min((account.latest_us - account.engaged_us) / DAY_US, MAX_SILENCE_DAYS)
        other = {
            "contacts_28d": -BUCKETS * log(max(BUCKETS - seen, 0.5) / BUCKETS),
            "silence_days": silence,
        }
        vector = []
        for dimension, mean, scale in zip(
            job["dimensions"], job["mean"], job["scale"], strict=True
        ):
            total = sum(account.sums[i] for i in dimension["sums"])
            vector.append((log1p(other.get(dimension["name"], total)) - mean) / scale)
        return [
            sqrt(sum((x - c) ** 2 for x, c in zip(vector, segment["centre"], strict=True)))
            for segment in job["segments"]
        ]

    def _decide(self, current: int | None, distances: list[float]) -> int:
        ids: list[int] = [segment["id"] for segment in self._job["segments"]]
        nearest = min(range(len(ids)), key=distances.__getitem__)
        if current is not None:
            own = distances[ids.index(current)]
            if not distances[nearest] < (1.0 - self._job["margin"]) * own:
                return current
        return ids[nearest]


def kind_of(topic: str, event: dict[str, Any]) -> str:
    """What an event counts as: a key of the job's `weights`."""
    if topic == "website-visits":
        return _PAGES.get(event.get("page_category", ""), "visit")
    if topic == "content-downloads":
        return f"download_{event['stage']}"
    if event["kind"] == "opened" and event.get("machine_open"):
        return "passive"
    return _EMAILS.get(event["kind"], "passive")


def microseconds(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 instant."""
    at = datetime.fromisoformat(text)
    return round(at.timestamp() * 1e6)


def bucket_of(contact: str) -> int:
    """Bucket 0..63 of a contact: CRC-32, mixed by the finaliser of MurmurHash3."""
    h = crc32(contact.encode()) or 1
    h ^= h >> 16
    h = h * 0x85EBCA6B & 0xFFFFFFFF
    h ^= h >> 13
    h = h * 0xC2B2AE35 & 0xFFFFFFFF
    return (h ^ h >> 16) & 63
