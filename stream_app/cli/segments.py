"""`stream-app segments`: the current segments; its commands look at one of them, or back."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

segments = typer.Typer(add_completion=False, invoke_without_command=True)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@segments.callback()
def list_(context: typer.Context, as_json: _Json = False) -> None:
    """Show the current segments: names, what sets them apart, accounts, share.

    JSON: `model` (version, created_at, vectors, trained_from, trained_until; null before the
    first), `accounts`, `segments` (id, name, description, accounts, share of all accounts; id 0
    is Unsegmented) and `updated_at`, when a worker last counted.
    """
    if context.invoked_subcommand:
        return
    from stream_app.cli.segments_list import listing, show_listing  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    report = asyncio.run(listing(settings))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(report)
    else:
        show_listing(report, settings)


@segments.command("history")
def history_(as_json: _Json = False) -> None:
    """Show how the segments came about: who came from whom, when, and why.

    JSON: `active` (version), `complete` (whether the line reaches back to the first version),
    `segments` (id, name, since: version, parent: the segment it was split from, until: the version
    that does not have it any more, into: the segments that took it over, former_names), `line`
    (versions that led to the active one), `versions` (all that are stored: version, parent,
    created_at, cause, status: active, waiting, former or unused, segments, lineage: kind, segment,
    name, others, before; told: the same in words), oldest first.
    """
    from stream_app.cli.segments_history import history, show_history  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    report = asyncio.run(history(load()))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(report)
    else:
        show_history(report)
