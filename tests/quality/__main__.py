"""`make quality`, or `python -m tests.quality --only stability --json`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from tests.quality.page import write_table
from tests.quality.section import DataMissing, Options, Section

PARTS: tuple[str, ...] = (
    "labelled",
    "count",
    "stability",
    "drift",
    "identity",
    "explained",
    "spikes",
    "engagement",
    "ranking",
    "robustness",
)
"""Modules of this package, each with `run(options) -> Section`, in the order of the document."""


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="only these parts")
    parser.add_argument("--quick", action="store_true", help="fewer seeds, shorter streams")
    parser.add_argument("--json", action="store_true", help="only the JSON object on stdout")
    parser.add_argument("--write", type=Path, help="a page whose tables are written anew")
    given = parser.parse_args(arguments)
    if given.write and given.quick:
        parser.error("--write is for whole runs, --quick has other figures")
    screen = Console(stderr=given.json, width=120)
    figures: dict[str, float] = {}
    missed: list[str] = []
    for name in given.only or PARTS:
        began = perf_counter()
        try:
            section = _part(name)(Options(quick=given.quick))
        except DataMissing as missing:
            screen.print(f"[bold]{name}[/]: left out, {missing}\n")
            continue
        _show(screen, section, perf_counter() - began)
        if given.write:
            write_table(given.write, name, section)
        figures |= section.figures
        missed += [f"{section.title}: {row.name}" for row in section.rows if row.passed is False]
    for name in missed:
        screen.print(f"[red]missed[/] {name}")
    print(json.dumps(figures | {"missed": missed}))
    return 1 if missed else 0


def _part(name: str) -> Callable[[Options], Section]:
    run: Callable[[Options], Section] = import_module(f"tests.quality.{name}").run
    return run


_VERDICT: Mapping[bool | None, str] = {True: "met", False: "[red]missed[/]", None: ""}


def _show(screen: Console, section: Section, seconds: float) -> None:
    table = Table(title=f"{section.title} ({seconds:.0f} s)", title_justify="left", box=None)
    for heading, justify in (("figure", "left"), ("value", "right"), ("target", "left"),
                             ("", "left"), ("", "left")):  # fmt: skip
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in section.rows:
        table.add_row(row.name, f"{row.value:.4g}", row.target, _VERDICT[row.passed], row.note)
    screen.print(table)
    for line in section.details:
        screen.print(line, markup=False, highlight=False)
    screen.print()


if __name__ == "__main__":
    sys.exit(main())
