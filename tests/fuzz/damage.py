"""Damage to the bytes of a value, whatever they mean."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from random import Random


def _cut(content: bytes, random: Random) -> bytes:
    return content[: int(random.random() * len(content))]


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    position = int(random.random() * len(content))
    changed = content[position] ^ 1 << int(random.random() * 8)
    return content[:position] + bytes([changed]) + content[position + 1 :]


def _insert(content: bytes, random: Random) -> bytes:
    position = int(random.random() * len(content))
    piece = random.choice((b"\0", b"\xff", b"\\", b'"', b"{", b"}", b",", b" ", b"\xed\xa0\x80"))
    return content[:position] + piece + content[position:]


def _repeat(content: bytes, random: Random) -> bytes:
    start = int(random.random() * len(content))
    end = start + int(random.random() * 40)
    return content[:end] + content[start:end] * 3 + content[end:]


DAMAGES: tuple[tuple[str, Callable[[bytes, Random], bytes]], ...] = (
    ("cut", _cut),
    ("bit flipped", _flip),
    ("inserted", _insert),
    ("piece repeated", _repeat),
    ("byte order mark", lambda content, _: b"\xef\xbb\xbf" + content),
    ("blanks", lambda content, _: b" \t\r\n" + content + b"\n\n"),
    ("two values", lambda content, _: content + content),
    ("in a list", lambda content, _: b"[" + content + b"]"),
    ("UTF-16", lambda content, _: content.decode("latin-1").encode("utf-16")),
    ("gzip", lambda content, _: gzip.compress(content, mtime=0)),
)
