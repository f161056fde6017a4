"""What can happen to a worker's calls to Kafka and Redis, arranged by the test.

Every call of one worker passes its `Calls`. There it can be stopped before or after it takes
effect, answered with an error although it took effect (or did not), or held for ever, which is all
that a killed or frozen process shows to the outside.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from stream_app.errors import Unavailable
from stream_app.streams.memory_log import MemoryLog, MemoryPublisher
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.ports import Claim, Commit, Listener, Message, Position, Record
from stream_app.streams.registry import Registry

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]
Applied = Literal["no", "yes", "later"]


class _Plan(Protocol):
    """What happens to one call."""

    async def carry_out(self, call: Call[T]) -> T: ...


@dataclass
class Stopped:
    """A call that stands still before or after its effect, until it is released."""

    after: bool = False
    error: Exception | None = None
    """What it ends with; None: as usual."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry_out(self, call: Call[T]) -> T:
        if self.after:
            answer = await call()
            await self._stand()
            return answer
        await self._stand()
        if self.error is not None:
            raise self.error
        return await call()

    async def _stand(self) -> None:
        self.reached.set()
        await self.released.wait()


@dataclass
class _Failing:
    error: Exception
    applied: Applied

    async def carry_out(self, call: Call[T]) -> T:
        if self.applied == "yes":
            await call()
        elif self.applied == "later":
            asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(call()))
        raise self.error


class _Passing:
    async def carry_out(self, call: Call[T]) -> T:
        return await call()


class Calls:
    """The calls of one worker, by the name of the port's method."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.commits: list[Commit] = []
        """What was asked to be committed."""
        self.largest_poll = 0
        """Records that one poll has returned, at most."""
        self._plans: defaultdict[str, deque[_Plan]] = defaultdict(deque)
        self._moving = asyncio.Event()
        self._moving.set()
        self._slow: dict[str, float] = {}
        self._kill_at = 0
        self._killed: Callable[[], None] = lambda: None

    async def make(self, name: str, call: Call[T]) -> T:
        """Make one call. Without a plan it adds no point at which tasks may switch."""
        self.made[name] += 1
        if self.made.total() == self._kill_at:
            self._killed()
        await self._moving.wait()
        if name in self._slow:
            await asyncio.sleep(self._slow[name])
        plans = self._plans[name]
        return await (plans.popleft() if plans else _Passing()).carry_out(call)

    def stop(
        self,
        name: str,
        *,
        after: bool = False,
        error: Exception | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> Stopped:
        """Let the next calls (after `skip` others) stand still, until all are released."""
        stopped = Stopped(after, error)
        self._plans[name].extend([*([_Passing()] * skip), *([stopped] * times)])
        return stopped

    def fail(
        self, name: str, error: Exception, applied: Applied = "no", *, times: int = 1, skip: int = 0
    ) -> None:
        """Let the next calls (after `skip` others) raise, with or without effect."""
        self._plans[name].extend([*([_Passing()] * skip), *([_Failing(error, applied)] * times)])

    def slow(self, name: str, seconds: float) -> None:
        """From now on these calls take some time."""
        self._slow[name] = seconds

    def hold_all(self) -> None:
        """From now on no call gets anywhere: the process is frozen, or dead."""
        self._moving.clear()

    def let_go(self) -> None:
        """The process is not frozen any more."""
        self._moving.set()

    def at_call(self, number: int, killed: Callable[[], None]) -> None:
        """Run `killed` just before the call of this number, whatever it is."""
        self._kill_at, self._killed = number, killed


class FaultyStore:
    """`MemoryStore` behind `Calls`."""

    def __init__(self, store: MemoryStore, calls: Calls) -> None:
        self._store, self._calls = store, calls

    async def start(self) -> None:
        await self._calls.make("store.start", self._store.start)

    async def stop(self) -> None:
        await self._calls.make("store.stop", self._store.stop)

    async def register(self, partitions: int, layout: str) -> None:
        await self._calls.make("register", lambda: self._store.register(partitions, layout))

    async def deployment(self) -> tuple[int, str] | None:
        return await self._calls.make("deployment", self._store.deployment)

    async def claim(self, partition: int, owner: str) -> Claim:
        return await self._calls.make("claim", lambda: self._store.claim(partition, owner))

    async def load(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        chunks = aiter(self._store.load(partition))
        while True:
            try:
                yield await self._calls.make("load", lambda: anext(chunks))
            except StopAsyncIteration:
                return

    async def position(self, partition: int) -> Position:
        return await self._calls.make("position", lambda: self._store.position(partition))

    async def commit(self, partition: int, commit: Commit) -> Position:
        self._calls.commits.append(commit)
        return await self._calls.make("commit", lambda: self._store.commit(partition, commit))

    async def trim(self, partition: int, epoch: int, outbox_first: int) -> None:
        await self._calls.make("trim", lambda: self._store.trim(partition, epoch, outbox_first))

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        return await self._calls.make("account", lambda: self._store.account(partition, account_id))

    async def summaries(self, partitions: int) -> list[bytes]:
        return await self._calls.make("summaries", lambda: self._store.summaries(partitions))

    async def registry(self) -> Registry:
        return await self._calls.make("registry", self._store.registry)

    async def update_registry(self, *registries: Registry, **written: Any) -> bool:
        return await self._calls.make(
            "update_registry", lambda: self._store.update_registry(*registries, **written)
        )

    async def snapshot(self, version: int | None = None) -> tuple[int, bytes] | None:
        return await self._calls.make("snapshot", lambda: self._store.snapshot(version))

    async def trainer_checkpoint(self) -> bytes | None:
        return await self._calls.make("trainer_checkpoint", self._store.trainer_checkpoint)

    async def save_trainer_checkpoint(self, trainer: bytes) -> None:
        await self._calls.make(
            "save_trainer_checkpoint", lambda: self._store.save_trainer_checkpoint(trainer)
        )


class FaultyPublisher:
    """`MemoryPublisher` behind `Calls`."""

    def __init__(self, publisher: MemoryPublisher, calls: Calls) -> None:
        self._publisher, self._calls = publisher, calls
        self.delivers_half = 0
        """So many times, half of the messages are written and the rest is not."""

    async def start(self) -> None:
        await self._calls.make("publisher.start", self._publisher.start)

    async def stop(self) -> None:
        await self._calls.make("publisher.stop", self._publisher.stop)

    async def publish(self, messages: Sequence[Message]) -> None:
        async def some() -> None:
            if not self.delivers_half:
                return await self._publisher.publish(messages)
            self.delivers_half -= 1
            await self._publisher.publish(messages[: len(messages) // 2])
            raise Unavailable("half of it was written")

        await self._calls.make("publish", some)


class FaultyLog:
    """`MemoryLog` behind `Calls`."""

    def __init__(self, log: MemoryLog, calls: Calls) -> None:
        self._log, self._calls = log, calls

    @property
    def topics(self) -> tuple[str, ...]:
        return self._log.topics

    async def start(self, listener: Listener) -> int:
        return await self._calls.make("log.start", lambda: self._log.start(listener))

    async def stop(self) -> None:
        await self._calls.make("log.stop", self._log.stop)

    async def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        batches = await self._calls.make(
            "poll", lambda: self._log.poll(max_records, timeout_seconds)
        )
        got = sum(map(len, batches.values()))
        self._calls.largest_poll = max(self._calls.largest_poll, got)
        return batches

    async def seek(self, partition: int, offsets: Mapping[str, int]) -> dict[str, int]:
        return await self._calls.make("seek", lambda: self._log.seek(partition, offsets))

    def pause(self, partition: int) -> None:
        self._log.pause(partition)

    async def end_offsets(self, partition: int) -> dict[str, int]:
        return await self._calls.make("end_offsets", lambda: self._log.end_offsets(partition))

    def show_progress(self, partition: int, offsets: Mapping[str, int]) -> None:
        self._log.show_progress(partition, offsets)
