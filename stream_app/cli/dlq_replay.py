"""What `stream-app dlq replay` prints."""

from __future__ import annotations

from typing import Any

from stream_app.cli.output import console, printable, row, table
from stream_app.streams.letterbox import Fate
from stream_app.streams.redelivery import Tally

_LEFT = (Fate.REPLAYED, Fate.UNCERTAIN, Fate.ERASED)
_WHY = {
    Fate.REPLAYED: "were replayed before",
    Fate.UNCERTAIN: "uncertain: an earlier replay of them did not come to its end",
    Fate.ERASED: "belong to accounts that were erased since",
}


def report_of(tally: Tally, *, dry_run: bool) -> dict[str, Any]:
    """For JSON."""
    return {
        "ready": tally.ready,
        "sent": tally.sent,
        "forced": tally.forced,
        "left": {fate.value: tally.fates[fate] for fate in _LEFT},
        "refused": dict(tally.refused.most_common()),
        "refusals": [
            {"id": each.id, "reason": each.reason, "detail": each.detail} for each in tally.refusals
        ],
        "uncertain": tally.uncertain,
        "dry_run": dry_run,
    }


def show_tally(tally: Tally, *, dry_run: bool) -> None:
    """For people."""
    screen = console()
    if dry_run:
        screen.print(f"{tally.ready:,} letters would be put back on their topics", style="bold")
    else:
        screen.print(f"{tally.sent:,} letters were put back on their topics", style="bold")
        if tally.sent < tally.ready:
            screen.print(f"{tally.ready - tally.sent:,} were not: not wanted, or just taken")
    if tally.forced:
        screen.print(f"{tally.forced:,} of them will be refused again")
    for fate in _LEFT:
        if tally.fates[fate]:
            screen.print(f"left: {tally.fates[fate]:,} {_WHY[fate]}")
    for id_ in tally.uncertain:
        screen.print(f"  {printable(id_)}")
    if tally.fates[Fate.UNCERTAIN]:
        screen.print("  look whether they arrived; --again sends them once more")
    if not tally.refused:
        return
    screen.print(f"left: {tally.refused.total():,} would be refused again (--force sends them)")
    rows = table("id", "reason", "")
    for each in tally.refusals:
        row(rows, each.id, each.reason, each.detail)
    screen.print()
    screen.print(rows)
