"""Bugs on the way through the outbox."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msgspec

from stream_app.errors import Unavailable
from stream_app.streams.messages import Messages
from stream_app.streams.partition import Partition
from stream_app.streams.processor import Work
from stream_app.streams.relay import Relay
from tests.simulation.bugs.registry import bug, swap


@bug
def trim_before_acknowledgement(stack: ExitStack) -> None:
    """The outbox is trimmed up to what was handed to the relay."""
    real = Relay.put

    def put(self: Relay, messages: Any, outbox_next: int, *more: Any) -> None:
        real(self, messages, outbox_next, *more)
        self.acknowledged = outbox_next

    swap(stack, Relay, "put", put)


@bug
def forget_outbox_on_claim(stack: ExitStack) -> None:
    """A new owner does not publish what the old one left."""
    real = Partition._claim

    async def claim(self: Partition) -> None:
        await real(self)
        self._relay = self._new_relay(self._outbox_next)

    swap(stack, Partition, "_claim", claim)


@bug
def drop_oldest_on_failure(stack: ExitStack) -> None:
    """What could not be published is dropped."""

    async def publish(self: Relay) -> None:
        while True:
            self._more.clear()
            if not self._parcels:
                await self._more.wait()
                continue
            chunk = self._chunk()
            messages = [message for parcel in chunk for message in parcel.messages]
            try:
                await self._publisher.publish(messages)
            except Unavailable:
                chunk = chunk[:1]
                messages = list(chunk[0].messages)
            self._acknowledge(chunk, len(messages), self._clock.monotonic())

    swap(stack, Relay, "_publish", publish)


@bug
def letters_beside_outbox(stack: ExitStack) -> None:
    """Dead letters are published, but not through the outbox."""
    beside_outbox(stack, "dead-letters")


@bug
def forwards_beside_outbox(stack: ExitStack) -> None:
    """Forwarded records are published, but not through the outbox."""
    beside_outbox(stack, "engagement")


def beside_outbox(stack: ExitStack, topic: str) -> None:
    """What goes to a topic is published after the commit, but not through the outbox."""
    real = Partition._commit

    async def commit(self: Partition, work: Work) -> None:
        beside = [m for m in work.outbox if m.topic == topic]
        kept = [m for m in work.outbox if m.topic != topic]
        await real(self, replace(work, outbox=kept, samples=[*beside, *work.samples]))

    swap(stack, Partition, "_commit", commit)


@bug
def clock_in_id(stack: ExitStack) -> None:
    """The id of a change tells when it was decided."""
    real = Messages._change

    def change(self: Messages, change: Any) -> Any:
        message = real(self, change)
        headers = tuple(
            (name, value + change.decided_at.encode() if name == "ce_id" else value)
            for name, value in message.headers
        )
        return msgspec.structs.replace(message, headers=headers)

    swap(stack, Messages, "_change", change)
