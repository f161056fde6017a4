"""Models in a store, as a trainer leaves them there."""

from __future__ import annotations

from stream_app.streams.ports import StateStore

AT = "2026-03-02T08:00:00Z"


async def save_model(
    store: StateStore,
    version: int,
    snapshot: bytes,
    trainer: bytes | None = None,
    *,
    activate: bool = True,
) -> bool:
    """Store the next version and let workers use it; False: it is not the next one."""
    registry = await store.registry()
    if version != registry.newest + 1:
        return False
    changed = registry.issued(version, by_trainer=True)
    if activate:
        changed = changed.activated(version, AT, "trainer", "trained")
    return await store.update_registry(
        registry, changed, snapshot=(version, snapshot), trainer=trainer
    )


async def newest_version(store: StateStore) -> int:
    """The highest version that was ever issued."""
    return (await store.registry()).newest
