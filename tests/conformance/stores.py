"""The stores under test, and how to look into them from outside."""

from __future__ import annotations

import copy
import time
from typing import Any, Protocol

from pydantic import SecretStr
from redis.asyncio import Redis

from stream_app.settings import RedisSettings
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.ports import StateStore
from stream_app.streams.redis_store import RedisStore

ALL_BYTES = bytes(range(256))


class Backend(Protocol):
    """An adapter under test."""

    async def store(self) -> StateStore:
        """A further client of the same data."""

    async def picture(self) -> Any:
        """Everything that is stored, to be compared."""

    async def set_back(self) -> None:
        """To what it was before anything was stored."""


class InMemory:
    def __init__(self) -> None:
        self.one = MemoryStore(lambda: time.time_ns() // 1_000)

    async def store(self) -> StateStore:
        return self.one

    async def picture(self) -> Any:
        return copy.deepcopy(vars(self.one))

    async def set_back(self) -> None:
        self.one._partitions.clear()


class InRedis:
    """Stores log in as workers do (deploy/redis/users.acl)."""

    def __init__(self, url: str, worker_url: str) -> None:
        self.admin = Redis.from_url(url)
        self.settings = RedisSettings(url=SecretStr(worker_url), load_chunk=100)
        self.stores: list[RedisStore] = []

    async def store(self) -> StateStore:
        store = RedisStore(self.settings)
        self.stores.append(store)
        await store.start()
        return store

    async def picture(self) -> Any:
        return {key: await self.admin.dump(key) for key in await self.admin.keys("*")}

    async def set_back(self) -> None:
        await self.admin.flushdb()

    async def close(self) -> None:
        for store in self.stores:
            await store.stop()
        await self.admin.aclose()
