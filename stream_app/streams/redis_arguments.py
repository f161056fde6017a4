"""Many arguments of a command as they are sent: made in one go, and never taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from stream_app import native
from stream_app.features.packing import Packed


@dataclass(frozen=True, slots=True)
class Arguments:
    """Some that follow each other."""

    count: int
    sent: bytes
    """RESP's bulk strings: the size of each in decimal, and its bytes."""

    def __bool__(self) -> bool:
        return self.count > 0


def arguments(values: Sequence[str | bytes]) -> Arguments:
    """One of each value."""
    if native.in_use:
        return Arguments(*native.compiled.bulk_strings(values))
    parts: list[bytes] = []
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        parts += (b"$%d\r\n" % len(raw), raw, b"\r\n")
    return Arguments(len(values), b"".join(parts))


def pairs(values: Sequence[tuple[str | bytes, str | bytes]]) -> Arguments:
    """`arguments` of the first and the second of each pair in turn."""
    if isinstance(values, Packed) and values.sent is not None:
        return Arguments(2 * len(values), values.sent)
    if native.in_use:
        return Arguments(*native.compiled.bulk_strings(values))
    return arguments(list(chain.from_iterable(values)))
