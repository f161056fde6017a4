"""`stream-app demo`: the whole system in one process, with synthetic traffic and a live view."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_app.demo.display import Display
    from stream_app.demo.run import Options
    from stream_app.demo.stopping import Stopping


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="End after so many seconds. Default: on Ctrl-C.", show_default=False
        ),
    ] = None,
    accounts: Annotated[
        int, typer.Option(min=1, max=200_000, help="Number of synthetic accounts.")
    ] = 2_000,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the traffic: the same one gives the same events.")
    ] = 7,
    speed: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=1_000,
            help="Simulated days per second, as long as the worker keeps up.",
        ),
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="No view; print the summary as one JSON object.")
    ] = False,
) -> None:
    """Run the whole system here, with invented accounts whose days pass in seconds.

    It is the worker's own code on a log and a store in memory: no Kafka and no Redis are needed.
    Ctrl-C ends it with a summary.
    """
    import asyncio  # noqa: PLC0415
    from contextlib import closing  # noqa: PLC0415

    from stream_app.cli import logs  # noqa: PLC0415
    from stream_app.demo.display import display_for  # noqa: PLC0415
    from stream_app.demo.stopping import Stopping  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    logs.set_up(load(), level="warning", libraries="critical")
    with Stopping() as stopping, closing(display_for(as_json)) as display:
        display.open()
        # Only now what takes longer to import: the screen is there before it.
        from stream_app.demo.run import Options  # noqa: PLC0415

        options = Options(accounts=accounts, seed=seed, days_per_second=speed, seconds=seconds)
        asyncio.run(_run(options, display, stopping, as_json))


async def _run(options: Options, display: Display, stopping: Stopping, as_json: bool) -> None:
    from stream_app.cli.output import print_json  # noqa: PLC0415
    from stream_app.demo.run import run  # noqa: PLC0415
    from stream_app.demo.summary import as_text  # noqa: PLC0415

    summary = await run(options, display, stopping.event())
    display.close()
    # Here, because the event loop does not end before a model that is being fitted in a thread.
    if as_json:
        print_json(summary)
    else:
        sys.stdout.write(as_text(summary) + "\n")
    sys.stdout.flush()
