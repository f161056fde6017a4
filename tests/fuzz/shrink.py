"""From a batch that fails to the least of it that fails."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

from tests.fuzz.generate import Record

_SHOWN_BYTES = 2_000


def smallest(records: Sequence[Record], fails: Callable[[Sequence[Record]], bool]) -> list[Record]:
    """Records, in order, without which it does not fail: at best a single one.

    Halves are left out while it fails without them, then quarters, and so on (ddmin: A. Zeller,
    R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002).
    """
    kept = list(records)
    step = max(len(kept) // 2, 1)
    while True:
        start = 0
        while start < len(kept) and len(kept) > 1:
            without = kept[:start] + kept[start + step :]
            if without and fails(without):
                kept = without
            else:
                start += step
        if step == 1:
            return kept
        step //= 2


def shown(record: Record) -> str:
    """A record for a person: what it is, and its bytes so that they can be fed again."""
    value = record.value or b""
    cut = "" if len(value) <= _SHOWN_BYTES else f", cut after {_SHOWN_BYTES} of {len(value)} bytes"
    brief = record._replace(
        key=record.key and record.key[:200],
        value=record.value and value[:_SHOWN_BYTES],
    )
    return f"{brief!r}{cut}\n  base64 {b64encode(value[:_SHOWN_BYTES]).decode()}"
