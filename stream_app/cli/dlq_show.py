"""What `stream-app dlq show` prints of one letter. Nothing in it reaches the terminal as it is."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from stream_app.cli.output import console, printable, when
from stream_app.events.instants import to_rfc3339
from stream_app.streams.letterbox import Found


def facts_of(found: Found) -> dict[str, Any]:
    """All that is known of a letter, for JSON."""
    letter = found.letter
    return {
        "id": letter.id,
        "at": to_rfc3339(letter.at_us),
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "stored": {"partition": letter.partition, "offset": letter.offset},
        "accounts": list(letter.accounts),
        "fate": found.fate.value,
        "fate_at": to_rfc3339(found.mark.at_us) if found.mark else None,
        "headers": _headers(letter.facts),
        "original_headers": _headers(letter.headers),
        "key": _bytes(letter.key),
        "value": _bytes(letter.value),
    }


def show_letter(found: Found) -> None:
    """For people."""
    screen, letter = console(), found.letter
    screen.print(printable(letter.id), style="bold")
    fate = found.fate.value
    if found.mark:
        fate += f" (marked {when(to_rfc3339(found.mark.at_us))})"
    _fact(screen, "refused", when(to_rfc3339(letter.at_us)))
    _fact(screen, "reason", f"{letter.reason}: {letter.detail}")
    _fact(screen, "topic", letter.topic)
    _fact(screen, "stored", f"partition {letter.partition}, offset {letter.offset}")
    _fact(screen, "account", ", ".join(letter.accounts) or "-")
    _fact(screen, "state", fate)
    _fact(screen, "key", _shown(letter.key))
    for title, headers in (("headers", letter.facts), ("original headers", letter.headers)):
        screen.print(f"\n{title}", style="bold")
        width = max((len(name) for name, _ in headers), default=0)
        for name, value in headers:
            _fact(screen, name, _shown(value), width)
        if not headers:
            screen.print("  none")
    size = "none" if letter.value is None else f"{len(letter.value):,} bytes"
    screen.print(f"\nvalue ({size})", style="bold")
    for line in _readable(letter.value).splitlines():
        screen.print(Text(printable(line)), soft_wrap=True)


def _fact(screen: Console, name: str, text: str, width: int = 7) -> None:
    screen.print(Text.assemble((f"  {printable(name):<{width}}  ", "dim"), printable(text)))


def _readable(value: bytes | None) -> str:
    """JSON with line breaks, other text as it is, anything else in base64."""
    if value is None:
        return ""
    try:
        text = value.decode()
        return msgspec.json.format(text, indent=2)
    except UnicodeDecodeError:
        return b64encode(value).decode()
    except (msgspec.DecodeError, RecursionError):
        return text


def _shown(value: bytes | None) -> str:
    if value is None:
        return "-"
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"base64 {b64encode(value).decode()}"


def _headers(headers: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    return [{"name": name, **(_bytes(value) or {})} for name, value in headers]


def _bytes(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}
