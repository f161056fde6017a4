"""Waiting longer after each failure in a row, up to a limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Call `wait` after a failure, `reset` after a success."""

    first_seconds: float = 0.1
    most_seconds: float = 10.0
    failures: int = 0

    def reset(self) -> None:
        """The last attempt went well."""
        self.failures = 0

    async def wait(self) -> None:
        """Sleep before the next attempt: first, twice, four times, … at most the limit."""
        seconds = min(self.first_seconds * 2**self.failures, self.most_seconds)
        self.failures = min(self.failures + 1, 30)
        await asyncio.sleep(seconds)
