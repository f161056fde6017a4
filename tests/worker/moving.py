"""Moves of a world's deployment to another number of partitions, also ones that die on the way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_app.streams import topics
from stream_app.streams.cluster import MemoryCluster
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit, Message
from stream_app.streams.repartition import Done, Repartition
from tests.worker.outcome import Outcome
from tests.worker.scenario import Line, scenario
from tests.worker.test_erasure import control
from tests.worker.world import CONSUMED, GROUP, World

MORE = 8
FIRST, SECOND = scenario()[:200], scenario()[200:]
CHANGES = topics.SEGMENT_CHANGES.name


class Died(BaseException):
    """The process of the move was killed."""


@dataclass
class Fuse:
    """Lets so many calls pass, and kills the process just before or just after the next one."""

    left: int
    after: bool = False
    only: str = ""
    """Count calls of this name alone."""
    said: list[str] = field(default_factory=list)
    """The calls that were made."""

    def made(self, name: str) -> bool:
        """Count a call. True: the process dies when it has taken effect."""
        self.said.append(name)
        if self.only and name != self.only:
            return False
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Died
        return self.left == -1


class Fused:
    """A port of whatever kind behind a `Fuse`."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name == "generation":
            return lambda number: Fused(found(number), self._fuse)
        if name in {"load", "read"}:
            return self._generator(name, found)
        return self._call(name, found)

    def _call(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*arguments: Any) -> Any:
            dies = self._fuse.made(name)
            answer = await call(*arguments)
            if dies:
                raise Died
            return answer

        return called

    def _generator(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*arguments: Any) -> Any:
            async for chunk in call(*arguments):
                if self._fuse.made(name):
                    raise Died
                yield chunk

        return called


def repartition(
    world: World, fuse: Fuse | None = None, at_once: int = 8, **ports: Any
) -> Repartition:
    """As `stream-app repartition` makes it, with a connection of its own."""
    given = {
        "store": world.store.generation(0),
        "cluster": MemoryCluster(world.broker, GROUP, CONSUMED),
        "reader": MemoryReader(world.broker),
        "publisher": MemoryPublisher(world.broker),
        **ports,
    }
    if fuse is not None:
        given = {name: Fused(port, fuse) for name, port in given.items()}
    return Repartition(**given, clock=world.clock, topics=CONSUMED, at_once=at_once)


async def moved(
    world: World,
    partitions: int = MORE,
    *,
    allow_lag: bool = False,
    fuse: Fuse | None = None,
    at_once: int = 8,
) -> Done:
    """Move the world's deployment."""
    mover = repartition(world, fuse, at_once)
    done = await mover.run(await mover.survey(partitions), allow_lag=allow_lag)
    await show(world)
    return done


async def show(world: World) -> None:
    """Let the world look at what is in use now."""
    deployment = await world.store.deployment()
    assert deployment is not None
    world.partitions = deployment[0]


async def half_way(lines: list[Line] = FIRST) -> World:
    """A worker has done the first half, and was stopped in good order."""
    world = await World.create(lines)
    node = await world.node().start()
    await world.settle()
    await node.stop()
    return world


async def rest(world: World, lines: list[Line] = SECOND) -> None:
    """The second half, and half a year of silence, by a new worker."""
    world.produce(lines)
    node = await world.node().start()
    await show(world)
    await world.finish()
    await node.stop()


def where(found: Outcome) -> Outcome:
    """Without what depends on where records lie: the origin of dead letters, and which records had
    to be passed on."""
    letters = {
        repr((key, value)): tuple(h for h in headers if h[0] in {"ce_reason", "ce_sourcetopic"})
        for key, value, headers in found.letters.values()
    }
    return Outcome(**{**vars(found), "letters": letters, "forwarded": set()})


def at_home(world: World) -> bool:
    """Whether every account lies in the partition that its id asks for."""
    return all(
        partition_of(account.encode(), world.partitions) == p
        for p in range(world.partitions)
        for account in world.store._partitions[p].states
    )


async def decide(world: World, partition: int, messages: list[tuple[str, bytes]]) -> None:
    """Leave messages in an outbox, as a worker does that was killed after its commit."""
    at = (await world.store.claim(partition, "killed")).position
    encode = msgspec.msgpack.Encoder().encode
    outbox = [encode(Message(topic, b"a", value)) for topic, value in messages]
    await world.store.commit(
        partition, Commit(at, at.offsets, at.model_version, at.outbox_first, outbox=outbox)
    )


class Snap:
    """A world half-way, to be copied: building it takes longer than a move."""

    def __init__(self, world: World) -> None:
        self.content, self.broker = world.copy_of_store(), world.broker

    async def world(self) -> World:
        world = World()
        world.restore(self.content)
        world.broker = MemoryBroker()
        for topic, count in self.broker.topics.items():
            world.broker.create_topic(topic, count)
            for p in range(count):
                for record in self.broker.read(topic, p):
                    world.broker.append(topic, record.key, record.value, record.headers, p)
        return world


async def loaded_snap() -> Snap:
    """With something of everything: outboxes, erased accounts, unread records."""
    world = await half_way()
    world.produce([control("account.erase", f"account-{i}") for i in range(0, 32, 5)])
    node = await world.node().start()
    await world.settle()
    await node.stop()
    for partition in (1, 3):
        value = b'{"account_id":"a","sequence":%d}' % partition
        await decide(world, partition, [(CHANGES, value)])
    world.produce(SECOND[:50])
    return Snap(world)


def picture(world: World) -> Any:
    """All that is stored and published, but for epochs, revisions, and repetitions."""
    whole = copy.deepcopy(world.store._whole)
    stored = {}
    for number, partitions in whole.generations.items():
        for p, partition in partitions.items():
            at = partition.position
            content = {name: getattr(partition, name) for name in partition.__slots__}
            content["position"] = (dict(at.offsets), at.model_version)
            if content["states"] or at.offsets:
                stored[number, p] = content
    written = {
        topic: [{(r.key, r.value) for r in world.broker.read(topic, p)} for p in range(count)]
        for topic, count in world.broker.topics.items()
    }
    return whole.deployment, stored, written
