"""The figures for people: tables on the screen, and docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.section import Row, Section

_VERDICT = {True: "met", False: "missed", None: ""}
_COLUMNS = ("figure", "median (least to most)", "unit", "target", "", "")


def show(screen: Console, section: Section) -> None:
    """One part as a table."""
    table = Table(title=section.title, title_justify="left", box=None)
    for heading in _COLUMNS:
        table.add_column(heading)
    for row in section.rows:
        table.add_row(*_cells(row))
    screen.print(table)
    for what, why in section.left_out.items():
        screen.print(f"left out: {what}: {why}", markup=False, highlight=False)
    screen.print()


def page(sections: Sequence[Section], command: str, ending: str) -> str:
    """docs/performance.md. `ending`: what a person has written about the figures."""
    lines = [
        "# Performance",
        "",
        f"Written by `{command}` from what it has measured. Machines are noisy: what is claimed is",
        "a ratio within one run, rounds of everything in turn, the median of all rounds with the",
        "least and the most beside it.",
        "",
        f"Machine: {machine()}.",
    ]
    for section in sections:
        lines += ["", f"## {section.title}", "", section.method, ""]
        if section.rows:
            lines += _table(section.rows)
        if section.left_out:
            lines += ["", "Left out:", ""]
            lines += [f"- {what}: {_one_line(why)}" for what, why in section.left_out.items()]
    return "\n".join([*lines, "", ending.strip(), ""]) if ending else "\n".join([*lines, ""])


def machine() -> str:
    """Processor, cores, memory, Python: no names, no paths."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = found[0].partition(":")[2].strip() if found else model
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{model}, {os.cpu_count()} cores shared by broker, Redis, load and worker, "
        f"{pages * size / 2**30:.0f} GiB; {platform.system()}, Python {platform.python_version()}"
    )


def _table(rows: Sequence[Row]) -> list[str]:
    lines = ["| figure | median (least to most) | unit | target | | |", "|---|---|---|---|---|---|"]
    return lines + [f"| {' | '.join(_cells(row))} |" for row in rows]


def _cells(row: Row) -> tuple[str, ...]:
    measured = row.measured.text(row.form)
    return row.name, measured, row.unit, row.target, _VERDICT[row.met], row.note


def _one_line(text: str) -> str:
    return " ".join(text.split())
