"""What every part of a run is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.broker import Written
from benchmarks.contenders import Place
from benchmarks.load import Load
from benchmarks.plan import Plan


@dataclass
class Bench:
    """The servers and the sizes of a run, and where progress is told."""

    place: Place
    plan: Plan
    say: Callable[[str], None]
    _prefixes: int = 0

    async def written(
        self, events: int, *, accounts: int | None = None, zipf: float = 0.0
    ) -> Written:
        """A new load on topics of its own. Its last event happens now, so that for a worker that
        has caught up no account is silent yet."""
        self._prefixes += 1
        prefix = f"load{self._prefixes}."
        await self.place.broker.create_all(prefix)
        load = Load(
            events,
            accounts or self.plan.accounts(events),
            zipf,
            ends_us=time.time_ns() // 1_000 - 5_000_000,
        )
        self.say(f"writing {events:,} events of {load.accounts:,} accounts")
        return await self.place.broker.write(prefix, load)
