"""Every store test runs over both adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stream_app.streams.ports import StateStore
from tests.conformance.stores import Backend, InMemory, InRedis


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param == "memory":
        yield InMemory()
        return
    urls = (request.getfixturevalue(name) for name in ("redis_url", "worker_redis_url"))
    in_redis = InRedis(*urls)
    yield in_redis
    await in_redis.close()


@pytest.fixture
async def store(backend: Backend) -> StateStore:
    return await backend.store()
