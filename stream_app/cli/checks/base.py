"""The outcome of one check, and the limits of its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from stream_app.errors import StreamAppError, Unavailable

ANSWER_SECONDS = 3.0
"""How long one answer may take, at most."""
LIMIT_SECONDS = 8.0
"""How long one check may take: a few answers."""

NO_KAFKA = "Kafka cannot be asked, see above"
NO_REDIS = "Redis cannot be asked, see above"
"""Why what follows is not checked: the check above says whether it is away, refuses, or is given
a bad file."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check. `ok` with a hint: it works, and something is worth knowing."""

    check: str
    ok: bool | None
    """None: it could not be looked at; the detail says why."""
    detail: str
    hint: str = ""


async def within_limit(work: Awaitable[T], what: str) -> T:
    """The result of `work`. Raises Unavailable when it takes too long; `what` is asked."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await work
    except TimeoutError:
        raise Unavailable(f"{what} gave no answer within {LIMIT_SECONDS:.0f} seconds") from None


def failed(check: str, error: StreamAppError, hint: str = "") -> Check:
    """The check failed with this error."""
    return Check(check, False, str(error), hint or error.hint)


def skipped(why: str, *checks: str) -> list[Check]:
    """These could not be looked at."""
    return [Check(check, None, f"not checked: {why}") for check in checks]
