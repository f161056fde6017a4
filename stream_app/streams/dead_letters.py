"""Dead letters as they are read back: what each says, whose it is, the record it was made of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from stream_app.changes.types import OUTPUT_TYPES, DeadLetter
from stream_app.errors import UsageError
from stream_app.events import cloudevents
from stream_app.events.instants import parse
from stream_app.streams.ports import Message, Record

REPLAY_HEADER = "stream-app-replay-of"
"""On a record that was put back: the id of the dead letter that it was."""
_ORIGINAL = "original-"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `topic`, `key`, `value` and `headers` are those of the original record, so
    that a decoder takes a letter for it."""

    id: str
    """`<topic>:<partition>:<offset>` of the original record."""
    at_us: int
    """When it was refused."""
    reason: str
    detail: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    facts: tuple[tuple[str, bytes], ...]
    """The headers that the letter has of its own."""
    partition: int
    """Where the letter lies, in the topic of the letters. With `offset`."""
    offset: int

    @property
    def cut(self) -> str:
        """Which parts of the record were too large for a letter: `key`, `headers`, `value`."""
        return dict(self.facts).get("ce_cut", b"").decode(errors="replace")

    @property
    def accounts(self) -> tuple[str, ...]:
        """Whose it may be: the account that the value names, if it can be read, and the key."""
        named = (_account_in(self.value), _text(self.key))
        return tuple(dict.fromkeys(name for name in named if name))

    def original(self) -> Message:
        """The record once more, for the topic that it came from. It has the same event id."""
        kept = tuple(header for header in self.headers if header[0] != REPLAY_HEADER)
        replay = (REPLAY_HEADER, self.id.encode())
        return Message(self.topic, self.key, self.value, (*kept, replay))


def read_letter(record: Record) -> Letter | None:
    """The letter in a record of `dead-letters`; None: no worker wrote it."""
    headers = [(name, value or b"") for name, value in record.headers or ()]
    facts = tuple(header for header in headers if not header[0].startswith(_ORIGINAL))
    said = cloudevents.attributes_of(facts)
    try:
        if said["type"] != OUTPUT_TYPES[DeadLetter]:
            return None
        return Letter(
            id=said["id"],
            at_us=parse(said["time"]),
            reason=said["reason"],
            detail=said.get("detail", ""),
            topic=said["sourcetopic"],
            key=record.key,
            value=record.value,
            headers=tuple(
                (name.removeprefix(_ORIGINAL), value)
                for name, value in headers
                if name.startswith(_ORIGINAL)
            ),
            facts=facts,
            partition=record.partition,
            offset=record.offset,
        )
    except (KeyError, UsageError):
        return None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those that fit everything that is given."""

    ids: Collection[str] = ()
    reasons: Collection[str] = ()
    topics: Collection[str] = ()
    """Source topics."""
    account: str = ""
    since_us: int | None = None
    """Refused at this instant or later."""

    def fits(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (self.since_us is None or letter.at_us >= self.since_us)
            and (not self.account or self.account in letter.accounts)
        )

    def names(self, letter: Letter) -> bool:
        """Whether it is named by its id or its topic, and not only meant with others."""
        return letter.id in self.ids or letter.topic in self.topics


class _Named(Struct):
    account_id: Raw = Raw()
    data: Raw = Raw()


_named = msgspec.json.Decoder(_Named).decode
_as_text = msgspec.json.Decoder(str).decode


def _account_in(value: bytes | None) -> str | None:
    """The account that a value names, as an event or as the data of a CloudEvent."""
    try:
        event = _named(value or b"")
        if not event.account_id and event.data:
            event = _named(event.data)
        return _as_text(event.account_id) if event.account_id else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None
