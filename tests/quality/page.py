"""Tables of docs/segment-quality.md, written by the command that measures their figures."""

from __future__ import annotations

from pathlib import Path

from tests.quality.section import Row, Section

_VERDICT = {True: "met", False: "**missed**", None: ""}


def write_table(page: Path, part: str, section: Section) -> None:
    """Replace what stands between the two marks of a part. Raises ValueError where they are not
    there."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    text = page.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{page} has no place for {part}: it needs the marks {begin} and {end}")
    before, rest = text.split(begin, 1)
    _, after = rest.split(end, 1)
    page.write_text(f"{before}{begin}\n{table(section)}{end}{after}")


def table(section: Section) -> str:
    """A Markdown table of the rows."""
    lines = ["| figure | value | target | |", "|---|---|---|---|"]
    lines += [_line(row) for row in section.rows]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    verdict = "; ".join(part for part in (_VERDICT[row.passed], row.note) if part)
    cells = (row.name, f"{row.value:.4g}", row.target, verdict)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
