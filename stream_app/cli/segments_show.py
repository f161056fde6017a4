"""What `stream-app segments show` and `rules` print."""

from __future__ import annotations

from typing import Any

from stream_app.cli.output import console, printable, row, table, when
from stream_app.cli.segments_list import gained


def show_segment(segment: dict[str, Any]) -> None:
    """One segment for a person."""
    screen = console()
    by = ", named by a person" if segment["named_by"] == "user" else ""
    screen.print(printable(f"{segment['name']} (id {segment['id']}{by})"), style="bold")
    screen.print(printable(segment["description"]))
    since = segment["compared_with"]
    compared = f", {gained(segment)} since {when(since)}" if since else ""
    screen.print(
        f"{segment['accounts']:,} accounts, {segment['share']:.1%} of all{compared}".replace(
            "%", " %"
        )
    )
    if segment["top"]:
        rows = table("feature", "here", "average account", "unit",
                     right=("here", "average account"))  # fmt: skip
        for feature in segment["top"]:
            here, average = f"{feature.value:,.2f}", f"{feature.average:,.2f}"
            row(rows, feature.label, here, average, feature.unit)
        screen.print()
        screen.print(rows)
    if segment["rules"]:
        screen.print()
        show_rules(segment["rules"])


def show_rules(rules: list[str]) -> None:
    """Rules for a person."""
    screen = console()
    screen.print("Accounts of which this is true are mostly in (so many of them)", style="bold")
    for rule in rules:
        screen.print(printable(f"- {rule}"))
