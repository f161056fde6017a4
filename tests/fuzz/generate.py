"""Hostile records from a grammar: valid events, mutated in fields, envelope, bytes, key, headers.

Random bytes alone hardly ever get past the first brace. These records are mostly almost right, so
that they reach every part of the decoder, and about half of them the engine.
"""

from __future__ import annotations

import json
from collections import deque
from random import Random
from typing import NamedTuple

from stream_app.events.instants import HOUR, MINUTE
from stream_app.streams.partitioning import partition_of
from tests.fuzz import values
from tests.fuzz.damage import DAMAGES
from tests.fuzz.events import CONTROL, DOWNLOADS, EMAILS, VISITS, Events, Fields, written
from tests.fuzz.shapes import SHAPES

LIMIT_BYTES = 262_144
"""`input.max_record_bytes`, by default."""
ODD_ACCOUNTS = (
    " ",
    "\0",
    "new\nline",
    "\ufeff",
    "__proto__",
    "e\u0301",
    "\u00e9",
    "\u212b",
    "\u00c5",
    "\U0001f3e2",
    "x" * 256,
    "\U0001f600" * 256,
    "acme:1",
    "acme@2026-01-01T00:00:00Z",
    '{"a":1}',
    "A" * 255 + "\n",
)
"""Account ids that are allowed, but that nobody expects; two pairs look the same."""

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """A record of the log, with a label of what is hostile about it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None = ()
    timestamp: int = 0
    label: str = "good"


class _Draft(NamedTuple):
    topic: bytes
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    label: str


class Generator:
    """Records without end, decided by what `random` gives.

    Parameters
    ----------
    random
        The only source of chance.
    partitions
        Of each topic. Of ten accounts whose events come in a partition nine belong there.
    accounts
        How many there are, in all partitions together.
    """

    def __init__(self, random: Random, partitions: int = 2, accounts: int = 600) -> None:
        self._random = random
        names = [*ODD_ACCOUNTS, *(f"account-{i}" for i in range(accounts - len(ODD_ACCOUNTS)))]
        every = [(_text(name), name.encode()) for name in names]
        self._accounts = [
            [pair for pair in every if partition_of(pair[1], partitions) == p] or every
            for p in range(partitions)
        ]
        self._every = every
        self._recent: deque[_Draft] = deque(maxlen=256)
        self._offsets: dict[tuple[bytes, int], int] = {}
        self._events = Events(random)
        self._busy: tuple[bytes, bytes] | None = None
        self._busy_us = 0

    def batch(self, size: int, partition: int, now_us: int) -> list[Record]:
        """The next `size` records of a partition, as of an instant. In some batches one account
        does far more than the others, so that there are spikes."""
        random = self._random
        self._busy = random.choice(self._accounts[partition]) if random.random() < 0.3 else None
        self._busy_us = max(now_us - 6 * HOUR, values.EARLIEST_US)
        return [self._record(partition, now_us) for _ in range(size)]

    def controls(self, size: int, partition: int, now_us: int) -> list[Record]:
        """The next `size` control records of a partition."""
        return [
            self._placed(self._event(partition, now_us, CONTROL), partition, now_us)
            for _ in range(size)
        ]

    def _record(self, partition: int, now_us: int) -> Record:
        random = self._random
        roll = random.random()
        if roll < 0.08 and self._recent:
            draft = random.choice(self._recent)._replace(label="repeated")
        elif roll < 0.10:
            draft = self._no_event(partition)
        elif roll < 0.101:
            draft = self._large(partition)
        else:
            own = random.choice(_MIXTURE)
            draft = self._event(partition, now_us, own)
        self._recent.append(draft)
        return self._placed(draft, partition, now_us)

    def _placed(self, draft: _Draft, partition: int, now_us: int) -> Record:
        place = (draft.topic, partition)
        offset = self._offsets[place] = self._offsets.get(place, -1) + 1
        return Record(
            draft.topic.decode(),
            partition,
            offset,
            draft.key,
            draft.value,
            draft.headers,
            now_us // 1_000,
            draft.label,
        )

    def _no_event(self, partition: int) -> _Draft:
        random = self._random
        topic = random.choice((VISITS, DOWNLOADS, EMAILS, b"engagement"))
        content = random.choice(_NO_EVENTS)
        if random.random() < 0.3:
            content = bytes(random.randrange(256) for _ in range(random.randrange(64)))
        _, key = self._account(partition)
        return _Draft(topic, self._key(key), content, self._headers(), "no-event")

    def _large(self, partition: int) -> _Draft:
        random = self._random
        shape = random.choice(tuple(SHAPES))
        size = random.choice((20_000, 100_000, LIMIT_BYTES, LIMIT_BYTES, 1_100_000))
        self._events.count += 1
        content = SHAPES[shape](b"large-%d" % self._events.count, size)
        topic = random.choice((VISITS, EMAILS, b"engagement"))
        _, key = self._account(partition)
        return _Draft(topic, self._key(key), content, (), shape)

    def _event(self, partition: int, now_us: int, own: bytes) -> _Draft:
        random = self._random
        account, key = self._account(partition)
        at = values.instant(random, now_us)
        if self._busy and account == self._busy[0]:
            self._busy_us += MINUTE  # in order: a late event is no spike
            at = b'"%s"' % values.rfc3339(self._busy_us, random)
        fields = self._events.fields(own, account, at)
        type_ = fields[0][1].strip(b'"')
        label = "good"
        roll = random.random()
        for _ in range(0 if roll < 0.6 else 1 if roll < 0.85 else 2 if roll < 0.95 else 4):
            label = self._events.mutate(fields)
        headers: Headers | None = ()
        roll = random.random()
        if roll < 0.70:
            content = written(fields)
        elif roll < 0.85:
            content = self._structured(fields, type_)
        else:
            content, headers = self._binary(fields, type_)
        if random.random() < 0.06:
            label, damage = random.choice(DAMAGES)
            content = damage(content, random)
        topic = own
        if own != CONTROL and random.random() < 0.3:
            topic = random.choice((b"engagement", b"engagement", VISITS, EMAILS))
        if not headers and random.random() < 0.1:
            headers = self._headers()
        return _Draft(topic, self._key(key), content, headers, label)

    def _account(self, partition: int) -> tuple[bytes, bytes]:
        random = self._random
        if self._busy and random.random() < 0.1:
            return self._busy
        theirs = self._every if random.random() < 0.1 else self._accounts[partition]
        return theirs[int(random.random() * len(theirs))]

    def _key(self, key: bytes) -> bytes | None:
        random = self._random
        roll = random.random()
        if roll < 0.9:
            return key
        if roll < 0.95:
            return None
        if roll < 0.999:
            return random.choice((b"", b"\xff\xfe", b"\0", b"other", key + b" ", key.upper()))
        return b"k" * 1_000_000

    def _structured(self, fields: Fields, type_: bytes) -> bytes:
        """A CloudEvent in structured mode; its envelope may have what the data lacks."""
        random = self._random
        if random.random() < 0.1:
            type_ = random.choice((b"", b"unknown", b"com.example." + type_, type_.upper()))
        data = [pair for pair in fields if pair[0] != b'"type"' or random.random() < 0.2]
        envelope: Fields = [(b'"specversion"', b'"1.0"'), (b'"type"', b'"%s"' % type_)]
        for theirs, ours in ((b'"id"', b'"id"'), (b'"time"', b'"occurred_at"')):
            if random.random() < 0.5:
                found = [pair for pair in data if pair[0] == ours]
                envelope += [(theirs, old) for _, old in found]
                data = [pair for pair in data if pair[0] != ours]
        content = written(data)
        if random.random() < 0.04:
            content = random.choice((values.value(random), b'"%s"' % content.hex().encode()))
        envelope.append((b'"data"', content))
        if random.random() < 0.1:
            self._events.mutate(envelope)
        return written(envelope)

    def _binary(self, fields: Fields, type_: bytes) -> tuple[bytes, Headers]:
        """A CloudEvent in binary mode: attributes are headers."""
        random = self._random
        headers: list[tuple[str, bytes | None]] = [("ce_specversion", b"1.0"), ("ce_type", type_)]
        data = [pair for pair in fields if pair[0] != b'"type"']
        for theirs, ours in (("ce_id", b'"id"'), ("ce_time", b'"occurred_at"')):
            found = [pair for pair in data if pair[0] == ours]
            if found and random.random() < 0.5:
                headers.append((theirs, found[0][1].strip(b'"')))
                data = [pair for pair in data if pair[0] != ours]
        if random.random() < 0.3:
            position = int(random.random() * len(headers))
            headers[position] = (headers[position][0], random.choice(_HEADER_VALUES))
        if random.random() < 0.2:
            headers += headers
        return written(data), tuple(headers)

    def _headers(self) -> Headers | None:
        random = self._random
        if random.random() < 0.1:
            return None
        names = ("trace", "", "ce_type", "ce_id", "ce_", "original-ce_type", "content-type", "\0")
        return tuple(
            (random.choice(names), random.choice(_HEADER_VALUES))
            for _ in range(random.randrange(4))
        )


_MIXTURE = (VISITS, VISITS, DOWNLOADS, EMAILS)
_NO_EVENTS: tuple[bytes | None, ...] = (
    None,
    b"",
    b"\n",
    b"null",
    b"true",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b"\0" * 9,
    *values.NUMBERS,
    *values.NO_JSON,
    *values.CONTAINERS,
)
_HEADER_VALUES: tuple[bytes | None, ...] = (
    None,
    b"",
    b"\xff\xfe",
    b"\0",
    b"website.visit",
    b"x" * 300,
    b"{",
    "\u00e9".encode(),
    b"2001-02-03T04:05:06Z",
)


def _text(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=len(text) % 2 == 0).encode()
