"""One worker: reads records of the partitions that the group gives it, and runs their owners."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from stream_app import native
from stream_app.errors import StreamAppError, Unavailable
from stream_app.features.table import LAYOUT
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME
from stream_app.settings import Settings
from stream_app.streams.backoff import Backoff
from stream_app.streams.live_health import LiveHealth
from stream_app.streams.metrics import Metrics
from stream_app.streams.models import Models
from stream_app.streams.pace import Pace
from stream_app.streams.partition import Context, Partition
from stream_app.streams.ports import Clock, EventLog, Publisher, StateStore
from stream_app.streams.processor import Pipeline

log = logging.getLogger(__name__)

_STANDSTILL_SECONDS = 30.0
_HEALTH_SECONDS = 60.0
"""Between two judgements of the segments."""
_SAY_EVERY_SECONDS = 60.0
"""Between two log lines about a wait that is part of every catching up."""


class Worker:
    """`start`, then `run` until `stop`. A `Listener` of its log.

    Raises from `start` and `run` what trying again cannot mend: `ConfigError`, `Incompatible`; and
    `Unavailable` from `start`.
    """

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        store: StateStore,
        publisher: Publisher,
        clock: Clock,
        *,
        owner: str = "worker",
        metrics: Metrics | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self._settings = settings
        self._log, self._store, self._publisher, self._clock = log, store, publisher, clock
        self._owner = owner
        self._models = Models(store, Hysteresis.of(settings.segments), self.metrics)
        self._health = LiveHealth(settings, self.metrics)
        self._health_at = clock.monotonic()
        self._registered = asyncio.Event()
        self._stopping = asyncio.Event()
        self._taken = asyncio.Event()
        self._context: Context | None = None
        self._partitions: dict[int, Partition] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self._reached = self._stored = False
        """Whether the log and the store answered when they were last asked."""
        self._beat = clock.monotonic()
        """When the last tick was."""
        self._polling_since: float | None = None
        self._most_records = settings.worker.max_batch
        """To be read at once."""
        self._say_full_at = 0.0

    @property
    def alive(self) -> bool:
        """Whether the loops go round; false after half a minute of standstill. To wait because
        Kafka or Redis is away or slow is no standstill: a restart would not help."""
        now, grace = self._clock.monotonic(), _STANDSTILL_SECONDS
        ticking = now - self._beat < self._settings.worker.sweep_seconds + grace
        polling = self._polling_since is None or (
            now - self._polling_since < self._settings.worker.poll_seconds + grace
        )
        return ticking and polling

    @property
    def ready(self) -> bool:
        """Whether log and store are reached, and every partition that is owned is being read and
        published."""
        return (
            self._registered.is_set()
            and self._reached
            and self._stored
            and not self._stopping.is_set()
            and all(p.ready and p.flowing for p in self._partitions.values())
        )

    async def start(self) -> None:
        """Connect to everything and join the group."""
        log.info("%s", "; ".join(filter(None, native.path())))
        await self._store.start()
        await self._publisher.start()
        partitions = await self._log.start(self)
        await self._store.register(partitions, LAYOUT)
        await self._models.refresh()
        self._stored = True
        self._context = Context(
            owner=self._owner,
            partitions=partitions,
            pipeline=Pipeline(self._settings),
            log=self._log,
            store=self._store,
            publisher=self._publisher,
            clock=self._clock,
            models=self._models,
            metrics=self.metrics,
            pace=Pace(self._clock, self._settings.worker),
            taken=self._taken.set,
        )
        self._registered.set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        loops = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._tick()),
            asyncio.create_task(self._watch_model()),
        ]
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([*loops, stop], return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()
        finally:
            await _end([*loops, stop])
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Finish the batches in flight, publish, leave the group; within the deadline."""
        self._stopping.set()
        await self._rest(self._partitions)
        await self._drop(list(self._tasks))
        await self._log.stop()
        await self._publisher.stop()
        await self._store.stop()

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """`Listener`: finish what is in flight; memory is kept in case they come back."""
        await self._rest(partitions)

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """`Listener`: drop what went away, go on with what stayed, claim what is new."""
        await self._registered.wait()
        await self._drop([p for p in self._partitions if p not in partitions])
        log.info("%s owns partitions %s", self._owner, sorted(partitions))
        for number in sorted(partitions):
            if number in self._partitions:
                self._partitions[number].resume()
            elif not self._stopping.is_set():
                self._add(number)

    def _add(self, number: int) -> None:
        assert self._context is not None
        self._partitions[number] = partition = Partition(number, self._context)
        self._tasks[number] = task = asyncio.create_task(partition.run())
        task.add_done_callback(self._partition_ended)

    def _partition_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._stopping.set()

    async def _rest(self, partitions: Iterable[int]) -> None:
        """Pause partitions; those that cannot finish in time are dropped from memory. What they
        had committed lies in the outbox, and the next owner publishes it."""
        pausing = {
            p: asyncio.create_task(self._partitions[p].pause())
            for p in partitions
            if p in self._partitions
        }
        if not pausing:
            return
        deadline = self._settings.worker.shutdown_seconds
        _, late = await asyncio.wait(pausing.values(), timeout=deadline)
        if late:
            numbers = [p for p, task in pausing.items() if task in late]
            log.warning("partitions %s did not finish in %.0f s", numbers, deadline)
            await _end(late)
            await self._drop(numbers)

    async def _drop(self, numbers: Iterable[int]) -> None:
        tasks = []
        for number in numbers:
            self._partitions.pop(number, None)
            self.metrics.forget(number)
            if (task := self._tasks.pop(number, None)) is not None:
                tasks.append(task)
        await _end(tasks)

    async def _read(self) -> None:
        backoff = Backoff()
        while True:
            self._taken.clear()
            if self._inboxes_full():
                await self._until_taken()
                continue
            self._polling_since = self._clock.monotonic()
            try:
                batches = await self._log.poll(
                    self._most_records, self._settings.worker.poll_seconds
                )
            except Unavailable as error:
                self._reached = False
                log.warning("waiting for Kafka to read: %s", error)
                await backoff.wait()
                self.metrics.waits.labels("kafka").inc(
                    self._clock.monotonic() - self._polling_since
                )
                continue
            finally:
                self._polling_since = None
            self._reached = True
            backoff.reset()
            for number, records in batches.items():
                if (partition := self._partitions.get(number)) is not None:
                    self._note_size(len(records), partition.offer(records))

    def _inboxes_full(self) -> bool:
        """Whether the partitions have as much to do as they may."""
        worker, partitions = self._settings.worker, self._partitions.values()
        return (
            sum(len(partition.inbox) for partition in partitions) >= 2 * worker.max_batch
            or sum(partition.inbox.bytes for partition in partitions) >= worker.inbox_limit_bytes
        )

    async def _until_taken(self) -> None:
        """Wait, for a short while, until a partition has taken records from its inbox."""
        began = self._clock.monotonic()
        if began >= self._say_full_at:
            self._say_full_at = began + _SAY_EVERY_SECONDS
            log.info("reading waits while what was read is applied")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.worker.poll_seconds):
                await self._taken.wait()
        self.metrics.waits.labels("inbox").inc(self._clock.monotonic() - began)

    def _note_size(self, records: int, size: int) -> None:
        """Read fewer records at once where they are large: thousands that a producer compressed
        well would not fit into memory."""
        if size:
            worker = self._settings.worker
            fitting = worker.inbox_limit_bytes * records // (2 * size)
            self._most_records = min(max(fitting, 1), worker.max_batch)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._settings.worker.sweep_seconds)
            self._beat = self._clock.monotonic()
            for partition in self._partitions.values():
                partition.tick()
            self._show()
            if self._beat >= self._health_at:
                self._health_at = self._beat + _HEALTH_SECONDS
                self._show_health()

    async def _watch_model(self) -> None:
        while True:
            await asyncio.sleep(self._settings.worker.model_poll_seconds)
            try:
                await self._models.refresh()
                self._stored = True
            except Unavailable as error:
                self._stored = False
                log.warning("waiting for Redis to ask for the model: %s", error)

    def _show(self) -> None:
        """Gauges that are sums over partitions."""
        running = [partition for partition in self._partitions.values() if partition.ready]
        sizes: Counter[int] = Counter()
        for partition in running:
            sizes.update(partition.summary.segments)
        assigner = self._models.assigner
        names = assigner.names if assigner else {UNSEGMENTED: UNSEGMENTED_NAME}
        self.metrics.segment_accounts.clear()
        for segment, accounts in sizes.items():
            name = names.get(segment, "")
            self.metrics.segment_accounts.labels(str(segment), name).set(accounts)
        self.metrics.partitions.set(len(running))
        self.metrics.ready.set(self.ready)

    def _show_health(self) -> None:
        held = [p.processor for p in self._partitions.values() if p.ready]
        assigner = self._models.assigner
        snapshot = assigner.snapshot if assigner else None
        self._health.show(snapshot, held, self._clock.now_us())


async def _end(tasks: Iterable[asyncio.Task[None]] | Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks and wait until they have ended; a failure that nobody has seen is logged."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, StreamAppError):
            log.warning("while ending: %s", outcome)
        elif isinstance(outcome, Exception):
            log.error("while ending", exc_info=outcome)
