"""Fixtures that every test may use."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from redis import Redis

from tests.native.paths import taking
from tests.services import Service, ServiceError, kafka, redis
from tests.services.redis_users import WORKER, as_user, install_users

# A property is slow on a busy machine without being wrong. On CI the same examples every time.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses a server is an integration test."""
    for item in items:
        if {"kafka_service", "redis_service"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session", autouse=True)
def _developers_settings_do_not_leak() -> Iterator[None]:
    """A test sees the default settings, whatever the developer's shell has set for the app."""
    with pytest.MonkeyPatch.context() as patch:
        kept = ("STREAM_APP_NATIVE", "STREAM_APP_TEST_")
        for name in list(os.environ):
            if name.startswith("STREAM_APP_") and not name.startswith(kept):
                patch.delenv(name)
        yield


@pytest.fixture(params=["native", "python"])
def both_paths(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs twice: with the compiled extension, and in pure Python."""
    path: str = request.param
    with taking(path):
        yield path


@pytest.fixture(scope="session")
def kafka_service() -> Iterator[Service]:
    """The Kafka that all tests share. Do not stop it: use `kafka(own=True)` for that."""
    yield from _running(kafka)


@pytest.fixture(scope="session")
def redis_service() -> Iterator[Service]:
    """The Redis that all tests share. Do not stop it: use `redis(own=True)` for that."""
    yield from _running(redis)


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_service: Service) -> str:
    """host:port of Kafka. Topics stay from test to test, so use `topic_prefix`."""
    return kafka_service.address


@pytest.fixture
def topic_prefix() -> str:
    """A new prefix for the names of topics and groups, for this test alone."""
    return f"test-{uuid.uuid4().hex[:8]}."


@pytest.fixture
def redis_url(redis_service: Service) -> str:
    """URL of an empty Redis database, for an administrator."""
    with Redis.from_url(redis_service.url) as client:
        client.flushdb()
    return redis_service.url


@pytest.fixture
def worker_redis_url(redis_service: Service, redis_url: str) -> str:
    """URL of that database for the user that workers have: keys begin with `sa:`."""
    if redis_service.pid is None:
        with Redis.from_url(redis_url) as client:
            install_users(client)
    return as_user(redis_url, WORKER)


def _running(make: Callable[[], Service]) -> Iterator[Service]:
    try:
        with make() as service:
            yield service
    except ServiceError as error:
        pytest.fail(str(error), pytrace=False)
