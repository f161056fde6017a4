"""What `stream-app dlq list` finds and prints."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

from rich.padding import Padding
from rich.text import Text

from stream_app.cli.desk import desk
from stream_app.cli.output import console, counted, printable, row, table, when
from stream_app.events.instants import to_rfc3339
from stream_app.settings import Settings
from stream_app.streams.dead_letters import Selection
from stream_app.streams.letterbox import Fate, Found

_HIDDEN = (Fate.REPLAYED, Fate.ERASED)


async def listing(
    settings: Settings, selection: Selection, limit: int, *, everything: bool
) -> dict[str, Any]:
    """Count letters and keep the newest. Raises as `desk` does."""
    counts: Counter[tuple[str, str]] = Counter()
    hidden: Counter[Fate] = Counter()
    newest: list[tuple[int, str, dict[str, Any]]] = []
    async with desk(settings) as opened:
        box = opened.letterbox
        async for batch in box.read(selection, await box.stretches(selection)):
            for found in batch:
                letter = found.letter
                if found.fate in _HIDDEN and not everything:
                    hidden[found.fate] += 1
                    continue
                counts[letter.reason, letter.topic] += 1
                newest.append((letter.at_us, letter.id, _line(found)))
            # Lines only: a letter may be megabytes.
            newest = heapq.nlargest(limit, newest, key=lambda each: each[:2])
    return {
        "total": sum(counts.values()),
        "counts": [
            {"reason": reason, "topic": topic, "letters": letters}
            for (reason, topic), letters in counts.most_common()
        ],
        "letters": [line for _, _, line in newest],
        "hidden": {fate.value: hidden[fate] for fate in _HIDDEN},
        "unreadable": box.unreadable,
    }


def _line(found: Found) -> dict[str, Any]:
    letter = found.letter
    return {
        "id": letter.id,
        "at": to_rfc3339(letter.at_us),
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "account": next(iter(letter.accounts), None),
        "fate": found.fate.value,
    }


def show_listing(report: dict[str, Any]) -> None:
    """For people."""
    screen = console()
    screen.print(counted(report["total"], "dead letter"), style="bold")
    left_out = [f"{letters:,} {fate}" for fate, letters in report["hidden"].items() if letters]
    if left_out:
        screen.print(f"not shown without --all: {', '.join(left_out)}")
    if report["unreadable"]:
        records = counted(report["unreadable"], "record")
        no_letters = "is no dead letter" if report["unreadable"] == 1 else "are no dead letters"
        screen.print(f"{records} of the topic {no_letters}")
    if not report["total"]:
        return
    counts = table("reason", "topic", "letters", right=("letters",))
    for each in report["counts"]:
        row(counts, each["reason"], each["topic"], each["letters"])
    screen.print()
    screen.print(counts)
    if report["letters"]:
        screen.print()
    for each in report["letters"]:
        fate = "" if each["fate"] == Fate.OPEN else f" [{each['fate']}]"
        facts = (each["id"], when(each["at"]), each["account"] or "-")
        screen.print(printable("   ".join(facts) + fate))
        why = Text(printable(f"{each['reason']}: {each['detail']}"), style="dim")
        screen.print(Padding(why, (0, 0, 0, 4)))
    if 0 < len(report["letters"]) < report["total"]:
        screen.print(f"\nthe newest {len(report['letters'])}; more with --limit")
