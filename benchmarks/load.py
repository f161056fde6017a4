"""The load: events of many accounts, drawn at once with numpy and encoded as producers would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import orjson

from stream_app.streams.partitioning import partition_of

VISITS, DOWNLOADS, EMAILS = INPUTS = ("website-visits", "content-downloads", "email-events")
FIRST, LAST = "first", "last"
"""What the ids of marker accounts begin with."""

Ints = npt.NDArray[np.int64]

_ACTIONS = (  # topic, page category, stage or kind
    (VISITS, "blog"),
    (VISITS, "docs"),
    (VISITS, "product"),
    (VISITS, "pricing"),
    (DOWNLOADS, "awareness"),
    (DOWNLOADS, "consideration"),
    (DOWNLOADS, "decision"),
    (EMAILS, "sent"),
    (EMAILS, "delivered"),
    (EMAILS, "opened"),
    (EMAILS, "clicked"),
    (EMAILS, "replied"),
)
_HABITS = np.array(
    [  # how often accounts of each habit do each action, in per cent
        [30, 22, 14, 2, 3, 1, 0, 9, 9, 8, 2, 0],
        [12, 14, 24, 18, 3, 4, 2, 7, 7, 6, 2, 1],
        [14, 10, 14, 6, 8, 10, 12, 8, 8, 6, 3, 1],
        [7, 4, 3, 1, 1, 1, 0, 26, 26, 22, 8, 1],
    ]
)
_TOPICS = ("analytics", "security", "integration", "pricing", "compliance", "automation")
_MOST_CONTACTS = 6


@dataclass(frozen=True)
class Load:
    """What is to be drawn."""

    events: int
    accounts: int
    zipf: float = 0.0
    """Exponent of the Zipf distribution of events over accounts; 0: uniform."""
    span_seconds: float = 2_400.0
    """Time from the first event to the last one."""
    ends_us: int = 0
    """When the last one happens."""
    seed: int = 1
    name: str = "account"


@dataclass(frozen=True, slots=True)
class Item:
    """One record to be."""

    topic: str
    account: str
    value: bytes
    at_us: int


def items(load: Load) -> Iterator[Item]:
    """The events of a load by time."""
    rng = np.random.default_rng(load.seed)
    names = [f"{load.name}-{i:07}" for i in range(load.accounts)]
    step_us = load.span_seconds * 1e6 / load.events
    begins_us = load.ends_us - load.span_seconds * 1e6
    for start in range(0, load.events, 50_000):
        n = min(50_000, load.events - start)
        accounts = _accounts(load, rng, n)
        actions = _actions(accounts, rng)
        contacts = (rng.random(n) * (1 + accounts % _MOST_CONTACTS)).astype(np.int64)
        dwell = rng.exponential(60.0, n).round(1)
        times = (begins_us + step_us * np.arange(start, start + n)).astype(np.int64)
        texts = np.datetime_as_string((times // 1_000).view("M8[ms]"), timezone="UTC")
        columns = (accounts, actions, contacts, dwell, times, texts)
        for i, (account, action, contact, seconds, at_us, at) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start
        ):
            topic, what = _ACTIONS[action]
            name = names[account]
            value = _value(f"{load.seed}-{i}", at, name, f"c{account}-{contact}", topic, what, i,
                           seconds)  # fmt: skip
            yield Item(topic, name, value, at_us // 1_000 * 1_000)


def marker(kind: str, topic: str, partition: int, partitions: int, at_us: int) -> Item:
    """An event of an account that does nothing else: the change that it leads to shows that its
    partition of its topic was processed up to here."""
    number = 0
    while True:
        account = f"{kind}-{topic}-{partition}-{number}"
        if partition_of(account.encode(), partitions) == partition:
            break
        number += 1
    what = {VISITS: "blog", DOWNLOADS: "awareness", EMAILS: "opened"}[topic]
    at = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")
    value = _value(f"m-{account}", at, account, "c0", topic, what, 0, 10.0)
    return Item(topic, account, value, at_us)


def _accounts(load: Load, rng: np.random.Generator, n: int) -> Ints:
    if not load.zipf:
        return rng.integers(load.accounts, size=n)
    shares = np.arange(1, load.accounts + 1) ** -load.zipf
    drawn = np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(n))
    # An odd factor spreads the busiest over the ids without a second table.
    return np.minimum(drawn, load.accounts - 1) * 7_919 % load.accounts


def _actions(accounts: Ints, rng: np.random.Generator) -> Ints:
    """An action for each event, by the habit of its account."""
    chances = np.cumsum(_HABITS / _HABITS.sum(axis=1, keepdims=True), axis=1)
    drawn: Ints = (rng.random(len(accounts))[:, None] > chances[accounts % len(_HABITS)]).sum(
        axis=1
    )
    return np.minimum(drawn, len(_ACTIONS) - 1)


def _value(
    id_: str, at: str, account: str, contact: str, topic: str, what: str, i: int, seconds: float
) -> bytes:
    common = {
        "id": f"e{id_}",
        "occurred_at": at,
        "account_id": account,
        "contact_id": contact,
        "topics": (_TOPICS[i % 6], _TOPICS[i * 7 % 5]),
    }
    if topic == VISITS:
        more = {
            "url": f"https://www.example.com/{what}/page-{i % 97}",
            "page_category": what,
            "dwell_seconds": seconds,
            "session_id": f"s-{account}-{i % 5}",
            "referrer": "https://search.example/results",
            "campaign_id": None,
        }
    elif topic == DOWNLOADS:
        more = {
            "asset_id": f"asset-{i % 41}",
            "asset_type": "whitepaper",
            "stage": what,
            "title": "How others do it",
        }
    else:
        more = {
            "kind": what,
            "campaign_id": f"campaign-{i % 13}",
            "link_url": None,
            "machine_open": what == "opened" and i % 4 == 0,
        }
    return orjson.dumps(common | more)
