"""`stream-app segments`: the current model and how many accounts are in each segment."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stream_app.segments.snapshot import Snapshot
    from stream_app.settings import Settings
    from stream_app.streams.processor import Summary


def segments(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the current segments: names, what sets them apart, accounts, share.

    JSON: `model` (version, created_at, vectors, trained_from, trained_until; null before the
    first), `accounts`, `segments` (id, name, description, accounts, share of all accounts; id 0
    is Unsegmented) and `updated_at`, when a worker last counted.
    """
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    report = asyncio.run(_read(settings))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(report)
    else:
        _show(report, settings)


async def _read(settings: Settings) -> dict[str, Any]:
    from stream_app.cli.stored import stored  # noqa: PLC0415

    async with stored(settings) as found:
        return _report(await found.model(), await found.summaries())


def _report(model: Snapshot | None, summaries: list[Summary]) -> dict[str, Any]:
    from stream_app.events.instants import to_rfc3339  # noqa: PLC0415
    from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME  # noqa: PLC0415

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


def _show(report: dict[str, Any], settings: Settings) -> None:
    from stream_app.cli.output import console, row, share, table, when  # noqa: PLC0415

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
