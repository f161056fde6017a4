"""`stream-app model`: which version of the model is in use, and who decides that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stream_app.streams.operating import Operating, Outcome

model = typer.Typer(add_completion=False, help="Look at the versions of the model, and choose.")

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="As `model list` has it.")]
_Pin = Annotated[
    bool, typer.Option("--pin", help="Keep it: nothing is activated until `model pin --release`.")
]


@model.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest versions.")] = 20,
    as_json: _Json = False,
) -> None:
    """List the stored versions, newest first: which is in use, which wait, and how they came.

    JSON: `active` (version in use; 0: none), `pinned`, `refit_asked`, `versions` (version,
    created_at, cause, parent, segments, vectors, status: active, waiting, former or unused,
    refused: why it does not fit this program, or null), `stored` (how many there are), `history`
    (number, version, previous, at, by, why; newest first).
    """
    from stream_app.cli.model_list import listing, show_listing  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    report = asyncio.run(listing(load(), limit))
    _print(report) if as_json else show_listing(report)


@model.command("show")
def show(
    version: Annotated[
        int | None,
        typer.Argument(metavar="VERSION", min=1, help="The one in use unless given."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Show one version: its segments, what it did to those of its parent, its health and rules.

    JSON: the snapshot as it is on segment-models.
    """
    from stream_app.cli.model_show import found, show_snapshot  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    snapshot = asyncio.run(found(load(), version))
    _print(snapshot) if as_json else show_snapshot(snapshot)


@model.command("diff")
def diff(
    one: Annotated[int, typer.Argument(metavar="[A]", min=1, help="The one in use unless given.")],
    other: Annotated[
        int | None, typer.Argument(metavar="B", min=1, help="The version to look at.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Tell how many of the accounts stored now would move from where to where under version B.

    The accounts are only read. JSON: `before`, `after` (versions), `accounts`, `moving`,
    `unreadable`, `segments` (id, name, before, after: accounts), `moves` (before, after: id and
    name; accounts; the largest first).
    """
    from stream_app.cli.model_diff import compare, show_moves  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    before, after = (None, one) if other is None else (one, other)
    report = asyncio.run(compare(load(), before, after))
    _print(report) if as_json else show_moves(report)


@model.command("activate")
def activate(version: _Version, pin: _Pin = False, as_json: _Json = False) -> None:
    """Let the workers use a version. They change between two batches; no event is lost.

    A version that does not fit is refused before anything is changed. JSON, of all commands that
    change something: `active`, `previous`, `pinned`, `waiting` (versions), `refit_asked`,
    `announced` (whether segment-models has it already).
    """
    _change(lambda operating: operating.activate(version, pin=pin), as_json)


@model.command("pin")
def pin(
    version: Annotated[
        int | None,
        typer.Argument(metavar="VERSION", min=1, help="Activate this one first."),
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Undo it.")] = False,
    as_json: _Json = False,
) -> None:
    """Keep the version in use: what the trainer makes waits, until --release."""
    if release and version is not None:
        from stream_app.errors import UsageError  # noqa: PLC0415

        raise UsageError("a version and --release do not go together")
    if version is None:
        _change(lambda operating: operating.pin(pinned=not release), as_json)
    else:
        _change(lambda operating: operating.activate(version, pin=True), as_json)


@model.command("rollback")
def rollback(pin: _Pin = False, as_json: _Json = False) -> None:
    """Go back to the version that was in use before. Twice: back again."""
    _change(lambda operating: operating.roll_back(pin=pin), as_json)


@model.command("rename")
def rename(
    segment: Annotated[int, typer.Argument(metavar="SEGMENT", min=1, help="Id of the segment.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Up to 80 characters, in quotes.")],
    as_json: _Json = False,
) -> None:
    """Give a segment a name that stays, also when the trainer chooses the segments anew.

    It makes a new version of the model that differs in nothing else.
    """
    _change(lambda operating: operating.rename(segment, name), as_json)


@model.command("refit")
def refit(as_json: _Json = False) -> None:
    """Ask the trainer to choose the segments anew. It does so with the next vectors it learns."""
    _change(lambda operating: operating.ask_for_refit(), as_json)


def _change(decision: Callable[[Operating], Awaitable[Outcome]], as_json: bool) -> None:
    from stream_app.cli.model_change import carry_out, facts_of, show_outcome  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    outcome = asyncio.run(carry_out(load(), decision))
    if as_json:
        _print(facts_of(outcome))
    else:
        show_outcome(outcome)


def _print(value: Any) -> None:
    from stream_app.cli.output import print_json  # noqa: PLC0415

    print_json(value)
