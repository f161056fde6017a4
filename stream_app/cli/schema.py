"""`stream-app schema`: show, write and check the schemas of all events.

Exit codes: 1 files drifted, 2 wrong usage, 6 no schema of that name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream_app.errors import NotFound, StreamAppError, UsageError
from stream_app.schemas import Document, documents, drift
from stream_app.schemas import write as write_files

FOLDER = Path("schemas")
"""Where the repository keeps them."""


def schema(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this one, e.g. segment.change or asyncapi.", show_default=False),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write all into this folder.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help=f"Compare with the folder {FOLDER}; 1 if it drifted.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List, print, write or check the JSON Schemas of all events and the AsyncAPI document."""
    if sum((name is not None, write is not None, check)) > 1:
        raise UsageError("give a name, --write or --check, not several of them")
    if name is not None:
        sys.stdout.write(_named(name).data.decode())
    elif write is not None:
        paths = [path.as_posix() for path in write_files(write)]
        _print(paths if as_json else "\n".join(paths), as_json)
    elif check:
        _check(as_json)
    else:
        _list(as_json)


def _named(name: str) -> Document:
    known = documents()
    if name not in known:
        raise NotFound(f"there is no schema named {name}", hint=f"choose one of {', '.join(known)}")
    return known[name]


def _list(as_json: bool) -> None:
    found = documents().values()
    if as_json:
        _print([{"name": d.name, "file": d.file, "title": d.title} for d in found], as_json)
        return
    width = max(len(document.name) for document in found)
    _print("\n".join(f"{d.name:<{width}}  {d.title}" for d in found), as_json)


def _check(as_json: bool) -> None:
    wrong = drift(FOLDER)
    if as_json:
        _print(wrong, as_json)
    if wrong:
        files = ", ".join(f"{FOLDER / file} ({what})" for file, what in wrong.items())
        raise StreamAppError(
            f"schemas do not match the types: {files}",
            hint=f"run `stream-app schema --write {FOLDER}` and remove what is not generated any "
            "more; a change that breaks readers needs a new version in the `$id`",
        )
    if not as_json:
        _print(f"{len(documents())} files in {FOLDER} match the types", as_json)


def _print(value: object, as_json: bool) -> None:
    text = msgspec.json.encode(value).decode() if as_json else str(value)
    sys.stdout.write(text + "\n")
