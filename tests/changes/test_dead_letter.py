"""A rejected line is kept as it was."""

from __future__ import annotations

from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from stream_app.changes.types import DeadLetter
from stream_app.events.decode import Reason, Rejection


@given(st.binary() | st.text().map(str.encode))
def test_the_original_bytes_can_be_had_back(value: bytes) -> None:
    letter = DeadLetter.of(value, Rejection(0, Reason.NOT_JSON, "why"), "events.jsonl", 7)
    read = {"text": str.encode, "base64": b64decode}[letter.encoding]
    assert read(letter.value) == value
    assert (letter.reason, letter.detail) == ("not_json", "why")
    assert (letter.file, letter.line) == ("events.jsonl", 7)
