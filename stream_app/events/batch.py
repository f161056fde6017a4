"""A batch of events as columns, the form in which the engine reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import numpy.typing as npt

from stream_app import native
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


class Texts(Protocol):
    """Some texts, in order: a list, or what the extension has instead."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> str: ...
    def __iter__(self) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Columns of n events, in the order in which they are applied."""

    accounts: Texts
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

    def part(self, index: npt.NDArray[np.int64]) -> EventBatch:
        """The events at these positions, in this order."""
        accounts, names, topics = self.accounts, self.topic_names, self.topics[index]
        return EventBatch(
            accounts=[accounts[i] for i in index.tolist()],
            at_us=self.at_us[index],
            id_hash=self.id_hash[index],
            kind=self.kind[index],
            dwell_minutes=self.dwell_minutes[index],
            session_hash=self.session_hash[index],
            contact=self.contact[index],
            prompted=self.prompted[index],
            topics=topics,
            topic_names={topic: names[topic] for topic in topics[topics != 0].tolist()},
        )

    def __add__(self, other: EventBatch) -> EventBatch:
        """These events and then the others. No two names of topics may have the same hash."""
        return EventBatch(
            accounts=[*self.accounts, *other.accounts],
            at_us=np.concatenate([self.at_us, other.at_us]),
            id_hash=np.concatenate([self.id_hash, other.id_hash]),
            kind=np.concatenate([self.kind, other.kind]),
            dwell_minutes=np.concatenate([self.dwell_minutes, other.dwell_minutes]),
            session_hash=np.concatenate([self.session_hash, other.session_hash]),
            contact=np.concatenate([self.contact, other.contact]),
            prompted=np.concatenate([self.prompted, other.prompted]),
            topics=np.concatenate([self.topics, other.topics]),
            topic_names=self.topic_names | other.topic_names,
        )


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
        self.pseudonyms = pseudonyms

    def person(self, contact_id: str) -> int:
        """Bucket that a contact has in `EventBatch`."""
        return int(_buckets(_array([hash32(self.pseudonyms(contact_id))], np.uint32))[0])

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
                people[i] = hash32(self.pseudonyms(event.contact_id))
            if event.topics:
                for j, name in enumerate(dict.fromkeys(event.topics[:TOPICS_PER_EVENT])):
                    topics[i, j] = topic = hash32(name)
                    names.setdefault(topic, name)
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
    if native.in_use:
        out = np.empty(len(people), np.uint8)
        native.compiled.contact_buckets(people, out)
        return out
    mixed = people ^ people >> 16
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> 13
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> 16
    return np.where(people, mixed & 63, NO_CONTACT).astype(np.uint8)


def _array(values: Sequence[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.array(values, dtype)
