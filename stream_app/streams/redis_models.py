"""What Redis has of the model:

    sa:{model}:registry     hash: revision, document (JSON of `Registry`)
    sa:{model}:snapshots    hash: version -> snapshot
    sa:{model}:meta         hash: trainer, the trainer's checkpoint

They are keys of their own so that operators can be let into the first two alone.
"""

from __future__ import annotations

import msgspec

from stream_app.errors import Incompatible
from stream_app.streams.redis_calls import RedisCalls, Script
from stream_app.streams.registry import NEWEST_KEPT, Registry

_UPDATE = Script.read("update_registry.lua")


class RedisModels:
    """The part of `StateStore` that concerns the model."""

    def __init__(self, calls: RedisCalls, prefix: str) -> None:
        self._calls, self._prefix = calls, prefix
        tag = f"{prefix}:{{model}}"
        self._registry_key, self._snapshots_key, self._meta_key = (
            f"{tag}:{kind}" for kind in ("registry", "snapshots", "meta")
        )

    async def registry(self) -> Registry:
        key = self._registry_key
        stored = await self._calls.call(key, "HGET", key, "document")
        if stored is None:
            return await self._before_registries()
        try:
            return msgspec.json.decode(stored, type=Registry)
        except msgspec.DecodeError as error:
            raise Incompatible(
                f"{key} in Redis is no registry of models: {error}",
                hint="use the version of stream-app that the workers run",
            ) from None

    async def _before_registries(self) -> Registry:
        """As versions of this program stored it that always used the newest model."""
        key = self._meta_key
        newest = int(await self._calls.call(key, "HGET", key, "version") or 0)
        return Registry(
            newest=newest,
            trained=newest,
            active=newest,
            versions=tuple(range(max(newest - NEWEST_KEPT, 0) + 1, newest + 1)),
            announced_versions=newest,
        )

    async def snapshot(self, version: int | None = None) -> tuple[int, bytes] | None:
        if version is None:
            version = (await self.registry()).active
        key = self._snapshots_key
        stored = await self._calls.call(key, "HGET", key, version)
        return None if stored is None else (version, stored)

    async def update_registry(
        self,
        expected: Registry,
        changed: Registry,
        *,
        snapshot: tuple[int, bytes] | None = None,
        trainer: bytes | None = None,
    ) -> bool:
        written = changed.next()
        dropped = sorted(set(expected.versions).difference(changed.versions))
        return bool(
            await self._calls.script(
                _UPDATE,
                [self._registry_key, self._snapshots_key, self._meta_key],
                *(expected.revision, written.revision),
                msgspec.json.encode(written),
                *(snapshot or ("", "")),
                trainer or b"",
                *dropped,
            )
        )

    async def trainer_checkpoint(self) -> bytes | None:
        key = self._meta_key
        stored: bytes | None = await self._calls.call(key, "HGET", key, "trainer")
        return stored

    async def save_trainer_checkpoint(self, trainer: bytes) -> None:
        key = self._meta_key
        await self._calls.call(key, "HSET", key, "trainer", trainer, write=True)
