"""The events of a run. A seed makes the same ones.

The events of one account lie in one topic and one partition, so that the log alone says in which
order they count. There are two sorts of accounts.

Live accounts are active while faults happen. Each lives for some forty events, with gaps of days in
event time, and is then followed by another one. Some events are late by days, some come twice, some
contacts are e-mail addresses. The events of some accounts come with another key than their own, so
that they are forwarded.

Quiet accounts have had all their events before the workers start. Their very last look, after 26
weeks of silence, falls due at an instant of the run, at which the sweep must move them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

from stream_app.events.instants import DAY, HOUR, MINUTE, SECOND, to_rfc3339
from stream_app.features.silence import HORIZON_US
from stream_app.streams import topics
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message
from tests.chaos.setup import PARTITIONS, PREFIX, SWEEP_GRACE_DAYS

TOPICS = tuple(
    topic.with_prefix(PREFIX).name
    for topic in (topics.WEBSITE_VISITS, topics.CONTENT_DOWNLOADS, topics.EMAIL_EVENTS)
)
QUIET_ACCOUNTS = 120
_SLOTS = 60
"""Live accounts at any moment."""
_LIFE_EVENTS = (20, 60)
_LIVE_SINCE_DAYS = 190
"""No live account begins earlier, and no event is late by more than `_LATE_DAYS`: all lie within
`SWEEP_GRACE_DAYS`."""
_LATE_DAYS = 8
_STRAY_EVERY = 6
"""Each so many-th slot's events come with another key."""
_REST, _LATE, _AGAIN, _BAD = 0.15, 0.06, 0.03, 0.015
"""How often an account pauses for days, an event is late, comes again, or a record is bad."""
_QUIET_EVENTS = 4


def quiet_history(random: Random, start_us: int, seconds: float) -> list[Message]:
    """All events of the quiet accounts, in the order of time. `start_us`: the instant from which
    on, for `seconds`, their last look falls due."""
    timed: list[tuple[int, Message]] = []
    due_us = start_us - round(SWEEP_GRACE_DAYS * DAY) - HORIZON_US
    for i in range(QUIET_ACCOUNTS):
        account, topic = f"quiet-{i}", TOPICS[i % len(TOPICS)]
        at_us = due_us + round(random.random() * seconds * SECOND)
        for n in range(_QUIET_EVENTS):
            value = _event(random, topic, account, f"{account}-e{n}", at_us, "news")
            timed.append((at_us, Message(topic, account.encode(), value)))
            at_us -= random.randrange(HOUR, 5 * DAY)
    return [message for _, message in sorted(timed, key=lambda pair: pair[0])]


def live(random: Random, now_us: int) -> Iterator[Message]:
    """Events of the live accounts, and records that are none, for ever."""
    lives = [_life(random, slot, now_us) for slot in range(_SLOTS)]
    while True:
        yield next(random.choice(lives))
        if random.random() < _BAD:
            yield _bad(random)


def _life(random: Random, slot: int, now_us: int) -> Iterator[Message]:
    """One account after the other."""
    topic = TOPICS[slot % len(TOPICS)]
    for generation in count():
        account = f"live-{slot}-{generation}"
        key = _other_key(account) if slot % _STRAY_EVERY == 0 else account.encode()
        at_us = now_us - _LIVE_SINCE_DAYS * DAY + random.randrange(20 * DAY)
        recent: list[Message] = []
        for n in range(random.randint(*_LIFE_EVENTS)):
            rests = random.random() < _REST
            at_us += random.randrange(12 * DAY) if rests else random.randrange(1, 20 * MINUTE)
            at_us = min(at_us, now_us - MINUTE)
            late_us = random.randrange(_LATE_DAYS * DAY) if random.random() < _LATE else 0
            theme = f"theme-{n // 12}"  # something new now and then: a spike
            value = _event(random, topic, account, f"{account}-e{n}", at_us - late_us, theme)
            recent = [*recent[-5:], Message(topic, key, value)]
            yield recent[-1]
            if random.random() < _AGAIN:
                yield random.choice(recent)


def _other_key(account: str) -> bytes:
    """A key that leads to another partition than the account's."""
    home = partition_of(account.encode(), PARTITIONS)
    keys = (f"gateway-{i}-of-{account}".encode() for i in count())
    return next(key for key in keys if partition_of(key, PARTITIONS) != home)


def _event(random: Random, topic: str, account: str, id_: str, at_us: int, theme: str) -> bytes:
    contact = random.choice(("ann", "bob", "cem", "dana@example.com", "eve@example.org"))
    body: dict[str, Any] = {
        "id": id_,
        "occurred_at": to_rfc3339(at_us),
        "account_id": account,
        "contact_id": contact,
        "topics": [theme] if random.random() < 0.8 else [theme, "other"],
    }
    if topic == TOPICS[0]:
        body |= {"page_category": random.choice(("pricing", "product", "docs"))}
        body |= {"dwell_seconds": random.randrange(200), "session_id": f"s{random.randrange(9)}"}
    elif topic == TOPICS[1]:
        body |= {"stage": random.choice(("awareness", "consideration", "decision", "decision"))}
    else:
        body |= {"kind": random.choice(("sent", "opened", "clicked", "clicked", "replied"))}
    return json.dumps(body).encode()


def _bad(random: Random) -> Message:
    """A record that must become a dead letter."""
    number = random.randrange(10**9)
    event = json.loads(_event(random, TOPICS[0], f"bad-{number}", f"e{number}", DAY * 20_000, "x"))
    nameless = {name: value for name, value in event.items() if name != "account_id"}
    value = random.choice(
        (
            b"",
            b"{no json %d" % number,
            b"\xff\xfe%d" % number,
            json.dumps(nameless).encode(),
            json.dumps(event | {"occurred_at": "2055-01-01T00:00:00Z"}).encode(),
        )
    )
    key = random.choice((None, b"\xff%d" % number, b"gateway-%d" % number))
    return Message(random.choice(TOPICS), key, value, (("trace", b"%d" % number),))
