"""The servers that the other integration tests stand on."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition
from redis.asyncio import Redis

from stream_app.streams.ports import Commit
from tests.conformance.redis_help import store_at
from tests.services import Service, ServiceError, kafka, redis
from tests.services.redis import wheel_runs_here

REPOSITORY = Path(__file__).parents[2]


async def test_kafka_returns_what_was_sent(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}round-trip"
    await create(kafka_bootstrap, topic)
    await send(kafka_bootstrap, topic, b"value")
    assert await read(kafka_bootstrap, topic) == [b"value"]


async def test_a_consumer_group_reads_from_kafka(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}group"
    await create(kafka_bootstrap, topic)
    await send(kafka_bootstrap, topic, b"value")
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka_bootstrap,
        group_id=topic,
        auto_offset_reset="earliest",
    )
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), timeout=20)
    assert record.value == b"value"


async def test_kafka_takes_records_of_megabytes(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}large"
    await create(kafka_bootstrap, topic)
    large = bytes(4 * 1024 * 1024)
    await send(kafka_bootstrap, topic, large)
    assert await read(kafka_bootstrap, topic) == [large]


async def test_redis_returns_what_was_set(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.set("key", "value")
        assert await client.get("key") == b"value"


@pytest.mark.parametrize("round_", [1, 2])
async def test_every_test_gets_an_empty_redis(redis_url: str, round_: int) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("left over", round_)


@pytest.mark.integration
async def test_kafka_keeps_its_data_when_killed(topic_prefix: str) -> None:
    topic = f"{topic_prefix}restart"
    broker = await asyncio.to_thread(kafka, own=True)
    with broker:
        await create(broker.address, topic)
        await send(broker.address, topic, b"before")
        pid = broker.pid
        await asyncio.to_thread(broker.restart)
        assert broker.pid not in {None, pid}
        await send(broker.address, topic, b"after")
        assert await read(broker.address, topic, count=2) == [b"before", b"after"]


@pytest.mark.integration
async def test_redis_keeps_its_data_when_killed_and_when_stopped() -> None:
    with redis(own=True) as store:
        for stop in (store.kill, store.stop):
            async with Redis.from_url(store.url) as client:
                await client.incr("lives")
            stop()
            assert store.pid is None
            store.start()
        async with Redis.from_url(store.url) as client:
            assert await client.get("lives") == b"2"


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_server_survives_the_process_that_started_it(number: signal.Signals) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAM_APP_TEST_")}
    command = [sys.executable, "-m", "tests.services"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        settings = dict(
            parent.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(4)
        )
        addresses = [
            settings["STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"],
            urlsplit(settings["STREAM_APP_REDIS__URL"]).netloc.rpartition("@")[2],
        ]
        assert all(is_open(address) for address in addresses)
        parent.send_signal(number)
    assert parent.returncode == (0 if number == signal.SIGINT else -number)
    deadline = time.monotonic() + 10
    while any(is_open(address) for address in addresses):
        assert time.monotonic() < deadline, "a server outlived its parent"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("variable", "address", "make"),
    [
        ("STREAM_APP_TEST_KAFKA", "127.0.0.1:1", kafka),
        ("STREAM_APP_TEST_REDIS", "redis://127.0.0.1:1/0", redis),
    ],
)
def test_a_named_server_that_does_not_answer_is_an_error(
    variable: str, address: str, make: Callable[[], Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(ServiceError, match=f"{variable} names .* does not answer"):
        make().start()


def test_a_named_server_is_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_TEST_REDIS", "redis://127.0.0.1:1/0")
    with pytest.raises(ServiceError, match="not ours to stop"):
        redis().kill()


def test_without_any_way_to_kafka_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("STREAM_APP_TEST_KAFKA", "JAVA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match=r"no java command(.|\n)*apt-get install openjdk"):
        kafka()


def test_without_any_way_to_redis_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STREAM_APP_TEST_REDIS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(platform, "system", lambda: "Elsewhere")
    with pytest.raises(ServiceError, match=r"x86-64 only(.|\n)*install redis"):
        redis()


@pytest.mark.integration
@pytest.mark.skipif(not wheel_runs_here(), reason="the wheel is for another platform")
async def test_redis_from_the_wheel_runs_the_commands_that_the_state_store_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    store = await asyncio.to_thread(redis, own=True)
    with store:
        state = store_at(store.url)
        await state.start()
        at = (await state.claim(0, "owner")).position
        assert (await state.commit(0, Commit(at, {"a": 1}, 0, 0, outbox=[b"1"]))).revision == 1
        await state.stop()


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        settings = {"max.message.bytes": str(8 * 1024 * 1024)}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        max_request_size=8 * 1024 * 1024,
    )
    async with producer:
        await producer.send_and_wait(topic, value)


async def read(bootstrap: str, topic: str, *, count: int = 1) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]


def is_open(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) == 0
