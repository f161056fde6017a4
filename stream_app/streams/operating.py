"""What people decide about the model: which version is in use, what a segment is called.

Each decision reads the registry once and writes once. If somebody else changed it in between,
nothing is written, and the person looks again. A snapshot is checked before it comes into use.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from stream_app.errors import NotFound, StreamAppError
from stream_app.events.instants import to_rfc3339
from stream_app.segments.renaming import keep_user_names, rename, user_names
from stream_app.segments.snapshot import Snapshot, read_snapshot, write_snapshot
from stream_app.streams.announcing import announce
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Clock, Publisher, StateStore
from stream_app.streams.registry import Registry


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision led to."""

    registry: Registry
    previous: int
    """The version that was in use before."""
    unannounced: StreamAppError | None = None
    """Why `segment-models` does not have it yet; the trainer will publish it."""

    @property
    def changed(self) -> bool:
        """Whether another version is in use now."""
        return self.registry.active != self.previous


class Operating:
    """Decisions of one person.

    Parameters
    ----------
    by
        Who decides, for the history.
    """

    def __init__(
        self,
        store: StateStore,
        publisher: Publisher,
        messages: Messages,
        clock: Clock,
        by: str,
    ) -> None:
        self._store, self._publisher, self._messages = store, publisher, messages
        self._clock, self._by = clock, by

    async def activate(self, version: int, *, pin: bool = False) -> Outcome:
        """Let workers use a version, and keep it if `pin`. One that waited takes along the names
        that people gave to segments meanwhile: then a copy with these names comes into use.

        Raises
        ------
        NotFound
            It is not stored.
        SnapshotRefused
            It does not fit this program. Nothing was changed.
        StreamAppError
            Somebody else changed the model at the same time. Nothing was changed.
        """
        registry = await self._store.registry()
        snapshot = await self._fitting(registry, version)
        changed, copied = registry, None
        if version in registry.waiting and registry.active:
            active = await self._fitting(registry, registry.active)
            copied = keep_user_names(snapshot, active, registry.newest + 1)
        if copied is not None:
            version, changed = copied.version, changed.issued(copied.version, by_trainer=False)
        if version != registry.active:
            changed = changed.activated(version, self._now(), self._by, "activated")
        if pin:
            changed = changed.with_pin(pinned=True)
        return await self._write(registry, changed, copied)

    async def roll_back(self, *, pin: bool = False) -> Outcome:
        """Go back to the version that was in use before. Raises as `activate` does."""
        registry = await self._store.registry()
        if not registry.before:
            raise NotFound(
                "no version was in use before this one, or it is not stored any more",
                hint=_there_are(registry),
            )
        await self._fitting(registry, registry.before)
        changed = registry.activated(registry.before, self._now(), self._by, "rolled_back")
        return await self._write(registry, changed.with_pin(pinned=pin or registry.pinned))

    async def pin(self, *, pinned: bool) -> Outcome:
        """Keep the active version until somebody says otherwise, or not any more."""
        registry = await self._store.registry()
        if not registry.active:
            raise _no_model()
        return await self._write(registry, registry.with_pin(pinned=pinned))

    async def rename(self, segment: int, name: str) -> Outcome:
        """Give a segment of the active version a name that stays. Nothing changes if a person gave
        it that name before.

        Raises
        ------
        NotFound
            There is no such segment.
        UsageError
            The name will not do.
        StreamAppError
            As `activate`.
        """
        registry = await self._store.registry()
        if not registry.active:
            raise _no_model()
        active = await self._fitting(registry, registry.active)
        named = rename(active, segment, name)
        if user_names(named) == user_names(active):
            return Outcome(registry, registry.active)
        renamed = replace(named, version=registry.newest + 1, created_at=self._now())
        changed = registry.issued(renamed.version, by_trainer=False)
        changed = changed.activated(renamed.version, self._now(), self._by, "renamed")
        return await self._write(registry, changed, renamed)

    async def ask_for_refit(self) -> Outcome:
        """Ask the trainer to choose the segments anew."""
        registry = await self._store.registry()
        if not registry.active:
            raise _no_model()
        return await self._write(registry, registry.with_refit_asked())

    async def _fitting(self, registry: Registry, version: int) -> Snapshot:
        return await fitting(self._store, registry, version)

    async def _write(
        self, seen: Registry, changed: Registry, snapshot: Snapshot | None = None
    ) -> Outcome:
        if changed == seen:
            return Outcome(seen, seen.active)
        stored = None if snapshot is None else (snapshot.version, write_snapshot(snapshot))
        if not await self._store.update_registry(seen, changed, snapshot=stored):
            raise StreamAppError(
                "somebody else changed the model at the same time; nothing was done",
                hint="look at `stream-app model list`, and decide again",
            )
        try:
            written = await announce(changed.next(), self._store, self._publisher, self._messages)
        except StreamAppError as error:  # it is decided all the same
            return Outcome(changed.next(), seen.active, error)
        return Outcome(written, seen.active)

    def _now(self) -> str:
        return to_rfc3339(self._clock.now_us())


async def fitting(store: StateStore, registry: Registry, version: int) -> Snapshot:
    """A stored version. Raises NotFound, or SnapshotRefused if it does not fit this program.
    Version 0, as the one in use, means that there is none."""
    if not version:
        raise _no_model()
    found = await store.snapshot(version) if version in registry.versions else None
    if found is None:
        raise NotFound(f"model version {version} is not stored", hint=_there_are(registry))
    return read_snapshot(found[1])


def _there_are(registry: Registry) -> str:
    if not registry.versions:
        return "the first version comes when the trainer has seen enough"
    listed = ", ".join(map(str, registry.versions[-10:]))
    more = len(registry.versions) - 10
    return f"there are {listed}" + (f" and {more} older ones" if more > 0 else "")


def _no_model() -> NotFound:
    return NotFound(
        "there is no model yet", hint="the first version comes when the trainer has seen enough"
    )
