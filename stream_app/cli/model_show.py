"""What `stream-app model show` prints."""

from __future__ import annotations

from stream_app.cli.lineage import told
from stream_app.cli.output import console, printable, row, share, table, when
from stream_app.cli.stored import registered
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.operating import fitting
from stream_app.streams.redis_store import RedisStore


async def found(settings: Settings, version: int | None) -> Snapshot:
    """A stored version, the active one by default.

    Raises
    ------
    NotFound
        It is not stored, or no worker has run.
    SnapshotRefused
        It does not fit this program.
    """
    store = RedisStore(settings.redis)
    try:
        await registered(store, settings)
        registry = await store.registry()
        return await fitting(store, registry, registry.active if version is None else version)
    finally:
        await store.stop()


def show_snapshot(snapshot: Snapshot) -> None:
    """For people."""
    screen = console()
    made = f"made {when(snapshot.created_at)}, cause: {snapshot.cause.replace('_', ' ')}"
    source = f" from version {snapshot.parent}" if snapshot.parent else ""
    screen.print(f"model version {snapshot.version}", style="bold")
    screen.print(made + source)
    screen.print(
        f"trained on {snapshot.vectors:,} vectors from {when(snapshot.trained_from)} "
        f"to {when(snapshot.trained_until)}"
    )
    rows = table("id", "segment", "share", "", right=("id", "share"))
    for segment in snapshot.segments:
        name = segment.name + (" (named by a person)" if segment.named_by == "user" else "")
        row(rows, segment.id, name, share(segment.share, 1), segment.description)
    screen.print()
    screen.print(rows)
    sections = (
        ("what it did to the segments of its parent", told(snapshot)),
        ("health", [f"{_mark(c.passed)} {c.says}" for c in snapshot.health]),
        ("in short", list(snapshot.rules)),
    )
    for title, lines in sections:
        if lines:
            screen.print(f"\n{title}", style="bold")
        for line in lines:
            screen.print(printable(f"  {line}"))


def _mark(passed: bool | None) -> str:
    return {True: "pass", False: "FAIL", None: "?   "}[passed]
