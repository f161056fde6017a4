"""What `stream-app dlq replay` prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from stream_app.cli.output import console, counted, printable, row, table
from stream_app.streams.letterbox import Fate
from stream_app.streams.redelivery import NEVER_SENT, Tally

_LEFT = (Fate.REPLAYED, Fate.UNCERTAIN, Fate.ERASED)
_WHY = {
    Fate.REPLAYED: ("was replayed before", "were replayed before"),
    Fate.UNCERTAIN: (
        "is uncertain: an earlier replay of it did not come to its end",
        "are uncertain: an earlier replay of them did not come to its end",
    ),
    Fate.ERASED: (
        "belongs to an account that was erased since",
        "belong to accounts that were erased since",
    ),
}
"""Of one letter, and of more."""


def report_of(tally: Tally, *, dry_run: bool) -> dict[str, Any]:
    """For JSON."""
    return {
        "ready": tally.ready,
        "sent": tally.sent,
        "forced": tally.forced,
        "erasures": tally.erasures,
        "control_left": tally.control_left,
        "left": {fate.value: tally.fates[fate] for fate in _LEFT},
        "refused": dict(tally.refused.most_common()),
        "refusals": [
            {"id": each.id, "reason": each.reason, "detail": each.detail} for each in tally.refusals
        ],
        "uncertain": tally.uncertain,
        "dry_run": dry_run,
    }


def back_on_topics(letters: int) -> tuple[str, str]:
    """How many letters, and what they are put back on."""
    return counted(
        letters, "letter"
    ), "back on its topic" if letters == 1 else "back on their topics"


def erasing(erasures: int) -> str:
    """That so many letters erase something."""
    verb = "erases" if erasures == 1 else "erase"
    return f"{erasures:,} of them {verb} an account or a contact"


def show_tally(tally: Tally, *, dry_run: bool) -> None:
    """For people."""
    screen = console()
    letters, where = back_on_topics(tally.ready if dry_run else tally.sent)
    if dry_run:
        screen.print(f"{letters} would be put {where}", style="bold")
    else:
        verb = "was" if tally.sent == 1 else "were"
        screen.print(f"{letters} {verb} put {where}", style="bold")
        if unsent := tally.ready - tally.sent:
            verb = "was" if unsent == 1 else "were"
            screen.print(f"{counted(unsent, 'letter')} {verb} not: not wanted, or just taken")
    if tally.erasures:
        screen.print(erasing(tally.erasures))
    if tally.forced:
        screen.print(f"{tally.forced:,} of them will be refused again")
    for fate in _LEFT:
        if count := tally.fates[fate]:
            screen.print(f"left: {count:,} {_WHY[fate][count > 1]}")
            if fate is Fate.UNCERTAIN:
                _show_uncertain(screen, tally.uncertain, count)
    if count := tally.control_left:
        screen.print(
            f"left: {count:,} of account-control, which may erase; "
            f"an id or --topic account-control sends {_them(count)}",
            soft_wrap=True,
        )
    _show_refused(screen, tally)


def _show_uncertain(screen: Console, ids: list[str], count: int) -> None:
    for id_ in ids:
        screen.print(f"  {printable(id_)}")
    if 0 < len(ids) < count:
        screen.print(f"  the first {len(ids)} of {count:,}")
    they = "it" if count == 1 else "they"
    screen.print(f"  look whether {they} arrived; --again sends {_them(count)} once more")


def _show_refused(screen: Console, tally: Tally) -> None:
    total = tally.refused.total()
    never = sum(tally.refused[reason] for reason in NEVER_SENT)
    if total > never:
        again = total - never
        screen.print(f"left: {again:,} would be refused again (--force sends {_them(again)})")
    if never:
        screen.print(f"left: {never:,} cannot be sent, not even with --force")
    if not total:
        return
    rows = table("id", "reason", "")
    for each in tally.refusals:
        row(rows, each.id, each.reason, each.detail)
    screen.print()
    screen.print(rows)
    if len(tally.refusals) < total:
        screen.print(f"the first {len(tally.refusals)} of {total:,}")


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
