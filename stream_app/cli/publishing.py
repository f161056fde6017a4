"""Synthetic records to Kafka at a pace: when each is due, what time it bears, and sending it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stream_app.cli.output import remarks
from stream_app.errors import Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.backoff import Backoff
from stream_app.streams.kafka_admin import partition_counts
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.partitioning import common_count
from stream_app.streams.ports import Message
from stream_app.streams.topics import consumed
from stream_app.traffic import Traffic, TrafficRecord

log = logging.getLogger(__name__)

_BATCH = 2_000
"""Records per call of the publisher at most."""
_TICK_SECONDS = 0.05
"""Live records that are due within it go together."""
_PATIENCE_SECONDS = 60.0
"""For so long Kafka may be away before we give up."""
_REMEMBERED = 5_000
"""Records; what is sent twice comes again within minutes of simulated time."""
_GRACE_SECONDS = 3.0
"""What is under way at Ctrl-C gets so long."""
_REPORT_SECONDS = 10.0
"""Between two log lines, where there is no terminal."""
_OCCURRED, _SESSION, _ID = b'"occurred_at":"', b'"session_id":"', b'{"id":"'
_INSTANT_BYTES = len("2026-01-31T12:00:00.000Z")


@dataclass
class Pace:
    """From simulated time to the wall clock, in seconds since 1970.

    Until `live_from` both are the same, and records are due at once. From there on simulated time
    runs at `speed`; or, with a `rate`, its records come one by one at that rate.
    """

    live_from: float
    rate: float | None = None
    speed: float = 1.0
    live: int = 0
    """Live records so far."""
    live_since: float = 0.0
    """When the first of them was asked for."""
    began: float = 0.0
    """The moment on the wall clock that `live_from` stands for."""
    _recent: dict[bytes, bytes] = field(default_factory=dict)
    """Values as they were sent: a repeated record has the same bytes again."""

    @property
    def _exact(self) -> bool:
        return self.rate is None and self.speed == 1.0

    def due(self, record: TrafficRecord, now: float) -> float | None:
        """When to send the record; None: at once, it is history. Ask once per record, in order."""
        delivered = record.delivered_at_us / 1e6
        if delivered < self.live_from:
            return None
        if not self.live:
            self.live_since = now
            self.began = self.live_from if self._exact else now
        self.live += 1
        if self.rate is not None:
            return self.began + (self.live - 1) / self.rate
        return self.began + (delivered - self.live_from) / self.speed

    def value(self, record: TrafficRecord, due: float | None) -> bytes:
        """The record's JSON, with the time at which it occurs on the wall clock. Broken records
        stay as they are."""
        occurred = record.occurred_at_us / 1e6
        if due is None or self._exact or record.flaw == "malformed":
            return record.value
        if record.flaw == "duplicate" and (first := self._recent.get(record.value)):
            return first
        if self.rate is not None:
            occurred = due - (record.delivered_at_us / 1e6 - occurred)
        elif occurred >= self.live_from:
            occurred = self.began + (occurred - self.live_from) / self.speed
        text = datetime.fromtimestamp(occurred, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        start = record.value.index(_OCCURRED) + len(_OCCURRED)
        value = record.value[:start] + text.encode() + record.value[start + _INSTANT_BYTES :]
        self._recent[record.value] = value
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        return value


@dataclass
class Sent:
    """What was sent."""

    topics: Counter[str] = field(default_factory=Counter)
    flaws: Counter[str] = field(default_factory=Counter)
    history: int = 0
    live: int = 0
    seconds: float = 0.0
    """Of live traffic."""
    behind_seconds: float = 0.0
    stopped_by: int | None = None
    """The signal, if it was one."""

    def summary(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "events": self.history + self.live,
            "history": self.history,
            "live": self.live,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.live / self.seconds, 2) if self.seconds else 0.0,
            "behind_seconds": round(self.behind_seconds, 3),
            "flaws": {flaw: self.flaws[flaw] for flaw in ("late", "duplicate", "malformed")},
            "topics": dict(sorted(self.topics.items())),
        }


class Sender:
    """Sends one stream, once."""

    def __init__(self, settings: KafkaSettings, pace: Pace, seconds: float | None) -> None:
        self._settings, self._pace, self._seconds = settings, pace, seconds
        self._publisher = KafkaPublisher(settings, "stream-app-traffic")
        self._stop = asyncio.Event()
        self._sent = Sent()
        # Producers' ids are unique for ever; the generator's begin anew with every run.
        self._run = f"{int(pace.live_from * 1_000):x}-".encode()
        self._waiting: list[tuple[TrafficRecord, Message, float | None]] = []

    async def send(self, traffic: Traffic) -> Sent:
        """Send until the time is over, or SIGINT or SIGTERM comes.

        Raises
        ------
        Incompatible
            The topics are missing, or have different numbers of partitions.
        ConfigError, Unavailable
            Kafka refuses, or has been away for a minute.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopped, number)
        names = consumed(self._settings.topic_prefix)
        common_count(names, await partition_counts(self._settings, names))
        try:
            await self._publisher.start()
            with self._progress() as show:
                await self._send(traffic, show)
        finally:
            await self._publisher.stop()
        if self._pace.live:
            self._sent.seconds = time.time() - self._pace.live_since
        return self._sent

    def _stopped(self, number: int) -> None:
        self._sent.stopped_by = number
        self._stop.set()

    async def _send(self, traffic: Traffic, show: Callable[[], None]) -> None:
        now = time.time()
        for record in (each for batch in traffic.batches(size=_BATCH) for each in batch):
            due = self._pace.due(record, now)
            if (due is not None and due > now) or len(self._waiting) >= _BATCH:
                await self._flush()
                show()
                now = await self._sleep_until(due or 0.0)
                if self._stop.is_set():
                    return
            if due is not None and self._over(max(due, now)):
                await self._flush()
                return
            self._waiting.append((record, self._message(record, due), due))

    def _over(self, now: float) -> bool:
        return self._seconds is not None and now >= self._pace.live_since + self._seconds

    async def _sleep_until(self, due: float) -> float:
        """Returns the time; not before `due`, unless it is over or we are to stop."""
        now = time.time()
        if due <= now:
            return now
        until = max(due, now + _TICK_SECONDS)
        if self._seconds is not None and self._pace.live:
            until = min(until, self._pace.live_since + self._seconds)
        try:
            async with asyncio.timeout(max(until - now, 0.0)):
                await self._stop.wait()
        except TimeoutError:
            pass
        return time.time()

    def _message(self, record: TrafficRecord, due: float | None) -> Message:
        value = self._pace.value(record, due)
        if value.startswith(_ID):
            value = _ID + self._run + value[len(_ID) :]
            value = value.replace(_SESSION, _SESSION + self._run, 1)
        return Message(self._settings.topic_prefix + record.topic, record.key, value)

    async def _flush(self) -> None:
        """Publish what waits, and count it once Kafka has it."""
        records, self._waiting = self._waiting, []
        if not records or not await self._unless_stopped(
            self._publish([message for _, message, _ in records])
        ):
            return
        sent, now = self._sent, time.time()
        for record, _, due in records:
            sent.topics[record.topic] += 1
            sent.flaws[record.flaw] += 1
            if due is None:
                sent.history += 1
            else:
                sent.live += 1
                sent.behind_seconds = max(now - due - _TICK_SECONDS, 0.0)

    async def _publish(self, messages: list[Message]) -> None:
        backoff, began = Backoff(), time.monotonic()
        while True:
            try:
                await self._publisher.publish(messages)
            except Unavailable as error:
                if time.monotonic() - began > _PATIENCE_SECONDS:
                    raise
                log.warning("waiting for Kafka: %s", error)
                await backoff.wait()
            else:
                return

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work came to its end, in time if we are to stop."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait({task}, timeout=_GRACE_SECONDS)
            if task.done():
                task.result()
            return task.done()
        finally:
            stop.cancel()
            task.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    @contextmanager
    def _progress(self) -> Iterator[Callable[[], None]]:
        """Yields what shows how far we are: a line that changes, or log lines now and then."""
        console, rate = remarks(), _Rate()
        if not console.is_terminal:
            said = time.monotonic()

            def report() -> None:
                nonlocal said
                if time.monotonic() - said >= _REPORT_SECONDS:
                    said = time.monotonic()
                    log.info("%s", rate.text(self._sent))

            yield report
            return
        with console.status("starting") as status:
            yield lambda: status.update(rate.text(self._sent))


class _Rate:
    """Events a second, lately."""

    def __init__(self) -> None:
        self._since, self._before = time.monotonic(), 0
        self._per_second = 0.0

    def text(self, sent: Sent) -> str:
        total, now = sent.history + sent.live, time.monotonic()
        if now - self._since >= 1.0:
            self._per_second = (total - self._before) / (now - self._since)
            self._since, self._before = now, total
        part = "live" if sent.live else "history"
        behind = f", {sent.behind_seconds:.0f} s behind" if sent.behind_seconds >= 1 else ""
        return f"{part}: {total:,} events, {self._per_second:,.1f} per second{behind}"
