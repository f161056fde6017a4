"""Records to typed events, in batches. What cannot be read becomes a rejection with a reason.

The fast path is one typed decode per record. Only a record that fails it is looked at closely:
it may be a CloudEvent in structured or binary mode, or it is rejected with the exact reason.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache, reduce
from hashlib import sha256
from operator import or_
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw

from stream_app.events import cloudevents
from stream_app.events.control import CONTROL_TYPES, Control
from stream_app.events.instants import SECOND, from_datetime, parse, to_rfc3339
from stream_app.events.types import EVENT_TYPES, Event

E = TypeVar("E", bound=Event | Control)

EARLIEST_US = parse("2000-01-01T00:00:00Z")
"""Events before this instant are rejected: they are unset clocks, not behaviour."""


class Reason(StrEnum):
    """Why a record was rejected. Stable codes, part of the contract of `dead-letters`."""

    EMPTY = "empty"
    """No value, or a tombstone: the input topics know no deletion."""
    TOO_LARGE = "too_large"
    """The value is larger than `input.max_record_bytes`."""
    INVALID_ENCODING = "invalid_encoding"
    """Not UTF-8, or a lone surrogate."""
    NOT_JSON = "not_json"
    """Not JSON; NaN and Infinity are not JSON either."""
    TOO_DEEP = "too_deep"
    """Nested too deeply to be read."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but not an object; or a CloudEvent whose data is not one."""
    UNKNOWN_TYPE = "unknown_type"
    """No event type, an unknown one, or one that does not belong on this topic."""
    UNKNOWN_KIND = "unknown_kind"
    """An e-mail event of a kind that we do not know."""
    NO_ACCOUNT = "no_account"
    """`account_id` is missing, empty, too long or no text."""
    MISSING_FIELD = "missing_field"
    """A field that is required is missing; the detail names it."""
    INVALID_FIELD = "invalid_field"
    """A field has a value of the wrong type or out of range; the detail names it."""
    IN_THE_FUTURE = "in_the_future"
    """Further ahead of the clock than the tolerance."""
    TOO_OLD = "too_old"
    """Before the year 2000."""
    UNPROCESSABLE = "unprocessable"
    """Valid, but applying it failed: an error of this program. Please report it."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that is not an event."""

    index: int
    """Position in the batch."""
    reason: Reason
    detail: str
    """One sentence for a person. Never contains values of the record."""


class Record(Protocol):
    """What the decoder needs of a record."""

    @property
    def topic(self) -> str: ...
    @property
    def value(self) -> Any: ...
    @property
    def headers(self) -> Any: ...


@dataclass(slots=True)
class Decoded(Generic[E]):
    """Outcome of one batch: every record is in exactly one of the lists."""

    events: list[E] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    """`occurred_at` of each event."""
    indices: list[int] = field(default_factory=list)
    """Position in the batch of each event."""
    rejections: list[Rejection] = field(default_factory=list)

    def take(self, positions: set[int]) -> list[E]:
        """Remove and return the events at these positions of `events`, in order."""
        if not positions:
            return []
        taken = [self.events[i] for i in sorted(positions)]
        stay = [i for i in range(len(self.events)) if i not in positions]
        self.events = [self.events[i] for i in stay]
        self.times_us = [self.times_us[i] for i in stay]
        self.indices = [self.indices[i] for i in stay]
        return taken


class _Reject(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail


class _Decoder(Generic[E]):
    def __init__(
        self,
        known: Mapping[str, type[E]],
        types: Mapping[str, type[E]],
        max_bytes: int,
        future_tolerance_seconds: float,
    ) -> None:
        self.types = dict(types)
        """What belongs on a topic."""
        self.max_bytes = max_bytes
        self._known = known
        self._tolerance_us = round(future_tolerance_seconds * SECOND)
        union: Any = reduce(or_, known.values())
        self._any: Callable[[bytes], E] = msgspec.json.Decoder(union).decode
        self._typed: dict[str, Callable[[bytes], E]] = {}
        for topic, type_ in types.items():
            decoder: msgspec.json.Decoder[E] = msgspec.json.Decoder(type_)
            self._typed[topic] = decoder.decode

    def latest_us(self, now_us: int) -> int:
        """The latest instant at which an event may have happened."""
        return now_us + self._tolerance_us

    def decode(self, records: Sequence[Record], now_us: int) -> Decoded[E]:
        """Decode `records`; `now_us` bounds how late in time an event may lie."""
        out: Decoded[E] = Decoded()
        latest = self.latest_us(now_us)
        for index, record in enumerate(records):
            value = record.value
            try:
                if not value or len(value) > self.max_bytes:
                    raise _Reject(*self._size_problem(value))
                try:
                    event = self._typed.get(record.topic, self._any)(value)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    event = self._closely(record)
                at_us = from_datetime(event.occurred_at)
                if at_us > latest:
                    tolerance = f"{self._tolerance_us / SECOND:.0f} s"
                    raise _Reject(
                        Reason.IN_THE_FUTURE,
                        f"occurred_at lies more than {tolerance} ahead of the clock",
                    )
                if at_us < EARLIEST_US:
                    raise _Reject(
                        Reason.TOO_OLD, f"occurred_at lies before {to_rfc3339(EARLIEST_US)}"
                    )
            except _Reject as reject:
                out.rejections.append(Rejection(index, reject.reason, reject.detail))
                continue
            out.events.append(event)
            out.times_us.append(at_us)
            out.indices.append(index)
        return out

    def _size_problem(self, value: bytes | None) -> tuple[Reason, str]:
        if not value:
            return Reason.EMPTY, "the record has no value"
        return (
            Reason.TOO_LARGE,
            f"the value has {len(value)} bytes, the limit is {self.max_bytes}",
        )

    def _closely(self, record: Record) -> E:
        """Read a record that is not a bare event, or find out what is wrong with it.

        Values stay JSON text until the event's type says what they must be. What nobody reads is
        never turned into objects: 256 KiB of numbers like 1e308 would take half a second.
        """
        body = _object(record.value, "the value is JSON, but not an object")
        if cloudevents.is_structured(body):
            attributes = body
            data = _object(body["data"], "the CloudEvent's data is not an object")
        else:
            found = cloudevents.attributes_of(record.headers or ())
            attributes = {name: Raw(_encode(value)) for name, value in found.items()}
            data = body
        name = _name(attributes.get("type")) or _name(data.get("type"))
        type_ = self._type_of(record.topic, name)
        tag = Raw(_encode(type_.__struct_config__.tag))
        return _read(self._any, _encode({**_defaults(attributes), **data, "type": tag}))

    def _type_of(self, topic: str, name: str | None) -> type[E]:
        expected, known = self.types.get(topic), self._known
        if name is None:
            if expected is None:
                raise _Reject(
                    Reason.UNKNOWN_TYPE,
                    f"the event has no type; give one of {', '.join(known)}",
                )
            return expected
        # A producer may put its reverse-DNS name before ours, as CloudEvents asks for.
        found = next((t for n, t in known.items() if _names(name, n)), None)
        if found is None:
            raise _Reject(Reason.UNKNOWN_TYPE, f"the event's type is none of {', '.join(known)}")
        if expected is not None and found is not expected:
            raise _Reject(
                Reason.UNKNOWN_TYPE,
                f"the event's type is not {expected.__struct_config__.tag}, "
                "which is what this topic carries",
            )
        return found


class Decoder(_Decoder[Event]):
    """Decodes batches of events.

    Parameters
    ----------
    types
        Event type that belongs on a topic. On a topic that is absent (`engagement`, a file for
        replay) an event names its own type.
    max_bytes
        A larger value is rejected unread.
    future_tolerance_seconds
        How far an event may lie ahead of the clock.
    """

    def __init__(
        self,
        types: Mapping[str, type[Event]],
        *,
        max_bytes: int = 262_144,
        future_tolerance_seconds: float = 600.0,
    ) -> None:
        super().__init__(EVENT_TYPES, types, max_bytes, future_tolerance_seconds)


class ControlDecoder(_Decoder[Control]):
    """Decodes batches of control events; each names its own type."""

    def __init__(
        self, *, max_bytes: int = 262_144, future_tolerance_seconds: float = 600.0
    ) -> None:
        super().__init__(CONTROL_TYPES, {}, max_bytes, future_tolerance_seconds)


def _names(given: str, ours: str) -> bool:
    return given == ours or given.endswith("." + ours)


def _defaults(attributes: Mapping[str, Raw]) -> dict[str, Raw]:
    """Fields that a CloudEvent's data may leave to the envelope."""
    names = {"id": "id", "time": "occurred_at"}
    return {ours: attributes[theirs] for theirs, ours in names.items() if theirs in attributes}


_T = TypeVar("_T")
_Problem = tuple[Reason, str]

_encode = msgspec.json.Encoder().encode
_whole: Callable[[bytes], Raw] = msgspec.json.Decoder(Raw).decode
_fields: Callable[[bytes], dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw]).decode
_optional_text: Callable[[Raw], str | None] = msgspec.json.Decoder(str | None).decode


def _object(value: bytes | Raw, otherwise: str) -> dict[str, Raw]:
    """The fields of an object, as JSON texts."""
    text = bytes(value)
    _read(bytes.decode, text)  # msgspec passes over texts that nobody reads
    _read(_whole, text)  # to its end: a list that breaks off is no JSON rather than no object
    return _read(_fields, text, lambda _: (Reason.NOT_AN_OBJECT, otherwise))


def _name(value: Raw | None) -> str | None:
    """The type that a field names; None: the field is absent or null."""
    if value is None:
        return None
    return _read(
        _optional_text, value, lambda _: (Reason.UNKNOWN_TYPE, "the event's type is no text")
    )


def _explain(message: str) -> _Problem:
    """Reason code for a msgspec validation message. The messages name types, never values,
    except for an enumeration's invalid value, which is left out."""
    message = re.sub(r"Invalid enum value .*(?= - at )", "Invalid value", message, flags=re.DOTALL)
    if match := _MISSING.search(message):
        name = match.group(1)
        reason = Reason.NO_ACCOUNT if name == "account_id" else Reason.MISSING_FIELD
        return reason, f"the field {name} is missing"
    name = match.group(1) if (match := _AT.search(message)) else ""
    if name == "account_id":
        return Reason.NO_ACCOUNT, message
    return (Reason.UNKNOWN_KIND if name == "kind" else Reason.INVALID_FIELD), message


_MISSING = re.compile(r"missing required field `(\w+)`")
_AT = re.compile(r" - at `\$\.(\w+)")

_Text = TypeVar("_Text", bytes, Raw)


def _read(
    decode: Callable[[_Text], _T], value: _Text, misfit: Callable[[str], _Problem] = _explain
) -> _T:
    """Decode a value, or say what is wrong with it; `misfit` explains JSON of another type."""
    try:
        return decode(value)
    except UnicodeDecodeError:
        raise _Reject(Reason.INVALID_ENCODING, "the value is not UTF-8") from None
    except RecursionError:
        raise _Reject(Reason.TOO_DEEP, "the value is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise _Reject(*misfit(str(error))) from None
    except msgspec.DecodeError as error:
        raise _Reject(*_unreadable(bytes(value), error)) from None


_LONE_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


def _unreadable(value: bytes, error: msgspec.DecodeError) -> _Problem:
    """Why a value is not JSON. The parser stops at the first trouble, whatever lies behind it."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return Reason.INVALID_ENCODING, "the value is not UTF-8"
    if _LONE_SURROGATE.search(value):
        return Reason.INVALID_ENCODING, "the value has a lone surrogate"
    return Reason.NOT_JSON, str(error)


class Pseudonyms:
    """Replaces e-mail addresses given as contact ids by a keyed hash (HMAC-SHA-256).

    Ids that are not addresses are opaque already and stay as they are.
    """

    _PUBLIC_KEY = b"stream-app: not a secret"

    def __init__(self, key: bytes = b"") -> None:
        self.key = key or self._PUBLIC_KEY
        self._hashed = lru_cache(maxsize=65_536)(self._hash)

    def __call__(self, contact_id: str) -> str:
        """The id to use in place of `contact_id`."""
        return self._hashed(contact_id) if "@" in contact_id else contact_id

    def _hash(self, address: str) -> str:
        digest = hmac.new(self.key, address.strip().lower().encode(), sha256).hexdigest()
        return f"hmac-{digest[:32]}"
