"""A request to erase: how it is sent, and how it is found out what a worker has made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from stream_app.cli.desk import Desk
from stream_app.errors import ConfigError, Incompatible, NotDoneYet, StreamAppError, Unavailable
from stream_app.events.control import EraseAccount, EraseContact
from stream_app.events.instants import to_rfc3339
from stream_app.features.table import Erased, digest_of
from stream_app.streams.dead_letters import Selection
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message, Position, Publisher

_POLL_SECONDS = 0.1
"""Between two looks at what the worker has stored."""


class Progress(Enum):
    """How far a request has come."""

    NOT_SENT = auto()
    PERHAPS_SENT = auto()
    SENT = auto()
    ANSWERED = auto()
    """A worker has carried it out, or it is known that none will."""


_SAID = {
    Progress.PERHAPS_SENT: "the request may have been sent, and cannot be called back",
    Progress.SENT: "the request was sent, and cannot be called back",
}


@dataclass
class Request:
    """A request, and what became of it."""

    event: EraseAccount | EraseContact
    progress: Progress = Progress.NOT_SENT
    done: bool = False
    known: bool | None = None
    """Whether there was such an account; None: nobody has looked yet."""
    erased_at: str | None = None
    erased_before: str | None = None
    """When an earlier request erased the account."""
    sequence: int | None = None
    """Of the account's last change."""

    @property
    def said(self) -> str:
        """What must be told if the command ends here; may be empty."""
        return _SAID.get(self.progress, "")


async def send(publisher: Publisher, request: Request, topic: str) -> None:
    """Put the request on its topic. `request.progress` is right whatever this raises.

    Raises
    ------
    Unavailable
        Kafka did not answer; the request may be on the topic.
    Incompatible, ConfigError
        Kafka does not take it.
    """
    await publisher.start()
    key, value = request.event.account_id.encode(), msgspec.json.encode(request.event)
    request.progress = Progress.PERHAPS_SENT
    try:
        await publisher.publish([Message(topic, key, value)])
    except (ConfigError, Incompatible):
        request.progress = Progress.NOT_SENT
        raise
    request.progress = Progress.SENT


async def carry_out(desk: Desk, request: Request, topic: str, wait_seconds: float) -> None:
    """Send the request and wait for a worker's answer.

    All that is read afterwards is read once before, so that a missing right or topic is found while
    there is still a way back.

    Raises
    ------
    NotDoneYet
        No worker has answered in time.
    StreamAppError
        The worker has refused the request.
    """
    follower = _Follower(desk, request, topic)
    await follower.prepare()
    await send(desk.publisher, request, topic)
    try:
        async with asyncio.timeout(wait_seconds):
            while not await follower.answered():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)  # Redis has no event for it
    except TimeoutError:
        raise NotDoneYet(
            f"no worker is known to have carried the request out within {wait_seconds:g} s",
            hint=f"it stays on {topic}, and a worker that comes to it within the topic's "
            "retention carries it out; `stream-app doctor` tells whether workers run",
        ) from None


class _Follower:
    """Looks for the answer to one request: in what the worker stores, and among dead letters."""

    def __init__(self, desk: Desk, request: Request, topic: str) -> None:
        self._desk, self._request, self._topic = desk, request, topic
        self._account = request.event.account_id
        self._partition = partition_of(self._account.encode(), desk.partitions)
        self._value = msgspec.json.encode(request.event)
        self._selection = Selection(topics={topic}, account=self._account)
        self._letters_from: Mapping[int, int] = {}
        self._before: Erased | None = None
        self._end: int | None = None
        """An offset that lies behind the request."""
        self._outbox_end: int | None = None
        """Index of the outbox that lies behind all that was decided with the request."""

    async def prepare(self) -> None:
        """Before the request is sent."""
        desk = self._desk
        await desk.store.position(self._partition)
        await desk.store.outbox_length(self._partition)
        await self._is_known()
        self._before = await self._erased()
        await desk.reader.stretches(self._topic)
        letters = await desk.letterbox.stretches(self._selection)
        self._letters_from = {partition: stretch.stop for partition, stretch in letters.items()}

    async def answered(self) -> bool:
        """Whether it is known what a worker made of the request. Raises StreamAppError if it was
        refused."""
        with suppress(Unavailable):  # Redis or Kafka may come back before the time is over
            return await self._look()
        return False

    async def _look(self) -> bool:
        if self._end is None:
            self._end = (await self._desk.reader.stretches(self._topic))[self._partition].stop
        position = await self._desk.store.position(self._partition)
        if position.offsets.get(self._topic, 0) < self._end:
            return False
        past = await self._erased()
        if past is not None and self._request.event.id in past.by:
            self._account_erased(past)
            return True
        published = await self._is_published(position)
        await self._look_among_letters()  # last: nothing may be published after it
        if published:
            await self._not_refused()
        return published

    def _account_erased(self, past: Erased) -> None:
        request, before = self._request, self._before
        request.known = past.sequence > (before.sequence if before else 0)
        request.erased_at, request.sequence = to_rfc3339(past.at_us), past.sequence or None
        self._done()

    async def _is_published(self, position: Position) -> bool:
        """Whether Kafka has all that was decided with the request, a dead letter included: that is
        published after the commit which the offsets tell of."""
        if self._outbox_end is None:
            length = await self._desk.store.outbox_length(self._partition)
            again = await self._desk.store.position(self._partition)
            if again.outbox_first != position.outbox_first:
                return False  # it was trimmed between the two: they do not fit together
            self._outbox_end = position.outbox_first + length
        return position.outbox_first >= self._outbox_end

    async def _look_among_letters(self) -> None:
        letterbox = self._desk.letterbox
        now = await letterbox.stretches(self._selection)
        fresh = {p: range(self._letters_from.get(p, s.start), s.stop) for p, s in now.items()}
        async for batch in letterbox.read(self._selection, fresh):
            for letter in (found.letter for found in batch):
                if letter.value == self._value:  # its id is unique
                    self._request.progress = Progress.ANSWERED
                    raise StreamAppError(
                        f"the worker has refused the request: {letter.reason}: {letter.detail}",
                        hint=f"`stream-app dlq show {letter.id}` has it; is the clock of this "
                        "machine right, and are its settings the workers'?",
                    )
        self._letters_from = {partition: stretch.stop for partition, stretch in now.items()}

    async def _not_refused(self) -> None:
        request = self._request
        if isinstance(request.event, EraseAccount):
            request.progress = Progress.ANSWERED
            raise StreamAppError(
                "a worker has passed the request, but it is neither among the account's latest "
                "erasures nor among the dead letters",
                hint="ask again; the topic may have lost it, or others erased the account often "
                "at the same time",
            )
        request.known = await self._is_known()
        self._done()

    def _done(self) -> None:
        request = self._request
        request.erased_before = to_rfc3339(self._before.at_us) if self._before else None
        request.progress, request.done = Progress.ANSWERED, True

    async def _erased(self) -> Erased | None:
        found = await self._desk.store.erased(self._partition, digest_of(self._account))
        return msgspec.json.decode(found, type=Erased) if found else None

    async def _is_known(self) -> bool:
        state, _ = await self._desk.store.account(self._partition, self._account)
        return state is not None
