"""Events as JSON that is written in every way that is allowed, and in some that are not quite."""

from __future__ import annotations

from random import Random

from tests.events.records import ANY, DOWNLOADS, EMAILS, VISITS, Record

_TEXTS = (
    *(
        b'""',
        b'"a"',
        b'" a "',
        b'"pricing"',
        b'"c-1"',
        b'"A.B@Example.com"',
        b'" \\tA@b.c\\n\\u001f"',
    ),
    *(
        b'"\\u0041"',
        b'"\\/\\"\\\\\\b\\f\\n\\r\\t"',
        b'"\\u00e9"',
        b'"\\ud83d\\ude00"',
        b'"\\uD83D\\uDE00!"',
    ),
    *(
        b'"\\ud83d"',
        b'"\\ude00"',
        b'"\\ud83d\\u0041"',
        b'"\\ud83d"x',
        b'"\\u00g0"',
        b'"\\u12"',
        b'"\\x"',
    ),
    *('"\u00e9"'.encode(), '"\U0001f600@\u0130"'.encode(), '"\u2028\ufeff"'.encode(), b'"\x7f"'),
    *(
        b'"\x1f"',
        b'"\xff"',
        b'"\xc3"',
        b'"\xc3\\u00a9"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b'"a',
    ),
    *(b"null", b"nul", b"true", b"1", b"[]", b"{}", b'["a"]'),
    *(b'"%s"' % (b"x" * n) for n in (127, 128, 129, 255, 256, 257, 1_024, 1_025, 4_096, 4_097)),
    *(('"%s"' % ("\u00e9" * n)).encode() for n in (128, 129, 256, 257)),
    *(b'"%s"' % (b"\\ud83d\\ude00" * n) for n in (128, 129, 256, 257)),
)
_INSTANTS = (
    b'"2026-03-02T11:00:00Z"', b'"2026-03-02T11:00:00.1Z"', b'"2026-03-02T11:00:00.123456Z"',
    b'"2026-03-02T11:00:00.1234567Z"', b'"2026-03-02T11:00:00.9999995Z"',
    b'"2026-03-02T11:00:00.Z"',
    b'"2026-03-02T11:00:00+00:00"', b'"2026-03-02T16:45:00+05:45"', b'"2026-03-01T11:00:00-23:59"',
    b'"2026-03-02T11:00:00+24:00"', b'"2026-03-02T11:00:00+01:60"', b'"2026-03-02T11:00:00+0100"',
    b'"2026-03-02T11:00:00"', b'"2026-03-02t11:00:00z"', b'"2026-03-02 11:00:00Z"', b'"2026-03-02"',
    b'"2024-02-29T00:00:00Z"', b'"2023-02-29T00:00:00Z"', b'"2100-02-29T00:00:00Z"',
    b'"2000-02-29T23:59:59.999999Z"', b'"2000-01-01T00:00:00Z"', b'"1999-12-31T23:59:59.999999Z"',
    b'"2000-01-01T00:00:00+00:01"', b'"2026-03-02T12:10:00Z"', b'"2026-03-02T12:10:00.000001Z"',
    b'"2026-04-31T00:00:00Z"', b'"2026-01-31T24:00:00Z"', b'"2025-12-31T23:59:60Z"',
    b'"2026-00-01T00:00:00Z"', b'"2026-13-01T00:00:00Z"', b'"2026-01-00T00:00:00Z"',
    b'"0000-01-01T00:00:00Z"', b'"9999-12-31T23:59:59-23:59"', b'"0001-01-01T00:00:00+23:59"',
    b'"2026-03-02T11:00:00\\u005a"', b'"2026\\u002d03-02T11:00:00Z"',
    b'"2026-03-02T11:00:00Z\\u0000"',
    b'"2026-03-0\xc2\xb2T11:00:00Z"', b"1772449200", b"1772449200.5", b"null", b'""',
)  # fmt: skip
_AMOUNTS = (
    *(b"0", b"0.0", b"-0", b"-0.0", b"-1", b"00", b"01.5", b"1.", b".5", b"+1", b"1e3", b"1.5E-3"),
    *(b"1e400", b"1e-400", b"90", b"90.5", b"59.999999999999", b"3600"),
    *(b"3600.0000000000005", b"1e"),
    *(b"12.345678901234567", b"0.1", b"0.30000000000000004", b"0.1234567890123456789", b"7e22"),
    *(b"123456789012345", b"1234567890123456", b"9007199254740991", b"9007199254740993"),
    *(b"18446744073709551615", b"18446744073709551616", b"99999999999999999999"),
    *(b"0.00000000000000001",),
    *(b"123456789.12345678901", b"1.00000000000000000000000001", b"NaN", b"Infinity"),
    *(b'"1"', b"null"),
    *(b"true", b"1 ", b"1_0", b"1a", b"0x1"),
)  # fmt: skip
_TOPICS = (
    *(b"[]", b"[ ]", b'["a"]', b'["a","a"]', b'["a","b","a","c","d","e"]', b'[ "a" , "b" ]'),
    *(b'["a",]', b'[,"a"]', b'["a" "b"]', b'["a"', b'[""]', b"[null]", b"[1]"),
    *(b'[["a"]]', b'{"a":1}', b"null"),
    *(b'["\\u0061","a"]', '["\u00e9","\\u00e9"]'.encode(), b'"a"'),
    *(b"[%s]" % b",".join([b'"t%d"' % i for i in range(n)]) for n in (31, 32, 33)),
    *(b'["a","%s"]' % (b"x" * n) for n in (128, 129)),
)  # fmt: skip
_ANYTHING = (
    *(b'{"a":[1,-2.5e+7,{"b":null}],"c":"\\ud83d\\ude00"}', b"[[[[[[[[1]]]]]]]]", b"[1,]", b"{,}"),
    *(b"[" * n + b"]" * n for n in (30, 31, 32, 33, 34, 100)),
    *(b'{"a"}', b'{"a":}', b"{1:2}", b'{"a":1 "b":2}', b"[1 2]", b"-", b"--1"),
    *(b"1e999", b"-01", b"1.e1"),
    *(b'"\\ud800"', b'"\xff"', b"falsehood", b"tru", b"{ }", b"[ ]", b"-0", b"1E+2"),
    *(b"}", b"]", b",", b""),
)  # fmt: skip
_STAGES = (
    b'"awareness"',
    b'"consideration"',
    b'"decision"',
    b'"Decision"',
    b'"\\u0064ecision"',
    b"null",
)
_KINDS = (
    *(b'"sent"', b'"delivered"', b'"opened"', b'"clicked"', b'"replied"', b'"bounced"'),
    *(b'"unsubscribed"', b'"complained"', b'"open"', b'""', b"1"),
)  # fmt: skip
_TYPES = (
    b'"website.visit"',
    b'"content.download"',
    b'"email.engagement"',
    b'"x"',
    b"null",
    b'"\\u0077ebsite.visit"',
)
_POOLS = {
    b'"type"': _TYPES,
    b'"id"': _TEXTS,
    b'"occurred_at"': _INSTANTS,
    b'"account_id"': _TEXTS,
    b'"contact_id"': _TEXTS,
    b'"topics"': _TOPICS,
    b'"url"': _TEXTS,
    b'"page_category"': (*_TEXTS, b'"product"', b'"\\u0070ricing"'),
    b'"dwell_seconds"': _AMOUNTS,
    b'"session_id"': _TEXTS,
    b'"referrer"': _TEXTS,
    b'"campaign_id"': _TEXTS,
    b'"asset_id"': _TEXTS,
    b'"asset_type"': _TEXTS,
    b'"stage"': _STAGES,
    b'"title"': _TEXTS,
    b'"kind"': _KINDS,
    b'"link_url"': _TEXTS,
    b'"machine_open"': (b"true", b"false", b"null", b"0", b'"true"', b"tru", b"falsy"),
    b'"more"': (*_ANYTHING, *_AMOUNTS, *_TEXTS),
    b'"specversion"': (b'"1.0"', b"1"),
    b'"data"': _ANYTHING,
    b'"\\u0069d"': _TEXTS,
    '"\u00e9"'.encode(): _TEXTS,
    b'"id "': _TEXTS,
    b'"id': _TEXTS,
    b"id": _TEXTS,
}
_GOOD: dict[bytes, tuple[bytes, ...]] = {
    b'"id"': _TEXTS[1:7],
    b'"occurred_at"': _INSTANTS[:3] + _INSTANTS[6:9],
    b'"account_id"': _TEXTS[1:11],
    b'"contact_id"': _TEXTS[:11],
    b'"topics"': _TOPICS[:6],
    b'"dwell_seconds"': _AMOUNTS[:2] + _AMOUNTS[14:22],
    b'"stage"': _STAGES[:3],
    b'"kind"': _KINDS[:8],
}
_BLANKS = (*(b"", b" ", b"\n", b"\t\r ") * 40, b"\x0b", b"\xa0")
_TOPIC_TYPES = {VISITS: 0, DOWNLOADS: 1, EMAILS: 2}


def varied(random: Random) -> Record:
    """An event, of which a few fields may have any form."""
    topic = random.choice((VISITS, VISITS, DOWNLOADS, EMAILS, ANY))
    kind = _TOPIC_TYPES.get(topic, random.randrange(3))
    fields = {name: random.choice(pool) for name, pool in _GOOD.items() if random.random() < 0.99}
    if topic == ANY or random.random() < 0.3:
        fields[b'"type"'] = _TYPES[kind]
    pairs = list(fields.items())
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        name = random.choice(tuple(_POOLS))
        if random.random() < 0.7:
            pairs = [pair for pair in pairs if pair[0] != name]
        pairs.append((name, random.choice(_POOLS[name])))
    random.shuffle(pairs)
    return Record(topic, _written(pairs, random))


def _written(pairs: list[tuple[bytes, bytes]], random: Random) -> bytes:
    if random.random() < 0.7:
        return b"{" + b",".join(b"%s:%s" % pair for pair in pairs) + b"}"

    def blank() -> bytes:
        return random.choice(_BLANKS)

    text = b"".join(
        b"%s%s%s:%s%s%s," % (blank(), name, blank(), blank(), value, blank())
        for name, value in pairs
    )
    end = random.choice((b"}", b"}", b"}", b"}", b",}", b"", b"}}", b"} x", b"}\n", b"}\0"))
    return blank() + b"{" + text.removesuffix(b",") + end + blank()
