"""`stream-app worker`: a worker process on Kafka and Redis, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_app.app.application import Application
    from stream_app.settings import Settings


def worker(
    as_json: Annotated[
        bool, typer.Option("--json", help="Write log lines and errors as JSON.")
    ] = False,
) -> None:
    """Process events from Kafka, keep state in Redis, publish changes. Ends on SIGTERM or Ctrl-C.

    Exit codes: 0 stopped on request, 3 settings, 4 topics or state do not fit, 5 Kafka or Redis
    could not be reached at the start.
    """
    from stream_app.cli import allocator, logs, loops  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    settings = load(**({"log_format": "json"} if as_json else {}))
    if as_json:
        logs.set_up(settings)
    allocator.keep_freed_memory()
    loops.run(_run(settings))


async def _run(settings: Settings) -> None:
    from stream_app.app.application import Application  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    application = Application(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await application.check()
    work = asyncio.create_task(_start_and_wait(application))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await application.stop()
    if work.done():
        work.result()
    else:
        work.cancel()
        await asyncio.wait({work})


async def _start_and_wait(application: Application) -> None:
    await application.start()
    await application.wait()
