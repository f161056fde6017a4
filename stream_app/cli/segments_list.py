"""What `stream-app segments` prints: the current model, who is where, and whether it is good."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rich.text import Text

from stream_app.cli.output import console, row, share, table, when
from stream_app.cli.stored import Stored, stored
from stream_app.errors import NotFound
from stream_app.events.instants import to_rfc3339
from stream_app.segments import health
from stream_app.segments.rules import named_in
from stream_app.segments.snapshot import (
    UNSEGMENTED,
    UNSEGMENTED_NAME,
    SegmentModel,
    Snapshot,
    retired_name,
)
from stream_app.segments.targets import read_targets
from stream_app.settings import Settings
from stream_app.streams.processor import Summary

_SAMPLE = 1_000
"""Accounts that health is judged on."""


async def listing(settings: Settings) -> dict[str, Any]:
    """What lies in Redis, as the JSON of the command."""
    async with stored(settings) as found:
        model, summaries = await found.model(), await found.summaries()
        report = _report(model, summaries)
        return report | {"health": await _health(found, model, summaries, settings)}


def _report(model: Snapshot | None, summaries: list[Summary]) -> dict[str, Any]:
    sizes, before = _sizes(summaries)
    known: dict[int, SegmentModel | None] = {s.id: s for s in model.segments} if model else {}
    known |= dict.fromkeys(sorted(sizes.keys() - known.keys() - {UNSEGMENTED}))
    known[UNSEGMENTED] = None
    total = sum(sizes.values())
    compared = [summary.days[0].at_us for summary in summaries if summary.days]
    return {
        "model": model
        and {
            "version": model.version,
            "created_at": model.created_at,
            "vectors": model.vectors,
            "trained_from": model.trained_from,
            "trained_until": model.trained_until,
        },
        "accounts": total,
        "segments": [
            _words(id_, segment, model)
            | {
                "accounts": sizes[id_],
                "share": round(sizes[id_] / total, 6) if total else 0.0,
                "gained": sizes[id_] - before[id_] if compared else None,
            }
            for id_, segment in known.items()
        ],
        "rules": model.rules if model else [],
        "compared_with": to_rfc3339(max(compared)) if compared else None,
        "updated_at": to_rfc3339(max(s.updated_us for s in summaries)) if summaries else None,
    }


def _sizes(summaries: list[Summary]) -> tuple[Counter[int], Counter[int]]:
    """Accounts by segment id, now and on the earliest of the last days that is known."""
    now: Counter[int] = Counter()
    before: Counter[int] = Counter()
    for summary in summaries:
        now.update(summary.segments)
        before.update(summary.days[0].segments if summary.days else {})
    return now, before


def _words(id_: int, segment: SegmentModel | None, model: Snapshot | None) -> dict[str, Any]:
    if segment is not None:
        return {
            "id": id_,
            "name": segment.name,
            "named_by": segment.named_by,
            "description": segment.description,
            "top": segment.top,
        }
    unsegmented = UNSEGMENTED_NAME, "Not yet assigned by a model."
    retired = retired_name(id_, model), "Not in the current model."
    name, description = unsegmented if id_ == UNSEGMENTED else retired
    return {"id": id_, "name": name, "named_by": None, "description": description, "top": []}


async def _health(
    found: Stored, model: Snapshot | None, summaries: list[Summary], settings: Settings
) -> list[Any]:
    if model is None:
        return []
    sizes, before = _sizes(summaries)
    targets = read_targets(settings.health)
    vectors = await found.sample(_SAMPLE, time.time_ns() // 1_000)
    aimed_at = None if targets is None else await found.published_segments(targets)
    return list(
        health.live(model, vectors, sizes, before, aimed_at, settings.segments, settings.health)
    )


def one_of(report: dict[str, Any], id_: int) -> dict[str, Any]:
    """One segment of a listing, with the rules that lead to it. Raises NotFound."""
    for segment in report["segments"]:
        if segment["id"] == id_:
            rules = [rule for rule in report["rules"] if named_in(rule) == segment["name"]]
            return {**segment, "compared_with": report["compared_with"], "rules": rules}
    ids = ", ".join(str(segment["id"]) for segment in report["segments"])
    raise NotFound(f"there is no segment {id_}", hint=f"there are {ids}")


def show_listing(report: dict[str, Any], settings: Settings) -> None:
    """The same for a person."""
    screen, model, total = console(), report["model"], report["accounts"]
    if model:
        screen.print(f"{total:,} accounts, model version {model['version']}", style="bold")
        screen.print(
            f"trained on {model['vectors']:,} vectors from {when(model['trained_from'])} "
            f"to {when(model['trained_until'])}"
        )
    else:
        first = settings.segments.warm_start_vectors
        screen.print(f"{total:,} accounts, no model yet", style="bold")
        screen.print(f"the first one comes after {first:,} training vectors, about one per account")
    if report["updated_at"]:
        since = report["compared_with"]
        compared = f", gained since {when(since)}" if since else ""
        screen.print(f"counted {when(report['updated_at'])}{compared}")
    screen.print()
    numbers = ("id", "accounts", "share", "gained")
    rows = table("id", "segment", "accounts", "share", "gained", "", right=numbers)
    for segment in sorted(report["segments"], key=lambda s: (s["id"] == 0, -s["accounts"])):
        size = segment["accounts"]
        cells = (segment["id"], segment["name"], size, share(size, total), gained(segment))
        row(rows, *cells, segment["description"], style="" if size else "dim")
    screen.print(rows)
    if report["health"]:
        screen.print()
        _show_health(report)


def gained(segment: dict[str, Any]) -> str:
    """Accounts gained, with their sign."""
    number = segment["gained"]
    return "-" if number is None else f"{number:+,}" if number else "0"


def _show_health(report: dict[str, Any]) -> None:
    rows = table("health", "", "value", "asked", "", right=("value",))
    for check in report["health"]:
        verdict = {True: Text("pass"), False: Text("FAIL", "red"), None: Text("-")}[check.passed]
        value = "-" if check.value is None else f"{check.value:.2f}".removesuffix(".00")
        name = check.name.replace("_", " ")
        row(rows, name, verdict, value, check.threshold, check.says)
    console().print(rows)
