"""Records as workers refuse them, and the letters that workers make of them."""

from __future__ import annotations

import json
from typing import Any

from stream_app.events.decode import Pseudonyms, Reason, Rejection
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Message

VISITS = topics.WEBSITE_VISITS.name
NOW_US = 1_790_000_000_000_000
TOO_LARGE = Rejection(0, Reason.TOO_LARGE, "the value has 70 bytes, the limit is 60")
NOT_JSON = Rejection(0, Reason.NOT_JSON, "malformed (byte 3)")


def visit(account: str = "acme", id_: str = "e-1", **fields: Any) -> bytes:
    """A valid event."""
    event = {"id": id_, "occurred_at": "2026-09-01T12:00:00Z", "account_id": account, **fields}
    return json.dumps(event).encode()


def refused(
    offset: int,
    value: bytes | None,
    *,
    topic: str = VISITS,
    key: bytes | None = b"acme",
    headers: tuple[tuple[str, bytes], ...] = (),
    rejection: Rejection = TOO_LARGE,
    at_us: int = NOW_US,
    prefix: str = "",
) -> Message:
    """The letter that a worker publishes."""
    record = MemoryRecord(prefix + topic, 1, offset, at_us // 1_000, key, value, headers)
    return Messages(prefix, Pseudonyms()).dead_letter(record, rejection, at_us)


def stored(letter: Message, partition: int = 0, offset: int = 0) -> MemoryRecord:
    """The letter as it is read back."""
    return MemoryRecord(
        letter.topic, partition, offset, 0, letter.key, letter.value, letter.headers
    )
