"""CloudEvents 1.0: what we publish (Kafka binary mode) and the envelopes that we accept.

Source: CloudEvents 1.0.2 specification and its Kafka protocol binding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stream_app.events.instants import to_rfc3339

SOURCE = "/stream-app"
STRUCTURED = b"application/cloudevents+json"


Headers = tuple[tuple[str, bytes], ...]

_SPECVERSION = ("ce_specversion", b"1.0")
_SOURCE = ("ce_source", SOURCE.encode())


def headers(
    type_: str,
    id_: str,
    time_us: int,
    subject: str | None,
    *,
    content_type: str = "application/json",
    **extensions: str,
) -> Headers:
    """Kafka headers of a binary-mode event.

    `extensions` are CloudEvents extension attributes: lower-case letters and digits only.
    """
    return (
        *Template(type_)(
            id_, to_rfc3339(time_us).encode(), None if subject is None else subject.encode()
        ),
        *((f"ce_{name}", value.encode()) for name, value in extensions.items()),
        ("content-type", content_type.encode()),
    )


class Template:
    """Headers that all binary-mode events of a type have, encoded once.

    Parameters
    ----------
    content_type
        Of all of them, with which the headers are complete.
    """

    def __init__(self, type_: str, content_type: str | None = None) -> None:
        self._first = (_SPECVERSION, ("ce_type", type_.encode()), _SOURCE)
        self._last = () if content_type is None else (("content-type", content_type.encode()),)

    def __call__(self, id_: str, time: bytes, subject: bytes | None) -> Headers:
        """Of one event; `time` in RFC 3339."""
        about = () if subject is None else (("ce_subject", subject),)
        return (
            *self._first,
            ("ce_id", id_.encode()),
            ("ce_time", time),
            *about,
            *self._last,
        )


def attributes_of(record_headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """CloudEvents attributes (without `ce_`) of a binary-mode record; {} for other records.

    Headers that are not UTF-8 are left out.
    """
    found = {}
    for name, value in record_headers:
        if name.startswith("ce_") and value is not None:
            try:
                found[name.removeprefix("ce_")] = value.decode()
            except UnicodeDecodeError:
                continue
    return found


def is_structured(body: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a structured-mode CloudEvent."""
    return "specversion" in body and "data" in body
