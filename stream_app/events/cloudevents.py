"""CloudEvents 1.0: what we publish (Kafka binary mode) and the envelopes that we accept.

Source: CloudEvents 1.0.2 specification and its Kafka protocol binding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stream_app.events.instants import to_rfc3339

SOURCE = "/stream-app"
STRUCTURED = b"application/cloudevents+json"


def headers(
    type_: str,
    id_: str,
    time_us: int,
    subject: str | None,
    *,
    content_type: str = "application/json",
    **extensions: str,
) -> tuple[tuple[str, bytes], ...]:
    """Kafka headers of a binary-mode event.

    `extensions` are CloudEvents extension attributes: lower-case letters and digits only.
    """
    attributes = {
        "ce_specversion": "1.0",
        "ce_type": type_,
        "ce_source": SOURCE,
        "ce_id": id_,
        "ce_time": to_rfc3339(time_us),
        **({"ce_subject": subject} if subject is not None else {}),
        **{f"ce_{name}": value for name, value in extensions.items()},
        "content-type": content_type,
    }
    return tuple((name, value.encode()) for name, value in attributes.items())


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
