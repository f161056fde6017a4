"""`stream-app report`: one page about the segments, from a replay or from what is live."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import ConfigError, StreamAppError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream_app.report.figures import Figures
    from stream_app.report.material import Material
    from stream_app.settings import Settings


def report(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="What `replay --out` wrote. Without it: the live state in Redis and Kafka.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path(
        "report.html"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as one JSON object.")
    ] = False,
) -> None:
    """Write one HTML page, which needs no network, about the segments.

    It shows their sizes and what sets them apart, a map of accounts, how accounts moved between
    segments, top movers, intent spikes, health, and how the model drifted. It holds account ids,
    so treat it as you treat those.

    JSON: `path`, `bytes`, `accounts`, `changes`, `model_version`.
    """
    page = _renderer()
    figures = _figures(folder)
    data = page(figures).encode(errors="replace")
    try:
        out.write_bytes(data)
    except OSError as error:
        raise StreamAppError(
            f"cannot write {out}: {error.strerror or error}",
            hint="give --out a file that can be written, on a disk with room",
        ) from None
    _say(out, data, figures, as_json=as_json)


def _renderer() -> Callable[[Figures], str]:
    """The drawing part, whose libraries are optional."""
    try:
        from stream_app.report.page import page  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"plotly", "jinja2", "markupsafe"}:
            raise
        raise ConfigError(
            f"the report needs {error.name}, which is not installed",
            hint='pip install "stream-app[report]"',
        ) from None
    return page


def _figures(folder: Path | None) -> Figures:
    from stream_app.report.figures import figures_of  # noqa: PLC0415
    from stream_app.report.folder import read_folder  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    if folder is not None:
        return figures_of(read_folder(folder))
    return figures_of(asyncio.run(_live(load())))


async def _live(settings: Settings) -> Material:
    from stream_app.cli.desk import desk  # noqa: PLC0415
    from stream_app.report.live import read_live  # noqa: PLC0415
    from stream_app.streams.clock import SystemClock  # noqa: PLC0415

    async with desk(settings, "stream-app-report") as opened:
        now_us = SystemClock().now_us()
        return await read_live(opened.store, opened.reader, settings, opened.partitions, now_us)


def _say(out: Path, data: bytes, figures: Figures, *, as_json: bool) -> None:
    from stream_app.cli.output import console, print_json  # noqa: PLC0415

    totals = figures.totals
    changes = sum(number for _, number in totals.changes)
    if as_json:
        print_json(
            {
                "path": str(out),
                "bytes": len(data),
                "accounts": totals.accounts,
                "changes": changes,
                "model_version": figures.model_version,
            }
        )
        return
    console().print(
        f"{totals.accounts:,} accounts and {changes:,} changes in {out} ({len(data) / 1e6:.1f} MB)"
    )
