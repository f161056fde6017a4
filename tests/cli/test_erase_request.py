"""What becomes of a request to erase, told from what a worker stores and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import pytest

from stream_app.cli.desk import Desk
from stream_app.cli.erase_request import Progress, Request, carry_out, send
from stream_app.errors import ConfigError, Incompatible, NotDoneYet, StreamAppError, Unavailable
from stream_app.events.control import EraseAccount, EraseContact
from stream_app.events.decode import Reason, Rejection
from stream_app.features.table import Erased, digest_of
from stream_app.streams import topics
from stream_app.streams.letterbox import Letterbox
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.ports import Commit, Message, Position
from stream_app.streams.replay_marks import Mark
from tests.dlq.letters import refused

CONTROL = topics.ACCOUNT_CONTROL.name
AHEAD = Rejection(0, Reason.IN_THE_FUTURE, "occurred_at lies more than 600 s ahead of the clock")
PATIENCE_SECONDS = 20.0
OURS = "e-ours"


class Unmarked:
    """No letter was ever replayed."""

    async def look(self, ids: Sequence[str]) -> list[Mark | None]:
        return [None] * len(ids)


class Store(MemoryStore):
    """Tells when somebody has looked at the outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = asyncio.Event()

    async def outbox_length(self, partition: int) -> int:
        length = await super().outbox_length(partition)
        self.looked.set()
        return length


Answer = Callable[["World"], Awaitable[None]]


class Publisher(MemoryPublisher):
    """What is published is answered by a worker at once."""

    def __init__(self, world: World) -> None:
        super().__init__(world.broker)
        self._world = world

    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(messages)
        if messages[0].topic == CONTROL:
            await self._world.answer(self._world)


async def nothing(world: World) -> None:
    """No worker runs."""


@dataclass
class World:
    """A deployment of one partition in memory, and a worker that answers as it is told to."""

    request: Request
    answer: Answer = nothing
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    store: Store = field(default_factory=Store)
    position: Position = field(default_factory=lambda: Position(0))

    async def run(self, wait_seconds: float = PATIENCE_SECONDS) -> Request:
        for topic in topics.TOPICS:
            self.broker.create_topic(topic.name, 1)
        reader = MemoryReader(self.broker)
        marks: object = Unmarked()
        letterbox = Letterbox(reader, self.store, marks, "", 1)  # type: ignore[arg-type]
        publisher = Publisher(self)
        desk = Desk(letterbox, marks, reader, publisher, self.store, 1)  # type: ignore[arg-type]
        if not self.position.epoch:
            self.position = (await self.store.claim(0, "worker")).position
        await carry_out(desk, self.request, CONTROL, wait_seconds)
        return self.request

    async def erased_before(self, past: Erased) -> None:
        self.position = (await self.store.claim(0, "worker")).position
        await self.commit(past, passed=False)

    async def commit(
        self,
        past: Erased | None = None,
        *,
        outbox: Sequence[bytes] = (),
        passed: bool = True,
    ) -> None:
        """What a worker commits with a batch of control events."""
        at = self.position
        offsets = {CONTROL: len(self.broker.read_all(CONTROL))} if passed else at.offsets
        erased = [(digest_of("acme"), msgspec.json.encode(past))] if past else []
        commit = Commit(at, offsets, 0, at.outbox_first, outbox=outbox, erased=erased)
        self.position = await self.store.commit(0, commit)

    async def refuse(self) -> None:
        """What the relay publishes when a worker has refused the request."""
        value = msgspec.json.encode(self.request.event)
        letter = refused(0, value, topic=CONTROL, rejection=AHEAD)
        await MemoryPublisher(self.broker).publish([letter])


def account() -> Request:
    return Request(EraseAccount(id=OURS, occurred_at=datetime.now(UTC), account_id="acme"))


def contact() -> Request:
    event = EraseContact(
        id=OURS, occurred_at=datetime.now(UTC), account_id="acme", contact_id="c-1"
    )
    return Request(event)


FIRST = Erased(3, 0, 10, ("e-0",))


@pytest.mark.parametrize(
    ("before", "after", "known"),
    [
        (None, Erased(5, 0, 20, (OURS,)), True),
        (None, Erased(0, 0, 20, (OURS,)), False),
        (FIRST, Erased(5, 0, 20, ("e-0", OURS)), True),
        (FIRST, Erased(3, 0, 20, ("e-0", OURS)), False),
        (None, Erased(5, 0, 20, (OURS, "e-other")), True),
    ],
    ids=["known", "never there", "a second life", "nothing since", "another one after it"],
)
async def test_what_was_there_is_told_from_what_was_not(
    before: Erased | None, after: Erased, known: bool
) -> None:
    world = World(account(), lambda world: world.commit(after))
    if before:
        await world.erased_before(before)
    request = await world.run()
    assert (request.done, request.known) == (True, known)
    assert request.erased_at == "1970-01-01T00:00:00.000020Z"
    assert request.erased_before == ("1970-01-01T00:00:00.000010Z" if before else None)
    assert request.sequence == (after.sequence or None)


async def test_an_erasure_by_somebody_else_is_not_taken_for_ours() -> None:
    async def refuse_ours(world: World) -> None:
        await world.commit(Erased(5, 0, 20, ("e-other",)))
        await world.refuse()

    world = World(account(), refuse_ours)
    with pytest.raises(StreamAppError, match="refused the request: in_the_future") as error:
        await world.run()
    assert f"{CONTROL}:1:0" in error.value.hint
    assert world.request.said == ""


@pytest.mark.parametrize("make", [account, contact])
async def test_a_letter_that_is_published_after_the_commit_is_waited_for(
    make: Callable[[], Request],
) -> None:
    async def relay(world: World) -> None:
        await world.store.looked.wait()
        await world.refuse()
        await world.store.trim(0, world.position.epoch, 1)

    relaying: list[asyncio.Task[None]] = []

    async def commit_first(world: World) -> None:
        world.store.looked.clear()
        await world.commit(outbox=[b"the letter"])
        relaying.append(asyncio.create_task(relay(world)))

    with pytest.raises(StreamAppError, match="refused the request"):
        await World(make(), commit_first).run()
    await relaying[0]


async def test_a_contact_is_forgotten_when_all_is_published_and_no_letter_came() -> None:
    request = await World(contact(), lambda world: world.commit()).run()
    assert (request.done, request.known, request.said) == (True, False, "")


async def test_while_kafka_takes_nothing_nobody_says_that_a_contact_was_forgotten() -> None:
    world = World(contact(), lambda world: world.commit(outbox=[b"what may be a letter"]))
    with pytest.raises(NotDoneYet):
        await world.run(0.3)
    assert not world.request.done
    assert "was sent" in world.request.said


async def test_a_request_that_left_no_trace_is_not_called_done() -> None:
    """Retention removed it unread, say."""
    world = World(account(), lambda world: world.commit())
    with pytest.raises(StreamAppError, match="neither"):
        await world.run()
    assert not world.request.done


async def test_the_letter_of_another_request_is_not_taken_for_ours() -> None:
    async def refuse_another(world: World) -> None:
        another = Request(msgspec.structs.replace(world.request.event, id="e-other"))
        await World(another, broker=world.broker).refuse()
        await world.commit()

    assert (await World(contact(), refuse_another).run()).done


@pytest.mark.parametrize("call", ["position", "outbox_length", "erased", "account"])
async def test_a_call_to_redis_that_is_refused_is_found_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    async def refuse(*_: object) -> None:
        raise ConfigError(f"no right to {call}")

    world = World(account())
    monkeypatch.setattr(world.store, call, refuse)
    with pytest.raises(ConfigError):
        await world.run(0.3)
    assert world.broker.read_all(CONTROL) == []


class Refusing(MemoryPublisher):
    def __init__(self, error: StreamAppError) -> None:
        super().__init__(MemoryBroker())
        self._error = error

    async def publish(self, messages: Sequence[Message]) -> None:
        raise self._error


class Away(Refusing):
    async def start(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("publisher", "progress"),
    [
        (Refusing(Unavailable("no answer")), Progress.PERHAPS_SENT),
        (Refusing(Incompatible("no such topic")), Progress.NOT_SENT),
        (Refusing(ConfigError("no right")), Progress.NOT_SENT),
        (Away(Unavailable("nobody there")), Progress.NOT_SENT),
    ],
    ids=["no answer", "no topic", "no right", "away"],
)
async def test_it_is_known_whether_the_request_was_sent(
    publisher: MemoryPublisher, progress: Progress
) -> None:
    request = account()
    with pytest.raises(StreamAppError):
        await send(publisher, request, CONTROL)
    assert request.progress is progress
    assert ("may have been sent" in request.said) == (progress is Progress.PERHAPS_SENT)
