"""Data on stdout: JSON for programs, tables for people. Progress and remarks on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.errors import UsageError

_PIPE_WIDTH = 120
"""Columns of a table that does not go to a terminal."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console() -> Console:
    """Stdout, for people. Nothing in the data is taken for markup."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return _Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def remarks() -> Console:
    """Stderr, for people."""
    return _Console(stderr=True, markup=False, highlight=False, emoji=False)


def confirm(question: str) -> None:
    """Ask on the terminal; exit code 1 unless the answer is yes. Raises UsageError where there is
    nobody to ask."""
    if not sys.stdin.isatty():
        raise UsageError("this must be confirmed, and there is no terminal to ask on",
                         hint="add --yes")  # fmt: skip
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        remarks().print("nothing was changed")
        raise typer.Exit(1)


def print_json(value: Any) -> None:
    """One JSON value on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def printable(text: str) -> str:
    """`text` without signs that a terminal would obey: names come from the input."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def table(*columns: str, right: Iterable[str] = (), title: str = "") -> Table:
    """An empty table; the columns in `right` hold numbers."""
    made = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    numbers = set(right)
    for i, name in enumerate(columns):
        justify: Any = "right" if name in numbers else "left"
        made.add_column(name, justify=justify, no_wrap=i == 0, overflow="fold")
    return made


def row(to: Table, *cells: object, style: str = "") -> None:
    """Add a row; numbers get thousands separators."""
    to.add_row(
        *(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in cells), style=style
    )


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return printable(str(value))
    return f"{value:,}"


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "letter"), counted(2_000, "letter")
    ('1 letter', '2,000 letters')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: float, whole: float) -> str:
    """
    >>> share(1, 8)
    '12.5 %'
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def when(instant: str) -> str:
    """An RFC 3339 instant as people read it.

    >>> when('2026-01-31T12:00:05.123456Z')
    '2026-01-31 12:00:05 UTC'
    """
    return instant[:19].replace("T", " ") + " UTC"
