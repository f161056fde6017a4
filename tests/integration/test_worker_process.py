"""`stream-app worker` as a process: how it refuses to start, how it stops, what a kill costs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from stream_app.features.table import LAYOUT
from stream_app.segments.snapshot import Snapshot, write_snapshot
from stream_app.settings import KafkaSettings, RedisSettings, SegmentSettings, Settings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.replay import Outputs, Replay
from stream_app.traffic import Traffic, TrafficConfig
from tests.integration.test_real_input import (
    PARTITIONS,
    UNTIL,
    Replayed,
    accounts,
    by_id,
    outboxes,
    publish,
    read_all,
    sequences_of,
    settled,
    worker_process,
)
from tests.models import save_model
from tests.services import kafka
from tests.services.base import free_port

SHUTDOWN_SECONDS = 20
NOWHERE = "localhost:1"
AWAY_SECONDS = 60.0


@dataclass
class Stack:
    """Where a worker finds its Kafka and Redis."""

    kafka: KafkaSettings
    redis: RedisSettings
    environment: dict[str, str]

    async def create_topics(self, partitions: int = PARTITIONS) -> None:
        prefix = self.kafka.topic_prefix
        await create_topics(self.kafka, topics.with_prefix(prefix), partitions=partitions)


@pytest.fixture
def stack(kafka_bootstrap: str, worker_redis_url: str, topic_prefix: str) -> Stack:
    return stack_at(kafka_bootstrap, worker_redis_url, topic_prefix)


def stack_at(kafka_bootstrap: str, worker_redis_url: str, topic_prefix: str) -> Stack:
    group = f"{topic_prefix}group"
    return Stack(
        KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix, group=group),
        RedisSettings(url=worker_redis_url),  # type: ignore[arg-type]
        {
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
            "STREAM_APP_KAFKA__TOPIC_PREFIX": topic_prefix,
            "STREAM_APP_KAFKA__GROUP": group,
            "STREAM_APP_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "STREAM_APP_REDIS__URL": worker_redis_url,
            "STREAM_APP_SEGMENTS__TRAIN": "false",
            "STREAM_APP_WORKER__SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS),
            "STREAM_APP_WORKER__MAX_BATCH": "40",
            "STREAM_APP_WEB__PORT": "0",
        },
    )


# A start that cannot succeed


async def start(stack: Stack, **environment: str) -> tuple[int, str]:
    """(exit code, stderr) of a worker that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_app", "worker"),
        env={**os.environ, **stack.environment, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, stderr = await process.communicate()
    assert process.returncode is not None
    text = stderr.decode()
    assert "Traceback" not in text, text
    return process.returncode, text


@pytest.mark.parametrize(
    ("name", "value", "code", "said"),
    [
        ("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", NOWHERE, 5, NOWHERE),
        ("STREAM_APP_REDIS__URL", f"redis://:s3cret@{NOWHERE}/0", 5, f"Redis at {NOWHERE}"),
        ("STREAM_APP_WORKER__MAX_BATCH", "0", 3, "worker.max_batch"),
        ("STREAM_APP_KAFKA__GROUP", "", 3, "kafka.group"),
        ("STREAM_APP_WORKER__MAX_BACH", "10", 3, "max_bach"),
    ],
    ids=["Kafka is away", "Redis is away", "value out of range", "empty group", "unknown name"],
)
async def test_what_is_wrong_is_named(
    stack: Stack, name: str, value: str, code: int, said: str
) -> None:
    if code == 5:
        await stack.create_topics()
    found, stderr = await start(stack, **{name: value})
    assert (found, said in stderr) == (code, True), stderr
    assert "s3cret" not in stderr


async def test_a_port_that_is_taken_is_named(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, text = await start(stack, STREAM_APP_WEB__PORT=port)
    assert code == 3
    assert f"port {port}" in text
    assert "STREAM_APP_WEB__PORT" in text


async def test_missing_topics_are_named_with_the_way_to_make_them(stack: Stack) -> None:
    code, stderr = await start(stack)
    assert code == 4, stderr
    assert f"{stack.kafka.topic_prefix}website-visits" in stderr
    assert "stream-app topics create" in stderr


async def test_topics_with_different_numbers_of_partitions_are_refused(stack: Stack) -> None:
    prefix = stack.kafka.topic_prefix
    emails = topics.EMAIL_EVENTS.with_prefix(prefix)
    await create_topics(stack.kafka, [replace(emails, partitions=6)])
    others = [topic for topic in topics.with_prefix(prefix) if topic.name != emails.name]
    await create_topics(stack.kafka, [topic for topic in others if topic.partitions != 1])
    await create_topics(stack.kafka, [topic for topic in others if topic.partitions == 1])
    code, stderr = await start(stack)
    assert code == 4, stderr
    assert f"{prefix}email-events has 6" in stderr


async def test_state_of_another_number_of_partitions_is_refused(stack: Stack) -> None:
    await stack.create_topics(4)
    store = RedisStore(stack.redis)
    await store.register(8, LAYOUT)
    await store.stop()
    code, stderr = await start(stack)
    assert code == 4, stderr
    assert "8 partitions" in stderr


# Stopping and dying under load


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Ten days of visits, and what a replay with a fixed model makes of them."""
    config = TrafficConfig(
        seed=3,
        accounts=150,
        start=datetime(2012, 1, 2, tzinfo=UTC),
        late_rate=0.0,
        malformed_rate=0.0,
        with_type=True,
    )
    records = Traffic(config).records(days=10)
    lines = [record.value for record in records if record.topic == "website-visits"]
    training = Replay(Settings(segments=SegmentSettings(warm_start_vectors=200)))
    training.feed(lines)
    training.finish()
    assert training.assigner is not None
    snapshot: Snapshot = msgspec.structs.replace(training.assigner.snapshot, version=1)
    folder = tmp_path_factory.mktemp("replay")
    with Outputs(folder) as outputs:
        fixed = Replay(Settings(), outputs, snapshot)
        fixed.feed(lines)
        fixed.finish(UNTIL)
    return Replayed(lines, snapshot, folder)


@dataclass
class Run:
    """One run under load."""

    stack: Stack
    store: RedisStore
    replayed: Replayed
    logs: Path

    async def publish(self) -> None:
        await publish(self.stack.kafka, self.replayed.lines)

    async def until(self, applied: int) -> None:
        """Wait until so many records are applied."""

        async def done() -> bool:
            return await self.applied() >= applied

        await eventually(done)

    async def until_owned(self, workers: int) -> None:
        """Wait until all partitions have an owner, and there are so many of them."""

        async def done() -> bool:
            owners = await self.owners()
            return None not in owners and len(set(owners)) >= workers

        await eventually(done)

    async def until_said(self, text: str) -> None:
        """Wait until the worker has logged this."""

        async def done() -> bool:
            return text in (self.logs / "worker.log").read_text()

        await eventually(done)

    async def applied(self) -> int:
        positions = [await self.store.position(p) for p in range(PARTITIONS)]
        return sum(sum(position.offsets.values()) for position in positions)

    async def owners(self) -> list[bytes | None]:
        """Who owns each partition."""
        keys = [f"{self.store._prefix}:{{{p}}}:meta" for p in range(PARTITIONS)]
        return [await self.store._calls.call(key, "HGET", key, "owner") for key in keys]

    async def finish(self, *processes: subprocess.Popen[bytes]) -> None:
        """Wait until everything is done; then everything must be as in the replay."""
        lines = self.replayed.lines
        await settled(self.store, self.stack.kafka, len(lines), list(processes), self.logs)
        changes = await read_all(self.stack.kafka, topics.SEGMENT_CHANGES)
        expected = self.replayed.read("segment-changes")
        assert by_id(changes, "sequence") == by_id(expected, "sequence")
        for account, sequences in sequences_of(changes).items():
            assert sequences == list(range(1, len(sequences) + 1)), account
        spikes = await read_all(self.stack.kafka, topics.INTENT_SPIKES)
        assert by_id(spikes, "number") == by_id(self.replayed.read("intent-spikes"), "number")
        assert await accounts(self.store, self.replayed.snapshot) == {
            account["account_id"]: account for account in self.replayed.read("accounts")
        }


@pytest.fixture
async def made(stack: Stack, replayed: Replayed, tmp_path: Path) -> AsyncIterator[Run]:
    async with run_on(stack, replayed, tmp_path) as run:
        yield run


@asynccontextmanager
async def run_on(stack: Stack, replayed: Replayed, tmp_path: Path) -> AsyncIterator[Run]:
    """Topics and the model."""
    await stack.create_topics()
    store = RedisStore(stack.redis)
    await save_model(store, 1, write_snapshot(replayed.snapshot), b"")
    yield Run(stack, store, replayed, tmp_path)
    await store.stop()


async def test_sigterm_under_load_ends_in_time_and_a_second_worker_goes_on(made: Run) -> None:
    total = len(made.replayed.lines)
    environment = made.stack.environment
    await made.publish()
    with worker_process(environment, made.logs / "first.log") as first:
        await made.until(total // 10)
        first.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(first.wait, SHUTDOWN_SECONDS)
    log = (made.logs / "first.log").read_text()
    assert code == 0, log
    assert "Traceback" not in log, log
    assert total // 10 <= await made.applied() < total, "it was stopped under load"
    assert await outboxes(made.store) == 0
    before = len(await read_all(made.stack.kafka, topics.SEGMENT_CHANGES))
    with worker_process(environment, made.logs / "second.log") as second:
        await made.finish(second)
    changes = await read_all(made.stack.kafka, topics.SEGMENT_CHANGES)
    assert 0 < before < len(changes)
    assert len(changes) == len(by_id(changes, "sequence")), "nothing was published twice"


async def test_a_killed_worker_costs_nothing(made: Run) -> None:
    total = len(made.replayed.lines)
    environment = made.stack.environment
    with (
        worker_process(environment, made.logs / "victim.log") as victim,
        worker_process(environment, made.logs / "other.log") as other,
    ):
        await made.until_owned(workers=2)
        with stopped(other):
            # Who has applied all that there is looks at the clock, for which these events are
            # years old: none may be published after that.
            with stopped(victim):
                await made.publish()
            await made.until(total // 20)
            victim.send_signal(signal.SIGKILL)
            await asyncio.to_thread(victim.wait)
            assert await made.applied() < total, "it was killed under load"
        await made.finish(other)
        assert len(set(await made.owners())) == 1


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process does nothing meanwhile; not for long, or it loses its partitions."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def test_a_broker_that_is_away_for_a_minute_costs_time_but_no_memory(
    replayed: Replayed, redis_url: str, worker_redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """The worker has records in hand when the broker goes. It takes no more of them than the outbox
    may hold, says what it waits for, is not ready, and goes on when the broker is back."""
    outbox_limit, port = 20, free_port()
    with kafka(own=True) as broker:
        stack = stack_at(broker.address, worker_redis_url, topic_prefix)
        stack.environment |= {
            "STREAM_APP_WORKER__OUTBOX_LIMIT": str(outbox_limit),
            "STREAM_APP_WEB__PORT": str(port),
        }
        async with run_on(stack, replayed, tmp_path) as run:
            with worker_process(stack.environment, run.logs / "worker.log") as worker:
                await run.until_owned(workers=1)
                with writes_wait(redis_url):
                    await run.publish()
                    await run.until_said("reading waits")
                    await asyncio.to_thread(broker.kill)
                memory = resident_mib(worker.pid)
                await asyncio.sleep(AWAY_SECONDS)
                assert resident_mib(worker.pid) < memory + 32
                assert await outboxes(run.store) < PARTITIONS * (outbox_limit + 4 * 40)
                assert await run.applied() < len(replayed.lines)
                assert worker.poll() is None
                assert await answer(port, "/health/live") == 200
                assert await answer(port, "/health/ready") == 503
                await asyncio.to_thread(broker.start)
                await run.finish(worker)
                await ready(port)
            log = (run.logs / "worker.log").read_text()
    assert "waits for Kafka to publish" in log
    assert "messages (" in log, "the outbox was full"
    assert len(log.splitlines()) < AWAY_SECONDS * PARTITIONS * 4, "it does not flood the log"


@contextmanager
def writes_wait(redis_url: str) -> Iterator[None]:
    """Redis carries out no write meanwhile, so that records are read but none is applied."""
    with Redis.from_url(redis_url) as client:
        client.client_pause(60_000, all=False)
        try:
            yield
        finally:
            client.client_unpause()


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def answer(port: int, path: str) -> int:
    """The HTTP status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


async def ready(port: int) -> None:
    async def done() -> bool:
        return await answer(port, "/health/ready") == 200

    await eventually(done)


async def eventually(done: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that happens in another process."""
    async with asyncio.timeout(90):
        while not await done():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
