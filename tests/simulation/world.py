"""One simulated world: broker, store, processes, and what befalls them."""

from __future__ import annotations

import asyncio
import functools
from asyncio import CancelledError
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from itertools import count, groupby
from random import Random
from typing import Any

from stream_app.errors import StreamAppError, Unavailable
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import HOUR
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryBroker
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Message
from stream_app.streams.training import Training
from stream_app.streams.worker import Worker as RealWorker
from tests.models import AT, save_model
from tests.simulation.constants import HEALED_AT, PARTITIONS, SESSION_SECONDS, START_US
from tests.simulation.controls import CONTROLS
from tests.simulation.faults import Fault, Phase
from tests.simulation.kit import FIXED_MODEL, settings_of, trained
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Deadlock, Process, SimulatedLoop
from tests.simulation.plan import Plan
from tests.simulation.ports import Clock, Log, Publisher, Store
from tests.simulation.records import Planned

MOST_SECONDS = 80.0
"""Virtual seconds after which a run counts as stuck."""
MOST_STEPS = 60_000
_STEADY_SECONDS = 2.2
"""Longer than a worker takes to look at the time and the store."""

_SAMPLES = topics.ACCOUNT_FEATURES.name
_MODELS = topics.SEGMENT_MODELS.name
_DECISIONS = 4
"""Times that somebody looks for another version of the model to activate."""
_DIRECT = {_SAMPLES, _MODELS}
"""What does not go through the outbox."""
_RETRY_SECONDS = 0.2


class Silent:
    """Metrics that nobody reads."""

    def __getattr__(self, name: str) -> Silent:
        self.__dict__[name] = self  # the next time it is found at once
        return self

    def __call__(self, *_: object) -> Silent:
        return self


_SILENT: Any = Silent()


class Worker(Process):
    """One life of a worker: from its start to its crash or stop."""

    def __init__(self, world: World, slot: int, name: str) -> None:
        super().__init__(name)
        self.world, self.slot = world, slot
        self.log_away_until = self.store_away_until = 0.0
        self.leaving = self.expired = False
        self.clock = Clock(world)
        self.store = Store(self)
        self.publisher = Publisher(self)
        self.log = Log(self)
        self.worker = RealWorker(
            world.settings,
            self.log,
            self.store,
            self.publisher,
            self.clock,
            owner=name,
            metrics=_SILENT,
        )

    async def main(self) -> None:
        await self.worker.start()
        await self.worker.run()


class Trainer(Process):
    """One life of the trainer: what the agent in `stream_app.app.application` does."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(name)
        self.world = world
        self.log_away_until = self.store_away_until = 0.0
        self.leaving = self.expired = False
        self.training = Training(
            world.settings,
            Store(self),  # type: ignore[arg-type]
            Publisher(self),  # type: ignore[arg-type]
            Messages("", Pseudonyms()),
            Clock(world),
        )

    async def main(self) -> None:
        world = self.world
        at = 0
        wait = 0.5
        while True:
            await asyncio.sleep(wait)
            await world.point(self, "samples", "before")
            at = max(at, world.trained_to)
            records = world.broker.read(_SAMPLES, 0, at)[:6]
            if not records or world.log_away(self):
                continue
            try:
                await self.training.learn([record.value or b"" for record in records])
                wait = 0.5
            except Unavailable:
                wait = min(wait * 2, 2.0)
            at += len(records)
            world.trained_to = max(world.trained_to, at)


class World:
    """Runs a plan."""

    def __init__(self, plan: Plan, *, tracing: bool = False) -> None:
        self.plan = plan
        self.settings = settings_of(plan.shape)
        self.random = Random(f"schedule {plan.seed}")
        self.loop = SimulatedLoop(self.random)
        self.context = copy_context()
        self.violations: list[str] = []
        self.trace: list[str] = []
        self.tracing = tracing
        self.verbose = False
        """Whether the trace has every call."""
        self.injected: Counter[str] = Counter()
        self.consumed = topics.consumed()
        # Time stamps count arrivals: virtual time has many within a millisecond, and the oracle
        # asks what came after what.
        self.broker = MemoryBroker(now_ms=count(1).__next__)
        for topic in topics.TOPICS:
            self.broker.create_topic(
                topic.name, PARTITIONS if topic.partitions > 1 else topic.partitions
            )
        self.refused = {r.value: r.fate for r in plan.records if r.refused}
        """Reasons of the dead letters, by value."""
        self.ledger = Ledger(
            MemoryStore(now_us=lambda: START_US + round(self.loop.now * 1_000_000)),
            self.refused.keys(),
            self.violate,
            self.note if tracing else None,
        )
        self.trained_to = 0
        self.redecided = 0
        """Messages that say something else than an earlier one with the same id."""
        self.stale_tombstones = 0
        """Erased accounts of which `account-segments` has an older message last."""
        self.stale = 0
        """Accounts whose newest message on `account-segments` is not the last one."""
        self._number = count()
        self._calls: Counter[tuple[str, Phase]] = Counter()
        self._by_call = {(f.op, f.phase, f.nth): f for f in plan.faults if f.op}
        self._by_time = [f for f in plan.faults if not f.op]
        self._queues: dict[str, deque[Planned]] = {}
        """Records that wait until what came before of their account has been applied."""
        self._slots: dict[int, Worker] = {}
        self._trainer: Trainer | None = None
        self._late = 0
        """Writes that are still on their way."""
        self._out = 0
        """Processes that are down, frozen or cut off, and will come back."""
        self._training = True

    def run(self) -> None:
        """Run to the end; violations are in `violations`."""
        loop = self.loop
        try:
            loop.call_soon(self._begin, context=self.context)
            loop.run(MOST_STEPS)
        except Deadlock as error:
            self.violate(f"stuck: {error}; {self._unfinished()}")
        finally:
            self._end()

    def violate(self, what: str) -> None:
        """Note that a promise is broken."""
        if len(self.violations) < 20:
            self.violations.append(what)
        self.note(f"VIOLATION {what}")

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self.tracing:
            self.trace.append(f"{self.loop.now:8.3f}  {text}")

    def next_number(self) -> int:
        return next(self._number)

    # What processes ask for

    async def point(self, process: Any, op: str, phase: Phase) -> Fault | None:
        """A point in a call where something may happen. Returns a fault for the call itself."""
        if process.dead:
            raise CancelledError
        key = op, phase
        self._calls[key] = nth = self._calls[key] + 1
        if self.verbose:
            self.note(f"{process} {phase} {op} #{nth}")
        fault = self._by_call.pop((op, phase, nth), None)
        if fault is not None and self.loop.now < HEALED_AT:
            self.inject(fault, process)
        chance = self.random.random()
        if chance < 0.3 and fault is None:
            pass
        elif chance < 0.65:
            await asyncio.sleep(0)
        elif chance < 0.95:
            await asyncio.sleep(chance * 0.02)
        else:
            await asyncio.sleep((chance - 0.95) * 10)
        return fault

    def log_away(self, process: Any) -> bool:
        return bool(self.loop.now < process.log_away_until)

    def store_away(self, process: Any) -> bool:
        return bool(self.loop.now < process.store_away_until)

    def append(self, process: Any, messages: Sequence[Message], *, given_up: bool) -> None:
        """Publish."""
        self.ledger.publishing(process, messages, _DIRECT, given_up=given_up)
        for message in messages:
            self.broker.append(message.topic, message.key, message.value, message.headers)
        self.ledger.appended(messages)
        if self.tracing:
            shown = [_shown(m) for m in messages if m.topic != _SAMPLES]
            self.note(f"{process} publishes {', '.join(shown) or 'samples'}")

    def later(self, seconds: float, apply: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Apply a write after its caller has stopped waiting for it."""
        self._late += 1
        self.soon(seconds, functools.partial(self._apply_late, apply))

    def soon(self, seconds: float, call: Callable[[], None]) -> None:
        """Call from the world's own context."""
        self.loop.call_later(seconds, call, context=self.context)

    # Beginning and end

    def _begin(self) -> None:
        store, plan = self.ledger.store, self.plan
        if plan.model:
            snapshot, checkpoint = trained() if plan.shape.mixed else (FIXED_MODEL, b"")
            _at_once(save_model(store, 1, snapshot, checkpoint))
        for at, together in groupby(plan.records, key=lambda record: record.at):
            self.soon(at, functools.partial(self._produce, list(together)))
        for fault in self._by_time:
            self.soon(fault.at, functools.partial(self.inject, fault, None))
        for slot in range(plan.workers):
            self.soon(self.random.random() * 0.5, functools.partial(self._start, slot))
        if plan.shape.mixed:
            self._start_trainer()
        quiet = max((r.at for r in plan.records), default=0.0)
        quiet = max(quiet, HEALED_AT if plan.faults else 0.0)
        if plan.shape.mixed:
            operator = Random(f"operator {plan.seed}")
            for _ in range(_DECISIONS):
                self.soon(operator.uniform(0.5, quiet), functools.partial(self._decide, operator))
            self.soon(quiet + 0.5, self._stop_training)
        self.soon(quiet + 1.0, self._look)
        self.soon(MOST_SECONDS, self._give_up)

    def _look(self, epochs: Sequence[int] = ()) -> None:
        """Whether all is done, and stays done: owners that take a partition from each other in
        turn are not."""
        now = [self.ledger.store._partitions[p].position.epoch for p in range(PARTITIONS)]
        if self._unfinished():
            self.soon(0.5, self._look)
        elif epochs != now:
            self.soon(_STEADY_SECONDS, functools.partial(self._look, now))
        else:
            self.loop.stop()

    def _give_up(self) -> None:
        why = self._unfinished() or "partitions change their owners again and again"
        self.violate(f"stuck after {MOST_SECONDS:.0f} s: {why}")
        self.loop.stop()

    def _unfinished(self) -> str:
        """What is still to be done, or nothing."""
        if any(self._queues.values()):
            return "records are still to be produced"
        if self._late or self._out:
            return "writes or processes are still to come back"
        for partition in range(PARTITIONS):
            book = self.ledger.books[partition]
            for topic in self.consumed:
                end = self.broker.source(topic, partition).end
                if book.offsets.get(topic, 0) != end:
                    return f"partition {partition}: {topic} is consumed up to {book.offsets}"
            if book.outbox:
                return f"partition {partition}: {len(book.outbox)} entries in the outbox"
            owner = book.owner[0] if book.owner else None
            if not isinstance(owner, Worker) or owner.dead or not owner.worker.ready:
                return f"partition {partition}: its owner is {owner}"
        if self.plan.shape.mixed and not self._model_published():
            # The trainer publishes it when the next sample makes it look at what is stored.
            self.broker.append(_SAMPLES, None, b"unreadable")
            return "the newest model is not published"
        return ""

    def _model_published(self) -> bool:
        return not self.ledger.store._registry.unannounced

    def _end(self) -> None:
        processes = [*self._slots.values(), *([self._trainer] if self._trainer else [])]
        for process in processes:
            process.dead = True
            self.loop.thaw(process)
        self.loop.finish()
        for task in self.loop.tasks:
            if task.done() and not task.cancelled() and task._log_traceback:
                self.violate(f"nobody noticed that a task failed: {task.exception()!r}")

    # Processes

    def _start(self, slot: int) -> None:
        process = Worker(self, slot, f"worker-{slot}.{self.next_number()}")
        self._slots[slot] = process
        self.note(f"{process} starts")
        self._run(process, functools.partial(self._restart, process))

    def _start_trainer(self) -> None:
        process = self._trainer = Trainer(self, f"trainer.{self.next_number()}")
        self.note(f"{process} starts")
        self._run(process, functools.partial(self._restart, process))

    def _run(self, process: Worker | Trainer, again: Callable[[float], None]) -> None:
        task = self.loop.create_task(process.main(), context=process.context)

        def ended(task: asyncio.Task[None]) -> None:
            if process.dead or process.leaving:
                if not task.cancelled():
                    task.exception()
                return
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Unavailable):
                self.note(f"{process} gives up: {error}")
                self._crash(process, 1.0)
            else:
                self.violate(f"{process} ended with {error!r}")

        task.add_done_callback(ended, context=self.context)

    def _restart(self, process: Worker | Trainer, seconds: float) -> None:
        """A successor after a while."""
        self._out += 1

        def start() -> None:
            self._out -= 1
            if isinstance(process, Worker):
                self._start(process.slot)
            else:
                self._start_trainer()

        self.soon(seconds, start)

    def _crash(self, process: Worker | Trainer, seconds: float) -> None:
        if process.dead:
            return
        self.loop.kill(process)
        if isinstance(process, Worker):
            self._out += 1
            self.soon(self.random.random() * SESSION_SECONDS, self._back(process.log.member.expire))
        if process in (self._trainer, *self._slots.values()):
            self._restart(process, seconds)

    def _back(self, call: Callable[[], None]) -> Callable[[], None]:
        def back() -> None:
            self._out -= 1
            call()

        return back

    def _stall(self, process: Worker | Trainer, seconds: float) -> None:
        if process.frozen:
            return
        process.frozen = True
        self._out += 1
        self.soon(seconds, functools.partial(self._wake, process))
        if seconds > SESSION_SECONDS:
            self.soon(SESSION_SECONDS, functools.partial(self._expire, process))

    def _expire(self, process: Worker | Trainer) -> None:
        """The group has not heard of it for too long."""
        if process.dead or process.expired:
            return
        if isinstance(process, Worker) and not process.log.is_member:
            return
        process.expired = True
        self.note(f"the session of {process} expires")
        if isinstance(process, Worker):
            process.log.is_member = False
            process.log.member.expire()
        else:
            self._start_trainer()

    def _wake(self, process: Worker | Trainer) -> None:
        self._out -= 1
        if process.dead:
            return
        self.note(f"{process} wakes up")
        self.loop.thaw(process)
        self._rejoin_soon(process)

    def _rejoin_soon(self, process: Worker | Trainer) -> None:
        """A zombie works on for a while before it hears that its session has expired."""
        if not process.expired:
            return
        self._out += 1
        wait = self.random.random() ** 2 * 2.0
        self.soon(wait, self._back(functools.partial(self._rejoin, process)))

    def _rejoin(self, process: Worker | Trainer) -> None:
        if process.dead or not process.expired:
            return
        process.expired = False
        self.note(f"{process} hears that its session has expired")
        if isinstance(process, Trainer):
            self.loop.kill(process)
            return

        async def rejoin() -> None:
            await process.log.member.rejoin()
            process.log.is_member = True
            if process.dead or process.leaving:
                process.log.member.expire()

        self.loop.create_task(rejoin(), context=self.context)

    async def _leave(self, process: Worker, seconds: float) -> None:
        process.leaving = True
        self._out += 1
        stop = self.loop.create_task(process.worker.stop(), context=process.context)
        done, _ = await asyncio.wait({stop}, timeout=20.0)
        if not done and not process.frozen:
            self.violate(f"{process} has not stopped after 20 s")
        elif not stop.cancelled() and (error := stop.exception()) is not None:
            self.note(f"{process} stops with {error!r}")
        self._out -= 1
        if not process.dead:
            # As a crash: should it not have left the group in time, its session expires.
            self._crash(process, seconds)

    # Events

    def _produce(self, records: Sequence[Planned]) -> None:
        for record in records:
            if not record.waits:
                self._append_planned(record)
                continue
            queue = self._queues.setdefault(record.account, deque())
            queue.append(record)
            if len(queue) == 1:
                # Not at once: what came before may still be on its way to the log.
                self.soon(_RETRY_SECONDS, functools.partial(self._drain, record.account))

    def _drain(self, account: str) -> None:
        queue = self._queues[account]
        if self._applied(account):
            self._append_planned(queue.popleft())
        if queue:
            self.soon(_RETRY_SECONDS, functools.partial(self._drain, account))

    def _append_planned(self, record: Planned) -> None:
        self.broker.append(record.topic, record.key, record.value, (), record.partition)
        if record.fate in CONTROLS:
            self.injected[record.fate] += 1
            self.note(f"{record.fate} of {record.account} is sent" + " astray" * record.stray)

    def _applied(self, account: str) -> bool:
        """Whether all that was produced of an account has been applied."""
        key, books = account.encode(), self.ledger.books
        return not any(
            key in (record.value or b"")
            for partition, book in books.items()
            for topic in self.consumed
            for record in self.broker.read(topic, partition, book.offsets.get(topic, 0))
        ) and not any(
            key in entry and entry not in self.ledger.published
            for book in books.values()
            for entry in book.outbox
        )

    def _stop_training(self) -> None:
        """Samples no longer count."""
        self.trained_to = len(self.broker.read(_SAMPLES, 0))

    def _decide(self, operator: Random) -> None:
        """Somebody activates a version, mostly an older one, and leaves it to the trainer to
        publish that."""
        store = self.ledger.store
        registry = store._registry
        if others := [version for version in registry.versions if version != registry.active]:
            version = operator.choice(others)
            changed = registry.activated(version, AT, "operator", "activated")
            assert _at_once(store.update_registry(registry, changed))
            self.note(f"model {version} is activated")

    def _apply_late(self, apply: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._late -= 1
        try:
            _at_once(apply())
        except StreamAppError as error:
            self.note(f"a late write is refused: {error}")
        else:
            self.note("a late write is applied")

    def inject(self, fault: Fault, process: Any) -> None:
        """Let a fault happen, to the process that makes the call or to those it names."""
        self.injected[fault.kind] += 1
        if self.tracing:
            self.note(f"FAULT {fault}" + (f" [{process}]" if process else ""))
        named = [p for slot, p in self._slots.items() if fault.who in (-1, slot) and not p.dead]
        match fault.kind:
            case "crash":
                self._crash(process, fault.seconds)
            case "stall":
                self._stall(process, fault.seconds)
            case "rebalance":
                self.loop.call_soon(self.broker.group("workers").rebalance, context=self.context)
            case "join":
                slot = 100 + self.next_number()  # a place of its own
                self.soon(0.0, functools.partial(self._start, slot))
            case "set-back":
                copy = self.ledger.copy()
                self.soon(fault.seconds, functools.partial(self._restore, copy))
            case _:
                for worker in named:
                    self._strike(fault, worker)

    def _strike(self, fault: Fault, worker: Worker) -> None:
        match fault.kind:
            case "store-outage":
                worker.store_away_until = self.loop.now + fault.seconds
            case "log-outage":
                self._cut_off(worker, fault.seconds)
            case "clock-jump":
                worker.clock.jump(round(fault.seconds * HOUR))
            case "leave" if not worker.leaving:
                self.loop.create_task(self._leave(worker, fault.seconds), context=self.context)

    def _restore(self, copy: Any) -> None:
        self.note("the store is set back")
        self.ledger.restore(copy)

    def _cut_off(self, worker: Worker, seconds: float) -> None:
        worker.log_away_until = self.loop.now + seconds
        if seconds > SESSION_SECONDS:
            self._out += 1
            self.soon(SESSION_SECONDS, functools.partial(self._expire, worker))
            self.soon(seconds, self._back(functools.partial(self._rejoin_soon, worker)))


def _at_once(call: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the store in memory never waits")


def _shown(message: Message) -> str:
    headers = dict(message.headers)
    name = headers.get("ce_id", b"").decode() or (message.key or b"").decode()
    return f"{message.topic}/{name}"
