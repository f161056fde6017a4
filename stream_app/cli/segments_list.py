"""What `stream-app segments` prints: the current model, and how many accounts are where."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stream_app.cli.output import console, row, share, table, when
from stream_app.cli.stored import stored
from stream_app.events.instants import to_rfc3339
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME, Snapshot
from stream_app.settings import Settings
from stream_app.streams.processor import Summary


async def listing(settings: Settings) -> dict[str, Any]:
    """What lies in Redis, as the JSON of the command."""
    async with stored(settings) as found:
        return _report(await found.model(), await found.summaries())


def _report(model: Snapshot | None, summaries: list[Summary]) -> dict[str, Any]:
    sizes: Counter[int] = Counter()
    for summary in summaries:
        sizes.update(summary.segments)
    known = {s.id: (s.name, s.description) for s in model.segments} if model else {}
    for id_ in sorted(sizes.keys() - known.keys() - {UNSEGMENTED}):
        known[id_] = (f"Segment {id_} (retired)", "Not in the current model.")
    known[UNSEGMENTED] = (UNSEGMENTED_NAME, "Not yet assigned by a model.")
    total = sum(sizes.values())
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
            {
                "id": id_,
                "name": name,
                "description": description,
                "accounts": sizes[id_],
                "share": round(sizes[id_] / total, 6) if total else 0.0,
            }
            for id_, (name, description) in known.items()
        ],
        "updated_at": to_rfc3339(max(s.updated_us for s in summaries)) if summaries else None,
    }


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
        screen.print(f"counted {when(report['updated_at'])}")
    screen.print()
    rows = table("id", "segment", "accounts", "share", "", right=("id", "accounts", "share"))
    for segment in sorted(report["segments"], key=lambda s: (s["id"] == 0, -s["accounts"])):
        size = segment["accounts"]
        cells = (segment["id"], segment["name"], size, share(size, total), segment["description"])
        row(rows, *cells, style="" if size else "dim")
    screen.print(rows)
