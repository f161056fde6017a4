"""A steady stream of normal events, offered on time whether or not the worker keeps up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from random import Random

from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message, Publisher
from tests.scale.loop import now
from tests.scale.spies import OFFERED, Notes
from tests.worker.scenario import VISITS, event

TICK_SECONDS = 0.01
NEW_SHARE = 0.1
"""Share of events that are an account's first: each leads to a change, which is published."""
KNOWN = 2_000
"""Accounts that the other events are of."""


class Traffic:
    """`run` until cancelled. Sends through a publisher of its own."""

    def __init__(
        self,
        publisher: Publisher,
        notes: Notes,
        clock_us: Callable[[], int],
        *,
        topic_prefix: str,
        partitions: int,
        only: int | None = None,
        events_per_second: float,
        seed: int = 1,
    ) -> None:
        """`only`: the partition that all events belong to; None: all of them."""
        self.offered = 0
        self._publisher, self._notes, self._clock_us = publisher, notes, clock_us
        self._topic = topic_prefix + VISITS
        self._partitions, self._only = partitions, only
        self._per_tick = events_per_second * TICK_SECONDS
        self._random = Random(seed)
        self._names = itertools.count()
        self._known = [self._new_account() for _ in range(KNOWN)]

    async def run(self) -> None:
        """Offer events at a constant rate. One that is sent late counts from when it was due."""
        began = now()
        async with asyncio.TaskGroup() as sending:
            for tick in itertools.count():
                due = began + tick * TICK_SECONDS
                await asyncio.sleep(max(due - now(), 0.0))
                count = int((tick + 1) * self._per_tick) - int(tick * self._per_tick)
                sending.create_task(self._publisher.publish(self._events(count, due)))

    def _events(self, count: int, due: float) -> list[Message]:
        at_us = self._clock_us()
        messages = []
        for _ in range(count):
            if self._random.random() < NEW_SHARE:
                account = self._new_account()
                self._notes.born[account] = due
            else:
                account = self._random.choice(self._known)
            self.offered += 1
            body = event(VISITS, account, at_us, f"{account}-{self.offered}")
            headers = ((OFFERED, repr(due).encode()),)
            messages.append(Message(self._topic, account.encode(), body, headers))
        return messages

    def _new_account(self) -> str:
        for number in self._names:
            account = f"live-{number}"
            if self._only in (None, partition_of(account.encode(), self._partitions)):
                return account
        raise AssertionError
