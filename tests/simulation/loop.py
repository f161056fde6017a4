"""An asyncio event loop in virtual time whose every choice comes from one seed.

Callbacks that are ready run in random order; when none is, time jumps to the next timer. Tasks
belong to a simulated process (by their context), and a process can be frozen: its callbacks then
wait until it is thawed.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any


class Deadlock(Exception):
    """Nothing is ready and no timer is set, but the run has not ended."""


class Process:
    """What can be killed or frozen as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = self.frozen = False
        self.held: list[_Handle] = []
        """Callbacks that came while it was frozen."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(PROCESS.set, self)

    def __repr__(self) -> str:
        return self.name


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Handle:
    """A callback to run. asyncio wants no more of it than this."""

    __slots__ = ("args", "call", "cancelled_", "context", "when_")

    def __init__(
        self, call: Callable[..., object], args: tuple[Any, ...], context: Context, when: float
    ) -> None:
        self.call, self.args, self.context, self.when_ = call, args, context, when
        self.cancelled_ = False

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self.when_


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """Sets of tasks have the same order in every run, because the hash is a running number."""

    number = 0

    def __hash__(self) -> int:
        return self.number

    __eq__ = object.__eq__


class SimulatedLoop(asyncio.AbstractEventLoop):
    """`run` until told to stop."""

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self.steps = 0
        self.tasks: list[_Task] = []
        """Every task ever made."""
        self.complaints: list[str] = []
        """What asyncio would have logged."""
        self._random = random.random
        self._ready: list[_Handle] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._timer_count = 0
        self._stop = False

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> _Task:
        context = context or copy_context()
        task = _Task.__new__(_Task)
        task.number = len(self.tasks)
        task.__init__(coro, loop=self, name=name or "task", context=context)  # type: ignore[misc]
        # asyncio's set of all tasks would have those of many runs, with the same hashes.
        asyncio.tasks._unregister_task(task)
        self.tasks.append(task)
        process = context.get(PROCESS)
        if process is not None:
            process.tasks.append(task)
            if process.dead:
                task.cancel()
        return task

    def run_in_executor(self, _: Any, func: Callable[..., Any], *args: Any) -> Any:
        """At once, here."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on, as an executor does
            future.set_exception(error)
        return future

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, context or copy_context(), 0.0)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, args, context or copy_context(), when)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, handle))
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> _Handle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def thaw(self, process: Process) -> None:
        """A frozen process goes on with everything that has become due meanwhile."""
        process.frozen = False
        self._ready += process.held
        process.held.clear()

    def kill(self, process: Process) -> None:
        """Its tasks unwind; its ports let nothing through any more."""
        process.dead = True
        self.thaw(process)
        for task in process.tasks:
            task.cancel()

    def stop(self) -> None:
        self._stop = True

    def run(self, most_steps: int = 1_000_000) -> None:
        """Run until `stop`. Raises `Deadlock`, also when there is no end."""
        self._stop = False
        events._set_running_loop(self)
        try:
            while not self._stop:
                if not self._ready:
                    self._advance()
                self._step()
                if self.steps > most_steps:
                    raise Deadlock(f"no end after {most_steps} steps, at {self.now:.3f} s")
        finally:
            events._set_running_loop(None)

    def finish(self) -> None:
        """Cancel all tasks and run until none is left, without letting time pass."""
        events._set_running_loop(self)
        try:
            for _ in range(50):
                left = [task for task in self.tasks if not task.done()]
                if not left:
                    return
                for task in left:
                    task.cancel()
                while self._ready:
                    self._step()
        finally:
            self._timers.clear()
            events._set_running_loop(None)

    def _advance(self) -> None:
        """Jump to the next timer, and make all that are due then ready."""
        timers, ready = self._timers, self._ready
        while timers and not ready:
            self.now = max(self.now, timers[0][0])
            while timers and timers[0][0] <= self.now:
                handle = heapq.heappop(timers)[2]
                if not handle.cancelled_:
                    ready.append(handle)
        if not ready:
            raise Deadlock(f"nothing is left to do at {self.now:.3f} s")

    def _step(self) -> None:
        ready = self._ready
        last = ready.pop()
        if ready:
            place = int(self._random() * (len(ready) + 1))
            if place < len(ready):
                ready[place], last = last, ready[place]
        if last.cancelled_:
            return
        process = last.context.get(PROCESS)
        if process is not None and process.frozen:
            process.held.append(last)
            return
        self.steps += 1
        last.context.run(last.call, *last.args)
