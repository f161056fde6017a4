"""A batch of events as columns, the form in which the engine reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from stream_app.events.decode import Pseudonyms
from stream_app.events.types import ContentDownload, EmailEngagement, Event, WebsiteVisit

TOPICS_PER_EVENT = 4
"""Topics of one event that count as interest."""
MAX_DWELL_MINUTES = 60.0
"""Longer dwell times are a forgotten tab."""
NO_CONTACT = 255


class Kind(IntEnum):
    """What an event counts as. The features' weights are given per kind."""

    PASSIVE = 0
    """Nothing a person did: e-mail sent, delivered, bounced, opened by a machine."""
    VISIT = 1
    VISIT_PRODUCT = 2
    VISIT_PRICING = 3
    DOWNLOAD_AWARENESS = 4
    DOWNLOAD_CONSIDERATION = 5
    DOWNLOAD_DECISION = 6
    EMAIL_OPENED = 7
    EMAIL_CLICKED = 8
    EMAIL_REPLIED = 9
    EMAIL_UNSUBSCRIBED = 10
    """Unsubscribed or complained."""


_PAGES = {"product": Kind.VISIT_PRODUCT, "pricing": Kind.VISIT_PRICING}
_STAGES = {
    "awareness": Kind.DOWNLOAD_AWARENESS,
    "consideration": Kind.DOWNLOAD_CONSIDERATION,
    "decision": Kind.DOWNLOAD_DECISION,
}
_EMAILS = {
    "opened": Kind.EMAIL_OPENED,
    "clicked": Kind.EMAIL_CLICKED,
    "replied": Kind.EMAIL_REPLIED,
    "unsubscribed": Kind.EMAIL_UNSUBSCRIBED,
    "complained": Kind.EMAIL_UNSUBSCRIBED,
}


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Columns of n events, in the order in which they are applied."""

    accounts: list[str]
    at_us: npt.NDArray[np.int64]
    """When each happened."""
    id_hash: npt.NDArray[np.uint32]
    """CRC-32 of the event id, never 0."""
    kind: npt.NDArray[np.uint8]
    dwell_minutes: npt.NDArray[np.float64]
    session_hash: npt.NDArray[np.uint32]
    """CRC-32 of the session id, 0: none."""
    contact: npt.NDArray[np.uint8]
    """Bucket 0..63 of the contact, 255: none."""
    prompted: npt.NDArray[np.bool_]
    """Whether it is a visit that a campaign led to."""
    topics: npt.NDArray[np.uint32]
    """(n, 4) CRC-32 of the topics, 0: none; no topic twice in a row."""
    topic_names: dict[int, str]
    """Names of the topics in `topics`."""

    def __len__(self) -> int:
        return len(self.accounts)


def hash32(text: str) -> int:
    """CRC-32 of a text; 1 where it would be 0, which means "none"."""
    return crc32(text.encode()) or 1


class Columns:
    """Turns events into columns.

    Parameters
    ----------
    pseudonyms
        Applied to contact ids before they are hashed into buckets.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    def person(self, contact_id: str) -> int:
        """Bucket that a contact has in `EventBatch`."""
        return int(_buckets(_array([hash32(self._pseudonyms(contact_id))], np.uint32))[0])

    def __call__(self, events: Sequence[Event], times_us: Sequence[int]) -> EventBatch:
        """Columns of `events`, in order; `times_us` is `occurred_at` of each."""
        n = len(events)
        kinds, dwell, sessions = [0] * n, [0.0] * n, [0] * n
        people, prompted = [0] * n, [False] * n
        topics = np.zeros((n, TOPICS_PER_EVENT), np.uint32)
        names: dict[int, str] = {}
        for i, event in enumerate(events):
            kinds[i] = kind = kind_of(event)
            if type(event) is WebsiteVisit:
                dwell[i] = min(event.dwell_seconds / 60.0, MAX_DWELL_MINUTES)
                if event.session_id:
                    sessions[i] = hash32(event.session_id)
                prompted[i] = bool(event.campaign_id)
            if not kind:
                continue  # nobody's interest
            if event.contact_id:
                people[i] = hash32(self._pseudonyms(event.contact_id))
            if event.topics:
                for j, name in enumerate(dict.fromkeys(event.topics[:TOPICS_PER_EVENT])):
                    topics[i, j] = topic = hash32(name)
                    names[topic] = name
        return EventBatch(
            accounts=[event.account_id for event in events],
            at_us=_array(times_us, np.int64),
            id_hash=_array([hash32(event.id) for event in events], np.uint32),
            kind=_array(kinds, np.uint8),
            dwell_minutes=_array(dwell, np.float64),
            session_hash=_array(sessions, np.uint32),
            contact=_buckets(_array(people, np.uint32)),
            prompted=_array(prompted, np.bool_),
            topics=topics,
            topic_names=names,
        )


def kind_of(event: Event) -> Kind:
    """What an event counts as."""
    if isinstance(event, WebsiteVisit):
        return _PAGES.get(event.page_category, Kind.VISIT)
    if isinstance(event, ContentDownload):
        return _STAGES[event.stage]
    assert isinstance(event, EmailEngagement)
    if event.machine_open and event.kind == "opened":
        return Kind.PASSIVE
    return _EMAILS.get(event.kind, Kind.PASSIVE)


def _buckets(people: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Bucket of each contact's hash, 0: none.

    CRC-32 spreads ids that differ in a counter too evenly, and linear counting would take 40 people
    for 51. So it is mixed once more (finaliser of MurmurHash3, A. Appleby, public domain).
    """
    mixed = people ^ people >> 16
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> 13
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> 16
    return np.where(people, mixed & 63, NO_CONTACT).astype(np.uint8)


def _array(values: Sequence[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.array(values, dtype)
