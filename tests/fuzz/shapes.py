"""Large hostile records: shapes that have cost some parser its time, in any size."""

from __future__ import annotations

from collections.abc import Callable

VISIT = (
    b'{"type":"website.visit","id":"%s","occurred_at":"2001-02-03T04:05:06Z",'
    b'"account_id":"large","url":"https://example.com"'
)
EMAIL = VISIT.replace(b"website.visit", b"email.engagement")
_ENVELOPE = b'{"specversion":"1.0","type":"website.visit","data":'


def _filled(opening: bytes, unit: bytes, closing: bytes, size: int) -> bytes:
    """`unit` again and again between two pieces, in about `size` bytes and never more."""
    count = max((size - len(opening) - len(closing)) // len(unit), 1)
    return opening + unit * count + closing


def _visit(opening: bytes, unit: bytes, closing: bytes) -> Callable[[bytes, int], bytes]:
    return lambda id_, size: _filled(VISIT % id_ + b"," + opening, unit, closing + b"}", size)


def _enveloped(opening: bytes, unit: bytes, closing: bytes) -> Callable[[bytes, int], bytes]:
    return lambda id_, size: _filled(
        _ENVELOPE + VISIT % id_ + b"," + opening, unit, closing + b"}}", size
    )


def _email(opening: bytes, unit: bytes, closing: bytes) -> Callable[[bytes, int], bytes]:
    return lambda id_, size: _filled(EMAIL % id_ + b"," + opening, unit, closing + b"}", size)


def _bare(opening: bytes, unit: bytes, closing: bytes) -> Callable[[bytes, int], bytes]:
    return lambda _, size: _filled(opening, unit, closing, size)


def _nested(opening: bytes, closing: bytes) -> Callable[[bytes, int], bytes]:
    def make(id_: bytes, size: int) -> bytes:
        depth = max((size - 200) // (len(opening) + len(closing)), 1)
        return VISIT % id_ + b',"mood":' + opening * depth + b"1" + closing * depth + b"}"

    return make


def _keys(id_: bytes, size: int) -> bytes:
    """An object with many different keys, in the envelope: they are all looked up."""
    keys = b",".join(b'"k%06d":0' % i for i in range(max((size - 250) // 12, 1)))
    return _ENVELOPE + VISIT % id_ + b"," + keys + b"}}"


SHAPES: dict[str, Callable[[bytes, int], bytes]] = {
    "long-text": _visit(b'"mood":"', b"x", b'"'),
    "long-account": _visit(b'"account_id":"', b"a", b'"'),
    "long-contact": _visit(b'"contact_id":"', b"a@", b'"'),
    "long-url": _visit(b'"url":"', b"x", b'"'),
    "long-fraction": _visit(b'"occurred_at":"2001-02-03T04:05:06.', b"1", b'Z"'),
    "long-type": _visit(b'"type":"', b".website.visit", b'"'),
    "escapes": _visit(b'"url":"', b"\\u00e9", b'"'),
    "backslashes": _visit(b'"url":"', b"\\\\", b'",,'),
    "surrogate-pairs": _visit(b'"url":"', b"\\ud83d\\ude00", b'",,'),
    "almost-surrogates": _visit(b'"url":"', b"\\\\ud83d", b'",,'),
    "many-topics": _visit(b'"topics":["t"', b',"t"', b"]"),
    "many-hard-topics": _visit(b'"topics":["t"', b',"\\u0000"', b"]"),
    "many-duplicates": _visit(b'"mood":1', b',"id":"x"', b""),
    "many-keys": _keys,
    "digits": _visit(b'"dwell_seconds":', b"9", b""),
    "fraction-digits": _visit(b'"dwell_seconds":0.', b"3", b""),
    "exponent-digits": _visit(b'"dwell_seconds":1e-', b"9", b""),
    "unread-digits": _enveloped(b'"mood":', b"9", b""),
    "unread-1e308": _enveloped(b'"mood":[0', b",1e308", b"]"),
    "unread-5e-324": _enveloped(b'"mood":[0', b",5e-324", b"]"),
    "unread-17-digits": _enveloped(b'"mood":[0', b",1.7976931348623157e308", b"]"),
    "unread-integers": _enveloped(b'"mood":[0', b"," + b"9" * 4_300, b"]"),
    "unread-lists": _enveloped(b'"mood":[0', b",[]", b"]"),
    "unread-objects": _enveloped(b'"mood":[0', b",{}", b"]"),
    "broken-1e308": _visit(b'"mood":[0', b",1e308", b"],,"),
    "kind-with-paths": _email(b'"kind":"', b" - at `$.id", b'"'),
    "kind-with-messages": _email(b'"kind":"', b"Invalid enum value ", b'"'),
    "blanks": _bare(b"", b" ", b"{}"),
    "brackets": _bare(b"", b"[", b""),
    "numbers": _bare(b"[0", b",1e308", b"]"),
    "zeros": _bare(b"", b"\0", b""),
    "no-utf-8": _bare(b'"', b"\xff", b'"'),
    "gzip-like": _bare(b"\x1f\x8b\x08\0", b"\x9c\x4b\xcb\xcf", b""),
    "nested-lists": _nested(b"[", b"]"),
    "nested-objects": _nested(b'{"a":', b"}"),
}
"""Name -> (event id, bytes) -> value of at most about so many bytes."""


def ordinary(id_: bytes) -> bytes:
    """An ordinary visit, to compare with."""
    return VISIT % id_ + (
        b',"contact_id":"c-1","topics":["pricing","security"],"page_category":"pricing",'
        b'"dwell_seconds":90.0,"session_id":"s-1","referrer":"https://search.example"}'
    )
