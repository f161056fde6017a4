"""What `stream-app model list` finds and prints."""

from __future__ import annotations

from typing import Any

import msgspec

from stream_app.cli.output import console, counted, row, table, when
from stream_app.cli.stored import registered
from stream_app.errors import SnapshotRefused
from stream_app.segments.snapshot import Snapshot, read_snapshot
from stream_app.settings import Settings
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.registry import Registry


async def listing(settings: Settings, limit: int) -> dict[str, Any]:
    """The newest versions. Raises as `registered`, and what Redis raises."""
    store = RedisStore(settings.redis)
    try:
        await registered(store, settings)
        registry = await store.registry()
        versions = []
        for version in registry.versions[: -limit - 1 : -1]:
            found = await store.snapshot(version)
            if found is not None:
                versions.append(_line(registry, *found))
    finally:
        await store.stop()
    return {
        "active": registry.active,
        "pinned": registry.pinned,
        "refit_asked": registry.refit_asked,
        "stored": len(registry.versions),
        "versions": versions,
        "history": [msgspec.to_builtins(each) for each in reversed(registry.history)],
    }


def status(registry: Registry, version: int) -> str:
    """What a version is: active, waiting, former (it was in use), or unused."""
    if version == registry.active:
        return "active"
    if version in registry.waiting:
        return "waiting"
    return "former" if any(a.version == version for a in registry.history) else "unused"


def _line(registry: Registry, version: int, data: bytes) -> dict[str, Any]:
    refused, snapshot = None, None
    try:
        snapshot = read_snapshot(data)
    except SnapshotRefused as error:
        refused = str(error)
        try:
            snapshot = msgspec.json.decode(data, type=Snapshot)
        except (msgspec.DecodeError, UnicodeDecodeError):
            snapshot = None
    return {
        "version": version,
        "created_at": snapshot and snapshot.created_at,
        "cause": snapshot and snapshot.cause,
        "parent": snapshot and snapshot.parent,
        "segments": snapshot and len(snapshot.segments),
        "vectors": snapshot and snapshot.vectors,
        "status": status(registry, version),
        "refused": refused,
    }


def show_listing(report: dict[str, Any]) -> None:
    """For people."""
    screen = console()
    if not report["active"]:
        screen.print("no model yet", style="bold")
    else:
        pinned = ", pinned" if report["pinned"] else ""
        screen.print(f"model version {report['active']} is in use{pinned}", style="bold")
    if report["refit_asked"]:
        screen.print("the trainer was asked to choose the segments anew")
    if not report["versions"]:
        return
    columns = ("version", "status", "made", "cause", "from", "segments", "vectors")
    refused = any(each["refused"] for each in report["versions"])
    last = ("",) if refused else ()
    rows = table(*columns, *last, right=("version", "from", "segments", "vectors"))
    for each in report["versions"]:
        mark = "active, pinned" if each["status"] == "active" and report["pinned"] else None
        cause = each["cause"] and each["cause"].replace("_", " ")
        cells = (cause, each["parent"] or None, each["segments"], each["vectors"])
        row(
            rows,
            each["version"],
            mark or each["status"],
            _minute(each["created_at"]) if each["created_at"] else "-",
            *("-" if cell is None else cell for cell in cells),
            *((f"refused: {each['refused']}" if each["refused"] else "",) if refused else ()),
            style="bold" if each["status"] == "active" else "",
        )
    screen.print()
    screen.print(rows)
    if len(report["versions"]) < report["stored"]:
        older = report["stored"] - len(report["versions"])
        screen.print(f"{counted(older, 'older version')} more; see --limit")
    _show_history(report["history"])


def _minute(instant: str) -> str:
    return when(instant)[:16]


def _show_history(history: list[dict[str, Any]]) -> None:
    if not history:
        return
    rows = table("version", "in use since", "by", "why", "before", right=("version", "before"))
    for each in history[:10]:
        cells = (each["by"], each["why"].replace("_", " "), each["previous"] or "-")
        row(rows, each["version"], _minute(each["at"]), *cells)
    console().print()
    console().print(rows)
