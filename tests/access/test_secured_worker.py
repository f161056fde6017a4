"""A worker with SASL, TLS, ACLs and a token, from the first record to its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from stream_app.cli.program import run
from stream_app.settings import KafkaSettings
from stream_app.streams import topics
from stream_app.streams.access import grants
from stream_app.streams.kafka_admin import connection, create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.ports import Message
from stream_app.traffic import Traffic, TrafficConfig
from tests.access.acls import install
from tests.access.conftest import kafka_as
from tests.services import Service
from tests.services.base import free_port
from tests.services.certificates import KEY_PASSWORD
from tests.services.redis_users import PASSWORDS
from tests.services.redis_users import WORKER as REDIS_WORKER
from tests.services.secured_kafka import SecuredKafka

PREFIX, GROUP = "secured.", "secured-group"
TOKEN = "a-token-of-the-secured-worker"
USER = "stream-app-worker"

pytestmark = pytest.mark.integration


@dataclass
class Secured:
    """A running worker and what it was given."""

    environment: dict[str, str]
    secrets: tuple[str, ...]
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def arguments(self) -> str:
        """What `ps` shows of it, on Linux."""
        file = Path(f"/proc/{self.process.pid}/cmdline")
        return file.read_text() if file.exists() else ""

    async def get(self, path: str, token: str | None = None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status, await answer.text()

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                assert self.process.poll() is None, self.log.read_text()
                try:
                    if (await self.get("/health/ready"))[0] == 200:
                        return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)  # what is awaited happens in another process


@pytest.fixture
async def secured_topics(secured: SecuredKafka) -> SecuredKafka:
    """Topics of this module's own, with the same rights as the others."""
    wanted = topics.with_prefix(PREFIX)
    await install(secured.service.address, grants(wanted, GROUP))
    admin = kafka_as(secured, "stream-app-admin", topic_prefix=PREFIX)
    await create_topics(admin, wanted, partitions=2)
    return secured


@pytest.fixture
def given(secured: SecuredKafka, tls_redis: Service, tmp_path: Path) -> dict[str, str]:
    """Settings of the worker, its secrets in files."""
    client = secured.certificates.client
    files = {
        "KAFKA__SASL_PASSWORD": secured.passwords[USER],
        "REDIS__PASSWORD": PASSWORDS[REDIS_WORKER],
        "REDIS__SSL_KEY_PASSWORD": KEY_PASSWORD,
        "WEB__TOKEN": TOKEN,
    }
    for name, secret in files.items():
        (tmp_path / name).write_text(f"{secret}\n")
    return {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": secured.listeners["SASL_SSL"],
        "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "STREAM_APP_KAFKA__SASL_USERNAME": USER,
        "STREAM_APP_KAFKA__SSL_CA_FILE": str(secured.certificates.ca),
        "STREAM_APP_KAFKA__TOPIC_PREFIX": PREFIX,
        "STREAM_APP_KAFKA__GROUP": GROUP,
        "STREAM_APP_REDIS__URL": f"rediss://{tls_redis.address}/0",
        "STREAM_APP_REDIS__USERNAME": REDIS_WORKER,
        "STREAM_APP_REDIS__SSL_CA_FILE": str(secured.certificates.ca),
        "STREAM_APP_REDIS__SSL_CERT_FILE": str(client.certificate),
        "STREAM_APP_REDIS__SSL_KEY_FILE": str(client.key),
        "STREAM_APP_SEGMENTS__WARM_START_VECTORS": "50",
        "STREAM_APP_LOG_LEVEL": "debug",
        "STREAM_APP_WEB__PORT": str(free_port()),
        **{f"STREAM_APP_{name}_FILE": str(tmp_path / name) for name in files},
    }


@pytest.fixture
def worker(
    secured_topics: SecuredKafka, given: dict[str, str], tmp_path: Path
) -> Iterator[Secured]:
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "worker"],
            env={**os.environ, **given},
            stdout=file,
            stderr=file,
        )
    secrets = (secured_topics.passwords[USER], PASSWORDS[REDIS_WORKER], KEY_PASSWORD, TOKEN)
    port = int(given["STREAM_APP_WEB__PORT"])
    try:
        yield Secured(given, secrets, port, process, log)
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def reading(settings: KafkaSettings, topic: topics.Topic) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        topic.with_prefix(PREFIX).name,
        **connection(settings, "test"),
        group_id=f"{settings.sasl_username}-{topic.name}",
        auto_offset_reset="earliest",
    )
    async with consumer:
        yield consumer


async def test_it_works_with_no_more_rights_than_are_granted(
    secured: SecuredKafka, worker: Secured, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    await worker.until_ready()
    await publish(kafka_as(secured, "stream-app-producer"))
    consumer = kafka_as(secured, "stream-app-consumer")
    async with asyncio.timeout(60):
        async with reading(consumer, topics.SEGMENT_CHANGES) as changes:
            assert json.loads((await changes.getone()).value)["sequence"] == 1
        async with reading(consumer, topics.SEGMENT_MODELS) as models:  # so the trainer works, too
            assert json.loads((await models.getone()).value)["version"] == 1

    assert (await worker.get("/metrics"))[0] == 401
    status, metrics = await worker.get("/metrics", TOKEN)
    assert status == 200
    assert 'stream_app_records_total{topic="secured.website-visits"}' in metrics

    for name, value in worker.environment.items():
        monkeypatch.setenv(name, value)
    code = await asyncio.to_thread(run, ["doctor", "--json"])
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)}
    assert code == 0, checks
    assert "SASL_SSL, user stream-app-worker by SCRAM-SHA-512" in checks["kafka access"]["detail"]
    assert "user stream-app-worker, encrypted" in checks["redis access"]["detail"]
    assert "with a client certificate" in checks["redis access"]["detail"]
    assert "asks for the token" in checks["http port"]["detail"]
    assert checks["workers"]["detail"].startswith(f"1 in the group {GROUP}, heard from in the last")

    shown = worker.arguments()
    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, 30) == 0, worker.log.read_text()
    log = worker.log.read_text()
    assert "Traceback" not in log, log
    assert "DEBUG" in log
    for secret in worker.secrets:
        assert secret not in log + str(checks) + shown


async def publish(producer: KafkaSettings) -> None:
    """Visits of a few days, as a producer sends them."""
    start = datetime.now(UTC) - timedelta(days=4)
    traffic = Traffic(TrafficConfig(seed=5, accounts=150, start=start))
    sender = KafkaPublisher(producer)
    await sender.publish(
        [Message(PREFIX + r.topic, r.key, r.value) for r in traffic.records(days=3)][:4_000]
    )
    await sender.stop()
