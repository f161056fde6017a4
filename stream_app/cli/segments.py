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

    Health is judged on the accounts as they are now; what takes a fit (differentiated,
    understandable) is as it was when the model was made. `health` in the settings says what is
    asked.

    JSON: `model` (version, created_at, vectors, trained_from, trained_until; null before the
    first), `accounts`, `segments` (id, name, named_by, description, top: the features that set it
    apart, accounts, share of all accounts, gained; id 0 is Unsegmented), `rules`,
    `compared_with` (since when accounts were gained, up to a week ago; null: not known),
    `health` (name, value, threshold, passed, says) and `updated_at`, when a worker last counted.
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


@segments.command("show")
def show_(
    segment: Annotated[int, typer.Argument(metavar="ID", help="As `stream-app segments` has it.")],
    as_json: _Json = False,
) -> None:
    """Show one segment: what sets it apart, how many accounts, and the rules that lead to it.

    JSON: as in the list of `segments`, with `rules` and `compared_with`.
    """
    from stream_app.cli.segments_list import listing, one_of  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    found = one_of(asyncio.run(listing(load())), segment)
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(found)
    else:
        from stream_app.cli.segments_show import show_segment  # noqa: PLC0415

        show_segment(found)


@segments.command("rules")
def rules_(as_json: _Json = False) -> None:
    """Show a few plain rules that say nearly the same as the model.

    The share is that of the accounts that a rule speaks of that are in the segment. JSON: `rules`.
    """
    from stream_app.cli.segments_list import listing  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    rules = asyncio.run(listing(load()))["rules"]
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json({"rules": rules})
    else:
        from stream_app.cli.segments_show import show_rules  # noqa: PLC0415

        show_rules(rules)


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
