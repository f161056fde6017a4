"""What must hold after every batch, whatever was in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from jsonschema import ValidationError

from stream_app.events.decode import Reason
from stream_app.features.silence import OFFSETS_US
from stream_app.features.table import RING, SESSIONS, FeatureTable
from stream_app.intent.scores import BANDS
from stream_app.segments.snapshot import NO_SEGMENT
from stream_app.streams import topics
from stream_app.streams.ports import Message
from stream_app.streams.processor import Work
from tests.fuzz.generate import Record
from tests.fuzz.values import EARLIEST_US, TOLERANCE_US
from tests.schemas.checks import check_published

INPUTS = (topics.ENGAGEMENT.name, topics.ACCOUNT_CONTROL.name)
"""Topics that workers write and read."""

_to_entry = msgspec.msgpack.Encoder().encode
_from_entry = msgspec.msgpack.Decoder(Message).decode


def accounting(records: Sequence[Record], work: Work) -> Iterator[str]:
    """Every record is applied, a duplicate, forwarded or a dead letter: one of them, once."""
    refused = sum(work.rejected.values())
    done = work.effects.applied + work.effects.controls.total()
    found = done + work.effects.duplicates + work.forwarded + refused
    if found != len(records):
        yield f"{len(records)} records went in, {found} came out"
    if strange := set(work.rejected) - {reason.value for reason in Reason}:
        yield f"unknown reasons {strange}"
    if count := work.rejected[Reason.UNPROCESSABLE.value]:
        yield f"{count} records were called unprocessable"
    given = {f"{r.topic}:{r.partition}:{r.offset}": r for r in records}
    letters = [m for m in work.outbox if m.topic == topics.DEAD_LETTERS.name]
    for letter in letters:
        record = given.pop(dict(letter.headers)["ce_id"].decode(), None)
        if record is None:
            yield "a dead letter of no record, or a second one"
        elif not _is_kept(letter, record):
            yield "a dead letter has not the bytes of its record"
    if len(letters) != refused:
        yield f"{refused} records were refused, {len(letters)} dead letters written"


def _is_kept(letter: Message, record: Record) -> bool:
    """Whether key and value are the record's, or begin so where the letter says that it is cut."""
    cut = dict(letter.headers).get("ce_cut", b"").decode().split(",")
    return all(
        (now == was) != (name in cut) and (was or b"").startswith(now or b"")
        for name, now, was in (
            ("key", letter.key, record.key),
            ("value", letter.value, record.value),
        )
    )


def table(held: FeatureTable, now_us: int, max_topics: int) -> Iterator[str]:
    """Numbers are finite and in range, and the table comes back from its own bytes."""
    live = held.data[np.arange(len(held))]
    yield from _numbers(live)
    yield from _instants(live, now_us + TOLERANCE_US)
    yield from _counters(live)
    if len(held.topic_names) > max_topics:
        yield f"{len(held.topic_names)} names of topics are kept"
    packed = list(held.pack(np.arange(len(held))))
    again = FeatureTable()
    again.put([id_ for id_, _ in packed], [state for _, state in packed])
    if list(again.pack(np.arange(len(again)))) != packed:
        yield "accounts do not come back from their bytes"


def _numbers(live: npt.NDArray[np.void]) -> Iterator[str]:
    found = {
        "a sum": live["values"],
        "fast interest": live["topics"]["fast"],
        "slow interest": live["topics"]["slow"],
        "an anchor": live["anchor"],
    }
    for name, numbers in found.items():
        if not (np.isfinite(numbers) & (numbers >= 0)).all():
            yield f"{name} is not a finite number from 0 on"


def _instants(live: npt.NDArray[np.void], latest_us: int) -> Iterator[str]:
    for name in ("first_us", "latest_us", "engaged_us", "since_us", "sampled_us"):
        found = live[name]
        inside = (found >= EARLIEST_US) & (found <= latest_us)
        if name in {"engaged_us", "sampled_us"}:
            inside |= found == 0  # never
        if not inside.all():
            yield f"{name} lies outside of all time that was given"
    if (live["first_us"] > live["latest_us"]).any():
        yield "an account's first event lies after its latest"


def _counters(live: npt.NDArray[np.void]) -> Iterator[str]:
    limits = {
        "checks": len(OFFSETS_US),
        "ring_next": RING - 1,
        "session_next": SESSIONS - 1,
        "bands": len(BANDS) - 1,
    }
    for name, limit in limits.items():
        if (live[name] > limit).any():
            yield f"{name} is above {limit}"
    if (live["segment"] <= NO_SEGMENT).any() or (live["sequence"] < 1).any():
        yield "an account with events is in no segment"


def published(messages: Sequence[Message]) -> Iterator[str]:
    """What leaves fits the schemas, is a CloudEvent, and survives the outbox."""
    for message in messages:
        if _from_entry(_to_entry(message)) != message:
            yield f"a message to {message.topic} does not survive the outbox"
        if message.topic in INPUTS or message.value is None:
            continue  # what the next partition decodes; or a tombstone
        try:
            check_published(message.key, message.value, message.headers)
        except (ValidationError, ValueError, AssertionError) as error:
            yield f"a message to {message.topic}: {str(error)[:500]}"
