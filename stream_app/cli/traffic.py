"""`stream-app traffic`: synthetic traffic to the Kafka topics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import UsageError

if TYPE_CHECKING:
    from stream_app.cli.publishing import Sent
    from stream_app.settings import Settings
    from stream_app.traffic import TrafficConfig

_PLANTED_DAYS = 40
"""Days within which accounts start researching or go quiet, at least."""


def traffic(
    accounts: Annotated[int, typer.Option(min=1, help="Companies that are active.")] = 2_000,
    history: Annotated[
        float,
        typer.Option(
            metavar="DAYS", min=0, help="First send so many days of past, as fast as it goes."
        ),
    ] = 0,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="EVENTS_PER_SECOND",
            min=0.001,
            help="Send live events at this rate, whatever the hour.",
            show_default=False,
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            min=0.001,
            help="Let live accounts act so many times faster than people. Default: 1.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="End after so many seconds of live traffic; 0: only history. Default: go on.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 7,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
) -> None:
    """Publish synthetic B2B traffic to website-visits, content-downloads and email-events.

    Live events carry the time at which they are sent. By default accounts act as people do: 2,000
    of them bring about 0.2 events a second, by office hours. --rate and --speed press the same
    behaviour into less time. --history gives scores and segments something to stand on; sent
    twice, it counts twice. About 1 % of the events come late, 0.5 % twice, 0.1 % broken.

    Ends with Ctrl-C and a summary: `events`, `history`, `live`, `seconds`, `events_per_second`
    (live), `behind_seconds` (the latest event waited so long for Kafka), `flaws`, `topics`.
    """
    if rate is not None and speed is not None:
        raise UsageError("--rate and --speed both set the pace", hint="give one of them")
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from stream_app.settings import load  # noqa: PLC0415
    from stream_app.traffic import TrafficConfig  # noqa: PLC0415

    now = datetime.now(UTC)
    config = TrafficConfig(
        seed=seed,
        accounts=accounts,
        start=now - timedelta(days=history),
        horizon_days=max(_PLANTED_DAYS, int(history * 1.5)),
    )
    sent = asyncio.run(_send(load(), config, now.timestamp(), rate, speed or 1.0, seconds))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(sent.summary())
    else:
        _show(sent.summary())
    if sent.stopped_by is not None:
        raise typer.Exit(128 + sent.stopped_by)


async def _send(
    settings: Settings,
    config: TrafficConfig,
    now: float,
    rate: float | None,
    speed: float,
    seconds: float | None,
) -> Sent:
    from stream_app.cli.publishing import Pace, Sender  # noqa: PLC0415
    from stream_app.traffic import Traffic  # noqa: PLC0415

    pace = Pace(live_from=now, rate=rate, speed=speed)
    return await Sender(settings.kafka, pace, seconds).send(Traffic(config))


def _show(summary: dict[str, Any]) -> None:
    from stream_app.cli.output import console, row, table  # noqa: PLC0415

    screen = console()
    screen.print(
        f"{summary['events']:,} events published, {summary['history']:,} of history and "
        f"{summary['live']:,} live ({summary['events_per_second']:,.1f} per second)"
    )
    if summary["behind_seconds"] > 1:
        screen.print(f"{summary['behind_seconds']:,.1f} seconds behind the wanted pace at the end")
    rows = table("topic", "events", right=("events",))
    for topic, events in summary["topics"].items():
        row(rows, topic, events)
    for flaw, events in summary["flaws"].items():
        row(rows, f"of them {flaw}", events, style="dim")
    screen.print()
    screen.print(rows)
