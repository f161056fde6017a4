"""Hostile JSON values and instants, as text: what no JSON library would write."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zlib import crc32

from stream_app.events.instants import DAY, SECOND, parse

TOLERANCE_US = 600 * SECOND
"""How far ahead of the clock an event may lie, by default."""
EARLIEST_US = parse("2000-01-01T00:00:00Z")

NUMBERS = (
    b"0",
    b"-0",
    b"-0.0",
    b"-1",
    b"1e-9",
    b"-1e-9",
    b"3600.0000001",
    b"1e308",
    b"-1e308",
    b"1.7976931348623157e308",
    b"1e309",
    b"1e400",
    b"5e-324",
    b"1e-400",
    b"9007199254740993",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1" + b"0" * 309,
    b"9" * 5_000,
    b"0." + b"3" * 400,
    b"1e" + b"9" * 30,
)
NO_JSON = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"01",
    b"1.",
    b".5",
    b"+1",
    b"0x10",
    b"1e",
    b"--1",
    b"TRUE",
    b"undefined",
    b"'text'",
    b"",
    b'"open',
    b'"tab\there"',
    b'"\\x41"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xc0\xaf"',
    b'"\xed\xa0\x80"',
    b"[1,]",
    b'{"a" 1}',
    b"]",
)
TEXTS = tuple(
    json.dumps(text).encode()
    for text in (
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\ufeff",
        "\u202eabc",
        "e\u0301",
        "\u00e9",
        "\U0001f600" * 64,
        "\U0010ffff",
        "x" * 128,
        "x" * 129,
        "x" * 256,
        "x" * 257,
        "x" * 4_096,
        "x" * 4_097,
        "\u00e9" * 256,
        "a@b",
        "@",
        " A@B.example ",
        "__proto__",
        "' OR 1=1 --",
        "${jndi:x}",
        '"}',
        "' - at `$.id`",
        "missing required field `id`",
        "website.visit",
        "com.example.website.visit",
        "content.download",
        "email.engagement",
        "WEBSITE.VISIT",
        "clicked",
        "decision",
        "pricing",
        "true",
        "null",
        "2026-03-02T11:00:00Z",
        "H4sIAAAAAAAA",
    )
)
CONTAINERS = (
    b"[]",
    b"{}",
    b"[[]]",
    b"[null]",
    b'[""]',
    b'["a","a","a","a","a"]',
    b'["a",1]',
    b'{"":0}',
    b'{"a":1,"a":2}',
    b'{"data":{}}',
    b"[" + b",".join(b'"t%d"' % i for i in range(32)) + b"]",
    b"[" + b",".join(b'"t%d"' % i for i in range(33)) + b"]",
    b"[" + b",".join(b'"%s"' % (b"x" * 128) for _ in range(32)) + b"]",
    b"[" * 60 + b"]" * 60,
    b"[" * 990 + b"]" * 990,
    b'{"a":' * 996 + b"1" + b"}" * 996,
    b"[" * 1_200 + b"]" * 1_200,
    b"[" * 1_200,
)

INVALID_INSTANTS = (
    b"",
    b"yesterday",
    b"2026-03-02",
    b"2026-03-02T11:00:00",
    b"2026-03-02T11:00Z",
    b"20260302T110000Z",
    b"2026-02-30T00:00:00Z",
    b"2025-02-29T00:00:00Z",
    b"2026-13-01T00:00:00Z",
    b"2026-00-10T00:00:00Z",
    b"2026-03-02T24:00:00Z",
    b"2026-03-02T11:60:00Z",
    b"2016-12-31T23:59:60Z",
    b"0000-01-01T00:00:00Z",
    b"0001-01-01T00:00:00+23:59",
    b"0001-01-01T00:00:00Z",
    b"9999-12-31T23:59:59.9999999Z",
    b"9999-12-31T23:59:59Z",
    b"9999-12-31T23:59:59-23:59",
    b"10000-01-01T00:00:00Z",
    b"-001-01-01T00:00:00Z",
    b"2026-03-02T11:00:00+24:00",
    b"2026-03-02T11:00:00+14:60",
    b"2026-03-02T11:00:00.Z",
    b"2026-03-02T11:00:00,5Z",
    b"2026-03-02T11:00:00Z ",
    b"1970-01-01T00:00:00Z",
)
OFFSETS = (0, 60, -60, 330, 840, -840, 1_439, -1_439)
"""Minutes east of Greenwich."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def value(random: Random) -> bytes:
    """A JSON text that does not fit most fields, or is none."""
    kind = int(random.random() * 10)
    if kind < 3:
        return random.choice(NUMBERS)
    if kind < 4:
        return random.choice(NO_JSON)
    if kind < 7:
        return random.choice(TEXTS)
    if kind < 9:
        return random.choice(CONTAINERS)
    return random.choice((b"null", b"true", b"false"))


def instant(random: Random, now_us: int) -> bytes:
    """An instant as JSON text: mostly good, of all times since 2000, or at a border."""
    roll = random.random()
    if roll < 0.04:
        return b'"%s"' % random.choice(INVALID_INSTANTS)
    if roll < 0.10:
        border = random.choice((EARLIEST_US, now_us, now_us + TOLERANCE_US))
        at_us = border + random.choice((-SECOND, -1, 0, 1, SECOND))
    elif roll < 0.20:
        at_us = EARLIEST_US + int(random.random() * (now_us - EARLIEST_US))
    else:
        # As late as milliseconds or a month, each order of magnitude as often as the next.
        at_us = max(now_us - int(1_000 * (30 * DAY / 1_000) ** random.random()), EARLIEST_US)
    return b'"%s"' % rfc3339(at_us, random)


def rfc3339(at_us: int, random: Random) -> bytes:
    """An instant in one of the many ways in which RFC 3339 lets it be written."""
    if random.random() < 0.7:
        return (_EPOCH + timedelta(microseconds=at_us)).isoformat()[:-6].encode() + b"Z"
    minutes = random.choice(OFFSETS)
    local = (_EPOCH + timedelta(microseconds=at_us, minutes=minutes)).isoformat()[:-6].encode()
    if random.random() < 0.3 and b"." in local:
        local += b"0" * random.choice((1, 24, 400))
    if random.random() < 0.2:
        local = local.replace(b"T", random.choice((b"t", b" ")))
    sign = b"-" if minutes < 0 else b"+"
    return local + sign + b"%02d:%02d" % divmod(abs(minutes), 60)


@cache
def colliding_ids() -> tuple[tuple[bytes, bytes], ...]:
    """Pairs of different event ids with the same CRC-32, found by trying many."""
    seen: dict[int, bytes] = {}
    pairs = []
    for i in range(250_000):
        # Ids of one length that differ in few bits never collide.
        text = b"%x" % (i * 0x9E3779B97F4A7C15 % 2**61)
        other = seen.setdefault(crc32(text), text)
        if other != text:
            pairs.append((other, text))
    return tuple(pairs)
