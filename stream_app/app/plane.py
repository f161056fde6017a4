"""The data plane as a service of the Faust application."""

from __future__ import annotations

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

    @Service.task
    async def _run(self) -> None:
        # An exception here crashes this service, and with it the application.
        await self.worker.run()

    async def on_stop(self) -> None:
        await self.worker.stop()
