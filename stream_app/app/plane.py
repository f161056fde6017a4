"""The data plane as a service of the Faust application."""

from __future__ import annotations

import gc
from typing import Any

from mode import Service

from stream_app.streams.worker import Worker


class DataPlane(Service):
    """Runs a `Worker` for as long as the application runs; stops the application when it fails."""

    def __init__(self, worker: Worker, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.worker = worker

    async def on_start(self) -> None:
        await self.worker.start()
        # What the program itself consists of stays for ever: a full collection would look at all
        # of it each time, and hold up everything for some 80 ms.
        gc.collect()
        gc.freeze()

    @Service.task
    async def _run(self) -> None:
        # An exception here crashes this service, and with it the application.
        await self.worker.run()

    async def on_stop(self) -> None:
        await self.worker.stop()
