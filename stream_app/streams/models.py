"""The snapshot that a worker uses, and how it notices that another one came into use."""

from __future__ import annotations

import asyncio
import logging

from stream_app.errors import SnapshotRefused
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, read_snapshot
from stream_app.streams.metrics import Metrics
from stream_app.streams.ports import StateStore

log = logging.getLogger(__name__)


class Models:
    """Holds the active snapshot, or if that does not fit this program, the last one that did."""

    def __init__(self, store: StateStore, hysteresis: Hysteresis, metrics: Metrics) -> None:
        self._store, self._hysteresis, self._metrics = store, hysteresis, metrics
        self._seen, self._data = 0, b""
        self._asking = asyncio.Lock()
        """One question at a time: an answer that comes late must not bring back a former model."""
        self.assigner: Assigner | None = None
        """None: there is no model yet."""

    async def refresh(self, *, anew: bool = False) -> None:
        """Fetch the active snapshot if it is another one than before, newer or older. `anew`:
        also when it has the same number, because a store that was set back gives numbers a second
        time.

        A snapshot that does not fit is refused, with a log line and a metric, and the one in use
        stays. Raises `Unavailable` when the store does not answer.
        """
        async with self._asking:
            await self._refresh(anew)

    async def _refresh(self, anew: bool) -> None:
        registry = await self._store.registry()
        self._metrics.model_active.set(registry.active)
        self._metrics.models_waiting.set(len(registry.waiting))
        if not anew and registry.active == self._seen:
            return
        found = await self._store.snapshot(registry.active)
        if found is None or found == (self._seen, self._data):
            return
        self._seen, self._data = found
        try:
            snapshot = read_snapshot(self._data)
        except SnapshotRefused as error:
            self._metrics.snapshots_refused.inc()
            log.error("model version %d refused: %s %s", self._seen, error, error.hint)  # noqa: TRY400
            return
        self.assigner = Assigner(snapshot, self._hysteresis)
        self._metrics.model_version.set(snapshot.version)
        log.info("using model version %d", snapshot.version)
