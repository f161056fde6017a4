"""The trainer beside its world: samples in, snapshots to the store and to `segment-models`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import msgspec

from stream_app.changes.types import FeatureSample, Why
from stream_app.errors import SnapshotRefused, StreamAppError, Unavailable, UsageError
from stream_app.events.instants import parse, to_rfc3339
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.renaming import user_names
from stream_app.segments.snapshot import Snapshot, read_snapshot, write_snapshot
from stream_app.segments.trainer import Trainer
from stream_app.settings import Settings
from stream_app.streams.announcing import announce
from stream_app.streams.backoff import Backoff
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Clock, Publisher, StateStore
from stream_app.streams.registry import BY_TRAINER, Registry

log = logging.getLogger(__name__)

_CHECKPOINT_VECTORS = 1_000
"""Vectors learnt between two checkpoints without a snapshot: what a crash may forget."""

_decode = msgspec.json.Decoder(FeatureSample).decode


class Training:
    """Feeds the trainer. Exactly one should be active; if there are two for a moment, the store
    accepts each version from one of them only, and the other starts again from what is stored."""

    def __init__(
        self,
        settings: Settings,
        store: StateStore,
        publisher: Publisher,
        messages: Messages,
        clock: Clock,
    ) -> None:
        self._segments, self._health = settings.segments, settings.health
        self._store, self._publisher, self._messages = store, publisher, messages
        self._clock = clock
        self._trainer: Trainer | None = None
        self._trained = 0
        """The newest version of a trainer that this one goes on from."""
        self._active = 0
        """The version that it learns from, or refused to; 0: to be looked for."""
        self._asked = 0
        """The request for a refit that the trainer was told of last."""
        self._saved_at = 0

    async def run(self, batches: AsyncIterator[Sequence[bytes]]) -> None:
        """Learn batches of samples until there are no more. While the store or the log is away,
        samples are lost and the model is not. After any other failure training has ended, with a
        log line that says why; batches are still taken, and events go on with the model as it is.
        """
        backoff, learns = Backoff(), True
        async for samples in batches:
            if not learns:
                continue
            try:
                await self.learn(samples)
                backoff.reset()
            except Unavailable as error:
                log.warning("the trainer waits: %s", error)
                await backoff.wait()
            except StreamAppError as error:
                learns = False
                log.error("training has ended: %s; %s", error, error.hint)  # noqa: TRY400
            except Exception:
                learns = False
                log.exception("training has ended, by an error of this program; please report it")

    async def learn(self, samples: Sequence[bytes]) -> Snapshot | None:
        """Learn samples (JSON of `FeatureSample`) in order; a sample that cannot be read, or has
        other dimensions than this program's, is skipped, with a log line. Returns the snapshot
        that was published, if one was due.

        Raises
        ------
        Unavailable
            The store or the log did not answer. Samples may be lost; the model is not.
        Incompatible
            The stored checkpoint belongs to other features.
        """
        try:
            registry = await self._announce(await self._store.registry())
            trainer = await self._trainer_at(registry)
            read = [sample for data in samples if (sample := _read(data)) is not None]
            if not read:
                return None
            vectors, at_us = [vector for vector, _ in read], [instant for _, instant in read]
            # In a thread: a warm start takes a second, and heartbeats share the loop.
            snapshot = await asyncio.to_thread(trainer.learn, vectors, at_us)
            if snapshot is not None:
                return await self._issue(trainer, snapshot, registry)
            if trainer.vectors - self._saved_at >= _CHECKPOINT_VECTORS:
                await self._save(trainer)
        except BaseException:
            self._trainer = None  # begin again from what is stored
            raise
        return None

    async def _trainer_at(self, registry: Registry) -> Trainer:
        """The trainer, as far as the registry has come."""
        if self._trainer is not None and registry.trained != self._trained:
            log.warning("models were issued by another trainer since version %d", self._trained)
            self._trainer = None
        trainer = self._trainer
        if trainer is None:
            checkpoint = await self._store.trainer_checkpoint()
            trainer = Trainer(self._segments, checkpoint, self._health)
            self._trained, self._saved_at = registry.trained, trainer.vectors
            self._active = self._asked = 0
        if registry.active != self._active:
            await self._follow(trainer, registry.active)
        trainer.version = registry.newest  # operators issue versions, too
        if registry.refit_asked and registry.refits_asked != self._asked:
            trainer.request_refit()
            self._asked = registry.refits_asked
        self._trainer = trainer
        return trainer

    async def _follow(self, trainer: Trainer, version: int) -> None:
        """Learn on from the version that is in use, with the names that people gave. One that
        does not fit is refused, as workers do, and the trainer goes on from what it has."""
        found = await self._store.snapshot(version)
        self._active = version
        if found is None:
            return
        try:
            snapshot = read_snapshot(found[1])
        except SnapshotRefused as error:
            log.error("the trainer does not follow: %s %s", error, error.hint)  # noqa: TRY400
            return
        trainer.user_names = user_names(snapshot)
        if trainer.active != version:
            log.info("the trainer goes on from model version %d", version)
            trainer.follow(snapshot)

    async def _issue(
        self, trainer: Trainer, snapshot: Snapshot, registry: Registry
    ) -> Snapshot | None:
        moved = snapshot.cause == "online"
        if registry.pinned:
            self._active = 0  # follow it again
            if moved:  # many such would hide what was chosen anew
                return None
        changed = registry.issued(snapshot.version, by_trainer=True)
        if snapshot.cause == "requested":
            changed = changed.with_refits_done()
        if not registry.pinned and (moved or self._by_itself(snapshot)):
            why: Why = "moved" if moved else "trained"
            now = to_rfc3339(self._clock.now_us())
            changed = changed.activated(snapshot.version, now, BY_TRAINER, why)
            self._active = snapshot.version
        saved = await self._store.update_registry(
            registry,
            changed,
            snapshot=(snapshot.version, write_snapshot(snapshot)),
            trainer=trainer.checkpoint(),
        )
        if not saved:
            log.warning("model version %d was issued by somebody else", snapshot.version)
            self._trainer = None
            return None
        self._trained, self._saved_at = snapshot.version, trainer.vectors
        names = ", ".join(segment.name for segment in snapshot.segments)
        log.info("model version %d after %d vectors: %s", snapshot.version, snapshot.vectors, names)
        await self._announce(changed.next())
        return snapshot

    def _by_itself(self, snapshot: Snapshot) -> bool:
        """Whether segments chosen anew are used without asking anybody."""
        return self._segments.activation == "automatic" or snapshot.cause == "warm_start"

    async def _announce(self, registry: Registry) -> Registry:
        return await announce(registry, self._store, self._publisher, self._messages)

    async def _save(self, trainer: Trainer) -> None:
        """Store the checkpoint, unless somebody else trains by now: it would undo his."""
        if (await self._store.registry()).trained != self._trained:
            log.warning("models were issued by another trainer since version %d", self._trained)
            self._trainer = None
            return
        await self._store.save_trainer_checkpoint(trainer.checkpoint())
        self._saved_at = trainer.vectors


def _read(data: bytes) -> tuple[list[float], int] | None:
    """(vector, instant) of a sample."""
    try:
        sample = _decode(data)
        if len(sample.vector) != len(MODEL_VECTOR):
            raise ValueError(f"{len(sample.vector)} dimensions, not {len(MODEL_VECTOR)}")
        return sample.vector, parse(sample.at)
    except (msgspec.DecodeError, UsageError, ValueError) as error:
        log.warning("a feature sample could not be read: %s", error)
        return None
