"""Events become columns: what counts as what, and what of a person is left."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.events.batch import NO_CONTACT, Columns, EventBatch, Kind, hash32
from stream_app.events.decode import Pseudonyms
from tests.events.records import ANY, DOWNLOAD, EMAIL, VISIT, Record, decode, encode

emails = st.emails()


def columns(*bodies: dict[str, Any], key: bytes = b"") -> EventBatch:
    decoded = decode(*(Record(ANY, encode(body)) for body in bodies))
    assert not decoded.rejections, decoded.rejections
    return Columns(Pseudonyms(key))(decoded.events, decoded.times_us)


def raw(batch: EventBatch) -> dict[str, Any]:
    """The columns as comparable values."""
    values = ((f.name, getattr(batch, f.name)) for f in fields(batch))
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (VISIT | {"page_category": ""}, Kind.VISIT),
        (VISIT | {"page_category": "blog"}, Kind.VISIT),
        (VISIT | {"page_category": "product"}, Kind.VISIT_PRODUCT),
        (VISIT | {"page_category": "pricing"}, Kind.VISIT_PRICING),
        (DOWNLOAD | {"stage": "awareness"}, Kind.DOWNLOAD_AWARENESS),
        (DOWNLOAD | {"stage": "consideration"}, Kind.DOWNLOAD_CONSIDERATION),
        (DOWNLOAD | {"stage": "decision"}, Kind.DOWNLOAD_DECISION),
        (EMAIL | {"kind": "sent"}, Kind.PASSIVE),
        (EMAIL | {"kind": "delivered"}, Kind.PASSIVE),
        (EMAIL | {"kind": "bounced"}, Kind.PASSIVE),
        (EMAIL | {"kind": "opened"}, Kind.EMAIL_OPENED),
        (EMAIL | {"kind": "opened", "machine_open": True}, Kind.PASSIVE),
        (EMAIL | {"kind": "clicked"}, Kind.EMAIL_CLICKED),
        (EMAIL | {"kind": "replied"}, Kind.EMAIL_REPLIED),
        (EMAIL | {"kind": "unsubscribed"}, Kind.EMAIL_UNSUBSCRIBED),
        (EMAIL | {"kind": "complained"}, Kind.EMAIL_UNSUBSCRIBED),
    ],
)
def test_what_an_event_counts_as(body: dict[str, Any], kind: Kind) -> None:
    assert Kind(int(columns(body).kind[0])) is kind


def test_what_nobody_did_leaves_no_person_and_no_interest() -> None:
    sent = EMAIL | {"kind": "sent", "contact_id": "c-1", "topics": ["pricing"]}
    opened = sent | {"kind": "opened", "machine_open": True}
    batch = columns(sent, opened)
    assert batch.contact.tolist() == [NO_CONTACT, NO_CONTACT]
    assert not batch.topics.any()


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0, 0.0), (90, 1.5), (3_600, 60.0), (86_400, 60.0), (1e308, 60.0)]
)
def test_dwell_counts_in_minutes_up_to_an_hour(seconds: float, minutes: float) -> None:
    assert columns(VISIT | {"dwell_seconds": seconds}).dwell_minutes[0] == minutes


def test_topics_count_once_each_and_the_first_four_at_most() -> None:
    batch = columns(
        VISIT | {"topics": ["a", "a", "b", "a", "e"]}, VISIT | {"topics": list("abcdef")}
    )
    assert batch.topics.tolist() == [
        [hash32("a"), hash32("b"), 0, 0],
        [hash32(name) for name in "abcd"],
    ]
    assert set(batch.topic_names.values()) == set("abcd")


def test_hashes_are_never_the_value_that_means_none() -> None:
    assert crc32(b"") == 0  # a text whose CRC-32 is 0
    assert hash32("") == 1
    assert hash32("x") == crc32(b"x")


def test_an_event_without_contact_session_or_topics_says_so() -> None:
    batch = columns({k: VISIT[k] for k in ("type", "id", "occurred_at", "account_id")})
    assert (batch.contact[0], batch.session_hash[0]) == (NO_CONTACT, 0)
    assert not batch.topics.any()


def test_a_visit_with_a_campaign_is_prompted_and_nothing_else_is() -> None:
    campaign = {"campaign_id": "newsletter-1"}
    without = VISIT | {"campaign_id": None}
    batch = columns(without, VISIT | campaign, VISIT | {"campaign_id": ""}, EMAIL | campaign)
    assert batch.prompted.tolist() == [False, True, False, False]


def test_a_contact_falls_into_one_of_64_buckets_evenly() -> None:
    random.seed(1)
    batch = columns(*(VISIT | {"contact_id": f"c-{random.random()}"} for _ in range(6_400)))
    buckets = np.bincount(batch.contact, minlength=64)
    assert len(buckets) == 64
    # Chi-squared with 63 degrees of freedom: beyond 110 once in some 5,000.
    assert ((buckets - 100) ** 2 / 100).sum() < 110


@given(emails, st.binary(min_size=1, max_size=16))
def test_an_address_never_appears_in_what_is_kept(address: str, key: bytes) -> None:
    hashed = Pseudonyms(key)(address)
    assert address.lower() not in hashed.lower()
    assert "@" not in hashed
    body = VISIT | {"contact_id": address}
    assert raw(columns(body, key=key)) == raw(columns(VISIT | {"contact_id": hashed}, key=key))
    assert address not in repr(raw(columns(body, key=key)))


@given(emails)
def test_a_pseudonym_is_stable_for_a_key(address: str) -> None:
    assert Pseudonyms(b"key")(address) == Pseudonyms(b"key")(address)
    assert Pseudonyms()(address) == Pseudonyms(b"")(address)
    assert Pseudonyms(b"key")(f" {address.upper()} ") == Pseudonyms(b"key")(address.upper().lower())


@given(emails, st.binary(max_size=16), st.binary(max_size=16))
def test_a_pseudonym_differs_by_key(address: str, one: bytes, other: bytes) -> None:
    # HMAC pads keys with zeros, and the empty key is replaced.
    same = one.rstrip(b"\0") == other.rstrip(b"\0") and bool(one) == bool(other)
    assert (Pseudonyms(one)(address) == Pseudonyms(other)(address)) == same


@given(st.lists(emails, min_size=2, max_size=5, unique_by=str.lower))
def test_different_addresses_have_different_pseudonyms(addresses: list[str]) -> None:
    assert len({Pseudonyms(b"key")(address) for address in addresses}) == len(addresses)


@given(st.text().filter(lambda text: "@" not in text))
def test_an_id_that_is_no_address_stays(contact: str) -> None:
    assert Pseudonyms(b"key")(contact) == contact
