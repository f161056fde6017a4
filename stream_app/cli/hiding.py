"""Keeps secrets out of whatever is written for people: errors, tracebacks, log lines.

Nothing should mention a secret in the first place; this is the second lock on the door.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from stream_app.settings import Settings

_VARIABLES = ("STREAM_APP_REDIS__URL", "STREAM_APP_INPUT__CONTACT_HASH_KEY")
_hidden: set[str] = set()


def learn(settings: Settings) -> None:
    """Hide the secrets of these settings from now on."""
    _hidden.update(_words(settings.redis.url.get_secret_value()))
    _hidden.update(_words(settings.input.contact_hash_key.get_secret_value()))


def hide(text: str) -> str:
    """`text` with every secret that is known replaced by ***."""
    words = _hidden.union(*(_words(os.environ.get(name, "")) for name in _VARIABLES))
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***")
    return text


def _words(secret: str) -> set[str]:
    """The parts of a secret that must not be seen: of a URL its passwords, else all of it.

    Written for URLs that are wrong, too: a password that was not encoded breaks every parser.
    """
    _, is_url, rest = secret.partition("://")
    if not is_url:
        return {secret} - {""}
    in_front = rest.rpartition("@")[0].partition(":")[2]
    in_query = parse_qs(urlsplit(secret, allow_fragments=False).query).get("password", [])
    return {in_front, unquote(in_front), *in_query} - {""}
