"""Who is measured: the product's worker, and how each contender is started on a load."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.broker import Broker, Watch, Written, drained, finished
from benchmarks.job import document, snapshot
from benchmarks.load import Load
from benchmarks.population import NEW_EVERY, begin_us, fill
from benchmarks.processes import Failed, Program
from stream_app.segments.snapshot import write_snapshot
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.redis_store import RedisStore
from tests.models import save_model


@dataclass(frozen=True)
class Place:
    """Where a run takes place."""

    broker: Broker
    redis_url: str
    folder: Path
    """For logs, state and the job's document."""

    @property
    def job_file(self) -> Path:
        """What peers read; written when it is first asked for."""
        file = self.folder / "job.json"
        if not file.exists():
            file.write_text(json.dumps(document()))
        return file

    def clear_redis(self) -> None:
        """Remove everything from the run's Redis."""
        with Redis.from_url(self.redis_url) as client:
            client.flushdb()


@dataclass(frozen=True)
class Start:
    """How a contender is started on a load, and where it publishes changes."""

    command: Sequence[str]
    environment: Mapping[str, str]
    output: str
    began: Callable[[Program], float]
    """When it had its first events in hand, seconds since 1970."""


Starter = Callable[[Place, str], AbstractAsyncContextManager[Start]]
"""Prepares a start under (place, prefix of the input topics); cleans up at the end."""


@dataclass(frozen=True)
class Contender:
    """One who does the job."""

    name: str
    start: Starter
    patience_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """One drain of a load, from the first event in hand to the last marker's change."""

    events: int
    seconds: float
    cpu_seconds: float
    changes: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Events."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU of one event, microseconds."""
        return 1e6 * self.cpu_seconds / self.events


async def drain(contender: Contender, place: Place, written: Written) -> Run:
    """Let a contender process a whole load from the log's start. Raises Failed."""
    name = f"{contender.name}-{uuid.uuid4().hex[:6]}"
    log = place.folder / f"{name}.log"
    async with (
        contender.start(place, written.prefix) as start,
        place.broker.watching(start.output) as watch,
    ):
        with Program(contender.name, start.command, start.environment, log) as program:
            await wait(watch, program, drained, contender.patience_seconds)
            began, ended = start.began(program), finished(watch)
            cpu_seconds = program.cpu_between(began, ended)
            facts = {"resident_bytes": program.resident_bytes()}
    return Run(written.records, ended - began, cpu_seconds, len(watch.records), facts)


async def wait(
    watch: Watch, program: Program, done: Callable[[Watch], bool], patience_seconds: float
) -> None:
    """Until something was published. Raises Failed when the program ends or takes too long."""
    try:
        await watch.until(done, patience_seconds, program.check)
    except TimeoutError:
        raise Failed(
            f"{program.name} was not done after {patience_seconds:.0f} s, with "
            f"{len(watch.records)} changes published:\n{program.last_words()}"
        ) from None


def worker_settings(bootstrap: str, redis_url: str, prefix: str, name: str) -> Settings:
    """A worker's settings: defaults, but for the training, which no peer does."""
    return Settings.model_validate(_sections(bootstrap, redis_url, prefix, name))


def worker(*, keep: str = "", knows: Load | None = None) -> Contender:
    """`stream-app worker` with all its guarantees.

    `keep`: a deployment that is there and stays; else it begins anew, and nothing is left.
    `knows`: a load most of whose accounts it has known since before; else it begins with nobody.
    """

    @asynccontextmanager
    async def start(place: Place, prefix: str) -> AsyncIterator[Start]:
        own = keep or f"w{uuid.uuid4().hex[:8]}"
        sections = _sections(place.broker.bootstrap, place.redis_url, prefix, own)
        settings = Settings.model_validate(sections)
        if knows is not None:
            await fill(settings, knows.accounts, begin_us(knows), new_every=NEW_EVERY)
        store = RedisStore(settings.redis)
        await store.start()
        await save_model(store, 1, write_snapshot(snapshot()), b"")
        await store.stop()
        yield Start(
            [sys.executable, "-m", "stream_app", "worker", "--json"],
            _environment(sections),
            prefix + topics.SEGMENT_CHANGES.name,
            _claimed,
        )
        if not keep:
            place.clear_redis()

    return Contender("stream-app", start)


def _claimed(program: Program) -> float:
    """When the worker had claimed its first partition, by its log: reading begins there."""
    line = next(line for line in program.wrote().splitlines() if ": claimed with epoch" in line)
    return datetime.fromisoformat(json.loads(line)["time"]).timestamp()


def _sections(bootstrap: str, redis_url: str, prefix: str, name: str) -> dict[str, dict[str, Any]]:
    return {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "group": name},
        "redis": {"url": redis_url, "prefix": name},
        "segments": {"train": False},
        "web": {"port": 0},
    }


def _environment(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        f"STREAM_APP_{section}__{name}".upper(): str(value)
        for section, values in sections.items()
        for name, value in values.items()
    }
