"""Keeps secrets out of whatever is written for people: errors, tracebacks, log lines.

Nothing should mention a secret in the first place; this is the second lock on the door.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from stream_app.settings import Settings

_hidden: set[str] = set()


def learn(settings: Settings) -> None:
    """Hide the secrets of these settings from now on."""
    from stream_app.secret_files import secrets_of  # noqa: PLC0415

    for _, secret in secrets_of(settings):
        _hidden.update(_words(secret))


def hide(text: str) -> str:
    """`text` with every secret that is known replaced by ***."""
    # Also secrets that were perhaps never read, because another setting is wrong.
    given = (os.environ.get(name, "") for name in _variables())
    words = _hidden.union(*map(_words, given))
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***")
    return text


@cache
def _variables() -> tuple[str, ...]:
    """Names of the variables of the environment that may hold a secret."""
    from stream_app.secret_files import secret_fields  # noqa: PLC0415  (--help need not wait)
    from stream_app.settings import Settings  # noqa: PLC0415

    return tuple("STREAM_APP_" + "__".join(path).upper() for path in secret_fields(Settings))


def _words(secret: str) -> set[str]:
    """The forms of a secret that must not be seen: of a URL its passwords, else all of it.

    Written for URLs that are wrong, too: a password that was not encoded breaks every parser.
    """
    _, is_url, rest = secret.partition("://")
    if not is_url:
        # As it stands, as `repr` and JSON write it, and as a URL has it.
        return {secret, repr(secret)[1:-1], quote(secret, safe="")} - {""}
    in_front = rest.rpartition("@")[0].partition(":")[2]
    in_query = parse_qs(urlsplit(secret, allow_fragments=False).query).get("password", [])
    return {in_front, unquote(in_front), *in_query} - {""}
