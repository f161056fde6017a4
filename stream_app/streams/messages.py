"""From effects to Kafka messages: CloudEvents in binary mode, and dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from stream_app.changes.accounts import Told
from stream_app.changes.types import (
    OUTPUT_TYPES,
    SEGMENT_STEPS,
    AccountSegment,
    DeadLetter,
    FeatureSample,
    IntentSpike,
    ModelActivated,
    SegmentChange,
    SegmentRef,
)
from stream_app.effects import Effects
from stream_app.events import cloudevents
from stream_app.events.control import Control, EraseContact
from stream_app.events.decode import Pseudonyms, Rejection
from stream_app.events.instants import parse, to_rfc3339
from stream_app.events.types import Event
from stream_app.segments.snapshot import Lineage, Snapshot
from stream_app.streams import topics
from stream_app.streams.ports import Message, Record
from stream_app.streams.registry import Activation

_encode = msgspec.json.Encoder().encode
_HEADERS = {
    payload: cloudevents.Template(type_, "application/json")
    for payload, type_ in OUTPUT_TYPES.items()
}

_MIB = 1024 * 1024
_KEY_BYTES, _HEADERS_BYTES, _VALUE_BYTES = _MIB // 4, _MIB, 6 * _MIB
"""What a dead letter holds of a record at most; its topic takes 8 MiB with everything around it."""
_HEADER_OVERHEAD = 16
"""Bytes that a header has besides name and value, at most."""


class Messages:
    """Makes messages for topics under a prefix."""

    def __init__(self, topic_prefix: str, pseudonyms: Pseudonyms) -> None:
        self._prefix = topic_prefix
        self._account_segments = topic_prefix + topics.ACCOUNT_SEGMENTS.name
        self._pseudonyms = pseudonyms

    def of(self, effects: Effects, accounts: Sequence[Told] | None = None) -> list[Message]:
        """What a step leads to, in order; changes and spikes before where accounts stand.

        `accounts` is `effects.told()`, for who has it already.
        """
        messages = [self._change(change) for change in effects.changes]
        messages += [self._spike(spike) for spike in effects.spikes]
        messages += map(self._account, effects.told() if accounts is None else accounts)
        messages += [self._gone(account) for account in effects.gone]
        return messages

    def sample(self, sample: FeatureSample) -> Message:
        """A training vector."""
        return self._event(
            topics.ACCOUNT_FEATURES,
            sample,
            f"{sample.account_id}@{sample.at}",
            sample.at,
            sample.account_id,
        )

    def model(self, snapshot: Snapshot) -> Message:
        """A version of the model."""
        return self._event(
            topics.SEGMENT_MODELS,
            snapshot,
            f"model:{snapshot.version}",
            to_rfc3339(parse(snapshot.created_at)),
            "model",
        )

    def activation(self, activation: Activation, snapshot: Snapshot) -> Message:
        """A version came into use."""
        return self._event(
            topics.SEGMENT_MODELS,
            ModelActivated(
                number=activation.number,
                model_version=activation.version,
                previous=activation.previous,
                why=activation.why,
                by=activation.by,
                segments=[SegmentRef(id=s.id, name=s.name) for s in snapshot.segments],
                occurred_at=activation.at,
            ),
            f"model:activated:{activation.number}",
            to_rfc3339(parse(activation.at)),
            "model",
        )

    def lineage(self, snapshot: Snapshot, at: str) -> list[Message]:
        """What a version did to the segments of its parent, as of when it came into use."""
        names = {segment.id: segment.name for segment in snapshot.segments}
        return [
            self._event(
                topics.SEGMENT_MODELS,
                _step(snapshot, step, names, at),
                f"model:{snapshot.version}:{step.kind}:{step.segment}",
                to_rfc3339(parse(at)),
                "model",
            )
            for step in snapshot.lineage
        ]

    def forward(self, event: Event) -> Message:
        """An input event, keyed by its account, for the partition that it belongs to."""
        if event.contact_id:
            contact = self._pseudonyms(event.contact_id)
            event = msgspec.structs.replace(event, contact_id=contact)
        key = event.account_id.encode()
        return Message(self._prefix + topics.ENGAGEMENT.name, key, _encode(event))

    def redirect(self, event: Control) -> Message:
        """A control event, keyed by its account."""
        if isinstance(event, EraseContact):
            contact = self._pseudonyms(event.contact_id)
            event = msgspec.structs.replace(event, contact_id=contact)
        key = event.account_id.encode()
        return Message(self._prefix + topics.ACCOUNT_CONTROL.name, key, _encode(event))

    def dead_letter(self, record: Record, rejection: Rejection, now_us: int) -> Message:
        """The original record with the reason for its refusal in headers. What `dead-letters` would
        not take is cut, and `ce_cut` says so: a worker that cannot get rid of a record stops."""
        # Kafka allows a header without a value; the outbox does not.
        original = [(f"original-{name}", value or b"") for name, value in record.headers or ()]
        key, value, kept, cut = _fitting(record.key, record.value, original)
        origin = f"{record.topic}:{record.partition}:{record.offset}"
        headers = cloudevents.headers(
            OUTPUT_TYPES[DeadLetter],
            origin,
            now_us,
            None,
            content_type="application/octet-stream",
            reason=rejection.reason.value,
            detail=rejection.detail,
            sourcetopic=record.topic,
            sourcepartition=str(record.partition),
            sourceoffset=str(record.offset),
            **({"cut": cut} if cut else {}),
        )
        return Message(self._prefix + topics.DEAD_LETTERS.name, key, value, headers + tuple(kept))

    def _change(self, change: SegmentChange) -> Message:
        return self._event(
            topics.SEGMENT_CHANGES,
            change,
            f"{change.account_id}:{change.sequence}",
            change.occurred_at,
            change.account_id,
        )

    def _spike(self, spike: IntentSpike) -> Message:
        return self._event(
            topics.INTENT_SPIKES,
            spike,
            f"{spike.account_id}:spike:{spike.number}",
            spike.occurred_at,
            spike.account_id,
        )

    def _account(self, account: Told) -> Message:
        # Late events move scores without moving `as_of`, so the content itself makes the id.
        digest = sha256(account.value).hexdigest()[:16]
        key = account.account_id.encode()
        headers = _HEADERS[AccountSegment](
            f"{account.account_id}:{account.sequence}:{digest}", account.as_of, key
        )
        return Message(self._account_segments, key, account.value, headers)

    def _gone(self, account: str) -> Message:
        """A tombstone: compaction removes what was published of the account before."""
        return Message(self._account_segments, account.encode(), None)

    def _event(
        self,
        topic: topics.Topic,
        payload: msgspec.Struct,
        id_: str,
        time: str,
        subject: str,
    ) -> Message:
        key = subject.encode()
        headers = _HEADERS[type(payload)](id_, time.encode(), key)
        return Message(self._prefix + topic.name, key, _encode(payload), headers)


def _step(snapshot: Snapshot, step: Lineage, names: Mapping[int, str], at: str) -> msgspec.Struct:
    payload: dict[str, Any] = {
        "segment": SegmentRef(id=step.segment, name=step.name),
        "model_version": snapshot.version,
        "parent": snapshot.parent,
        "occurred_at": at,
    }
    if step.kind in ("split", "merged"):
        payload["into"] = [SegmentRef(id=other, name=names.get(other, "")) for other in step.others]
    elif step.kind == "renamed":
        payload["before"] = step.before
    return SEGMENT_STEPS[step.kind](**payload)


_Header = tuple[str, bytes]


def _fitting(
    key: bytes | None, value: bytes | None, headers: list[_Header]
) -> tuple[bytes | None, bytes | None, list[_Header], str]:
    """The key, value and headers of a record as far as they fit into a dead letter, and which of
    them were cut. Records may be larger than a letter: Kafka limits them as they are compressed."""
    cut = []
    if key is not None and len(key) > _KEY_BYTES:
        key = key[:_KEY_BYTES]
        cut.append("key")
    if sum(len(name) + len(text) + _HEADER_OVERHEAD for name, text in headers) > _HEADERS_BYTES:
        headers = []
        cut.append("headers")
    if value is not None and len(value) > _VALUE_BYTES:
        value = value[:_VALUE_BYTES]
        cut.append("value")
    return key, value, headers, ",".join(cut)
