"""What `stream-app model diff` finds and prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stream_app.cli.output import console, counted, row, share, table
from stream_app.cli.stored import registered
from stream_app.segments.snapshot import UNSEGMENTED, UNSEGMENTED_NAME, Snapshot, retired_name
from stream_app.settings import Settings
from stream_app.streams.moving import Moves, moves
from stream_app.streams.operating import fitting
from stream_app.streams.redis_store import RedisStore


async def compare(settings: Settings, before: int | None, after: int) -> dict[str, Any]:
    """How many accounts would move; `before`: None, the version in use.

    Raises
    ------
    NotFound
        A version is not stored, or no worker has run.
    SnapshotRefused
        A version does not fit this program.
    """
    store = RedisStore(settings.redis)
    try:
        partitions = await registered(store, settings)
        registry = await store.registry()
        one = await fitting(store, registry, before or registry.active)
        other = await fitting(store, registry, after)
        found = await moves(store, partitions, settings, one, other)
    finally:
        await store.stop()
    return _report(found, one, other)


def _report(found: Moves, one: Snapshot, other: Snapshot) -> dict[str, Any]:
    names = _names(one), _names(other)
    sizes: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    for ends, accounts in found.flows.items():
        for size, segment in zip(sizes, ends, strict=True):
            size[segment] += accounts
    known = sorted(names[0].keys() | names[1].keys() | sizes[0].keys(), key=lambda i: (i == 0, i))
    return {
        "before": one.version,
        "after": other.version,
        "accounts": found.accounts,
        "moving": found.moving,
        "unreadable": found.unreadable,
        "segments": [
            {
                "id": id_,
                "name": names[1].get(id_) or names[0].get(id_) or retired_name(id_, one),
                "before": sizes[0][id_],
                "after": sizes[1][id_],
            }
            for id_ in known
            if id_ != UNSEGMENTED or sizes[0][id_]
        ],
        "moves": [
            {
                "before": {"id": old, "name": names[0].get(old) or retired_name(old, one)},
                "after": {"id": new, "name": names[1].get(new) or retired_name(new, other)},
                "accounts": accounts,
            }
            for (old, new), accounts in found.flows.most_common()
            if old != new
        ],
    }


def _names(snapshot: Snapshot) -> dict[int, str]:
    return {s.id: s.name for s in snapshot.segments} | {UNSEGMENTED: UNSEGMENTED_NAME}


def show_moves(report: dict[str, Any]) -> None:
    """For people."""
    screen, total = console(), report["accounts"]
    moving = report["moving"]
    screen.print(
        f"from version {report['before']} to {report['after']}, {moving:,} of "
        f"{counted(total, 'account')} would move ({share(moving, total)})",
        style="bold",
    )
    if report["unreadable"]:
        screen.print(f"{report['unreadable']:,} states cannot be read and are left out")
    sizes = table("id", "segment", "before", "after", "", right=("id", "before", "after"))
    for each in report["segments"]:
        difference = each["after"] - each["before"]
        change = f"{difference:+,}" if difference else ""
        row(sizes, each["id"], each["name"], each["before"], each["after"], change)
    screen.print()
    screen.print(sizes)
    if report["moves"]:
        rows = table("accounts", "from", "to", right=("accounts",))
        for each in report["moves"]:
            ends = (f"{end['id']} {end['name']}" for end in (each["before"], each["after"]))
            row(rows, each["accounts"], *ends)
        screen.print()
        screen.print(rows)
