"""`stream-app doctor`: what works and what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_app.cli.checks import Check
    from stream_app.settings import Settings


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of the checks.")] = False,
) -> None:
    """Check settings, Kafka, Redis and what is stored, one by one. Nothing is changed.

    Exit code 1 when a check fails. JSON: a list of {check, ok, detail, hint}; `ok` is null where
    something could not be checked, and true with a hint where something is worth knowing.
    """
    from stream_app.cli.hiding import hide  # noqa: PLC0415

    found = _checked(as_json)
    checks = [replace(check, detail=hide(check.detail), hint=hide(check.hint)) for check in found]
    failed = sum(check.ok is False for check in checks)
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(checks)
    else:
        _show(checks, failed)
    if failed:
        raise typer.Exit(1)


def _checked(as_json: bool) -> list[Check]:
    from stream_app.cli import logs  # noqa: PLC0415
    from stream_app.cli.checks import Check, run_checks  # noqa: PLC0415
    from stream_app.cli.checks.base import skipped  # noqa: PLC0415
    from stream_app.cli.output import remarks  # noqa: PLC0415
    from stream_app.errors import StreamAppError  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    try:
        settings = load()
    except StreamAppError as error:
        rest = skipped("the settings cannot be read", "kafka", "redis", "state")
        return [Check("settings", False, str(error), error.hint), *rest]
    logs.set_up(settings, libraries="critical")
    first = Check("settings", True, _sources(settings))
    console = remarks()
    if as_json or not console.is_terminal:
        return [first, *asyncio.run(run_checks(settings))]
    with console.status("checking"):
        return [first, *asyncio.run(run_checks(settings))]


def _sources(settings: Settings) -> str:
    """Where settings come from; never what they are."""
    others = ("STREAM_APP_CONFIG", "STREAM_APP_NATIVE", "STREAM_APP_TEST_")
    names = [n for n in os.environ if n.startswith("STREAM_APP_") and not n.startswith(others)]
    file = Path(os.environ.get("STREAM_APP_CONFIG", "stream-app.toml"))
    sources = [f"{len(names)} variables of the environment"] if names else []
    sources += [str(file)] if file.is_file() else []
    if not settings.model_fields_set or not sources:
        return "all at their defaults"
    return f"from {' and '.join(sources)}"


def _show(checks: list[Check], failed: int) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from stream_app.cli.output import console, printable  # noqa: PLC0415

    screen, grid = console(), Table.grid(padding=(0, 2))
    for check in checks:
        text = Text(printable(check.detail))
        if check.hint:
            text.append(f"\n{printable(check.hint)}", "dim")
        grid.add_row(Text(*_mark(check)), Text(check.check, "bold"), text)
    screen.print(grid)
    screen.print()
    summary = f"{failed} of {len(checks)} checks failed" if failed else "no check failed"
    screen.print(summary, style="bold red" if failed else "bold green")


def _mark(check: Check) -> tuple[str, str]:
    if check.ok is None:
        return "skipped", "dim"
    if not check.ok:
        return "failed", "bold red"
    return ("note", "yellow") if check.hint else ("ok", "green")
