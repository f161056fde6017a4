"""Reading records on both paths, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stream_app.events.batch import Columns, EventBatch
from stream_app.events.decode import Decoder, Pseudonyms
from stream_app.events.reading import Read, Reader
from tests.events.records import TYPES
from tests.native.paths import taking

KEY = b"a key of more than sixty-four bytes, which HMAC has to hash before it can use it"


def reader(types: Any = None, key: bytes = KEY, **limits: Any) -> Reader:
    """A reader with the types of the input topics."""
    return Reader(Decoder(TYPES if types is None else types, **limits), Columns(Pseudonyms(key)))


def described(read: Read) -> dict[str, Any]:
    """All of an outcome, bit by bit."""
    return {
        **columns(read.batch),
        "indices": read.indices.tolist(),
        "rejections": read.rejections,
        "reached_us": read.reached_us,
        "foreign": read.foreign,
    }


def columns(batch: EventBatch) -> dict[str, Any]:
    """A batch as comparable values; the order of names counts."""
    found: dict[str, Any] = {
        "accounts": list(batch.accounts),
        "topic_names": list(batch.topic_names.items()),
    }
    for name in EventBatch.__dataclass_fields__:
        column = getattr(batch, name)
        if isinstance(column, np.ndarray):
            found[name] = (column.dtype, column.shape, column.tobytes())
    return found


def both(read: Reader, records: Sequence[Any], now_us: int, **more: Any) -> tuple[Read, Read]:
    """The outcomes of the extension and of Python."""
    with taking("native"):
        compiled = read.read(records, now_us, **more)
    with taking("python"):
        return compiled, read.read(records, now_us, **more)


def differences(
    read: Reader, records: Sequence[Any], now_us: int, **more: Any
) -> Iterator[tuple[str, Any, Any]]:
    """What the two paths make differently of the same records, but for those of which nobody can
    say: how deep is too deep depends on how deep the program is itself, by a frame or so."""
    fair = [r for r in records if not 700 < (r.value or b"").count(b"[") < 3_000]
    one, other = map(described, both(read, fair, now_us, **more))
    return ((name, one[name], other[name]) for name in one if one[name] != other[name])


def ordinary(records: Sequence[Any], now_us: int) -> int:
    """How many of the records the extension reads by itself."""
    compiled = reader()._compiled
    assert compiled
    values, topics = [r.value for r in records], [r.topic for r in records]
    found = compiled.decode(values, topics, now_us + 600_000_000)
    assert found
    return len(found[1])
