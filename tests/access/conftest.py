"""Servers that know who is who: a Kafka with SASL, TLS and ACLs, a Redis with TLS and ACLs."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from stream_app.settings import KafkaSettings
from stream_app.streams import topics
from stream_app.streams.access import PRINCIPALS
from stream_app.streams.kafka_admin import create_topics
from tests.access.acls import install, printed
from tests.services import Service, ServiceError, redis
from tests.services.base import UnavailableError
from tests.services.certificates import Certificates, make_certificates
from tests.services.secured_kafka import SecuredKafka, secured_kafka

GROUP = KafkaSettings().group


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def secured(certificates: Certificates) -> Iterator[SecuredKafka]:
    """With all topics, and with the rights of deploy/kafka/acls.sh."""
    passwords = {principal.name: secrets.token_hex(16) for principal in PRINCIPALS}
    passwords["stranger"] = secrets.token_hex(16)
    broker = _or_skip(lambda: secured_kafka(certificates, passwords))
    with broker.service:
        admin = KafkaSettings(bootstrap_servers=broker.service.address)
        asyncio.run(install(admin.bootstrap_servers, printed()))
        asyncio.run(create_topics(admin, topics.TOPICS, partitions=2))
        yield broker


@pytest.fixture(scope="session")
def tls_redis(certificates: Certificates) -> Iterator[Service]:
    """It asks every client for a certificate, too."""
    with _or_skip(lambda: redis(own=True, certificates=certificates)) as service:
        yield service


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Service]:
    """A Redis without TLS, whose users may be changed."""
    with redis(own=True) as service:
        yield service


@pytest.fixture
def admin(own_redis: Service) -> Iterator[Redis]:
    with Redis.from_url(own_redis.url) as client:
        client.flushall()
        yield client


def kafka_as(secured: SecuredKafka, user: str, protocol: str = "SASL_SSL", **more: Any) -> Any:
    """Settings of a user who does everything right."""
    given: dict[str, Any] = {
        "bootstrap_servers": secured.listeners[protocol],
        "security_protocol": protocol,
        "sasl_username": user,
        "sasl_password": SecretStr(secured.passwords[user]),
        "request_timeout_ms": 5_000,
    }
    if protocol == "SASL_SSL":
        given["ssl_ca_file"] = str(secured.certificates.ca)
    return KafkaSettings(**{**given, **more})


def _or_skip(make: Callable[[], Any]) -> Any:
    """What only Java, Maven and a redis-server with TLS can give. On CI it must be there."""
    try:
        return make()
    except (UnavailableError, ServiceError) as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(f"not checked here: {error}")


UNCLOSED = [
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.usefixtures("_collected"),
]
"""For tests in which TLS fails. An event loop that ends then leaves the connection not quite
closed, and Python says so when it collects it. Tests of other modules must not hear of that."""


@pytest.fixture(scope="module")
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands that are called in this process set up logging."""
    root, ours = logging.getLogger(), logging.getLogger("stream_app")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
