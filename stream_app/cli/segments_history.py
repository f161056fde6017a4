"""What `stream-app segments history` finds and prints: the family tree of the segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from rich.text import Text
from rich.tree import Tree

from stream_app.cli.lineage import told
from stream_app.cli.model_list import status
from stream_app.cli.output import console, counted, printable, when
from stream_app.cli.stored import registered
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.redis_store import RedisStore

_decode = msgspec.json.Decoder(Snapshot).decode


async def history(settings: Settings) -> dict[str, Any]:
    """What each stored version did to the segments. Raises as `registered`, and what Redis
    raises."""
    store = RedisStore(settings.redis)
    try:
        await registered(store, settings)
        registry = await store.registry()
        found = [await store.snapshot(version) for version in registry.versions]
    finally:
        await store.stop()
    snapshots = list(_readable(data for each in found if each for data in each[1:]))
    return {
        "active": registry.active,
        "complete": not snapshots or snapshots[0].version == 1,
        "versions": [
            {
                "version": snapshot.version,
                "parent": snapshot.parent,
                "created_at": snapshot.created_at,
                "cause": snapshot.cause,
                "status": status(registry, snapshot.version),
                "segments": [{"id": s.id, "name": s.name} for s in snapshot.segments],
                "lineage": snapshot.lineage,
                "told": told(snapshot),
            }
            for snapshot in snapshots
        ],
    }


def _readable(stored: Iterable[bytes]) -> Iterable[Snapshot]:
    """Also versions of another catalogue: their lineage is worth as much."""
    for data in stored:
        try:
            yield _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue


def show_history(report: dict[str, Any]) -> None:
    """For people: a tree in which each version that did something hangs under the last one before
    it that did. Versions in which centres only moved are counted and not shown."""
    screen = console()
    if not report["versions"]:
        screen.print("no model yet", style="bold")
        return
    if not report["complete"]:
        first = report["versions"][0]["version"]
        screen.print(f"from version {first} on; older ones are on segment-models")
    root = Tree(Text("segments by version", style="bold"), guide_style="dim")
    branches: dict[int, Tree] = {0: root}
    moved = 0
    for version in report["versions"]:
        parent = branches.get(version["parent"], root)
        if not version["lineage"] and version["cause"] == "online":
            moved += 1
            branches[version["version"]] = parent
            continue
        branch = parent.add(_title(version))
        lines = version["told"] or [f"{s['id']} {s['name']}" for s in version["segments"]]
        for line in lines:
            branch.add(Text(printable(line)))
        branches[version["version"]] = branch
    screen.print(root)
    if moved:
        screen.print(f"{counted(moved, 'version')} in which centres moved a little: not shown")
    _show_today(report)


def _title(version: dict[str, Any]) -> Text:
    text = Text(f"version {version['version']}", style="bold")
    text.append(f"  {when(version['created_at'])}, {version['cause'].replace('_', ' ')}", "default")
    if version["status"] in ("active", "waiting"):
        text.append(f"  {version['status']}", "bold green")
    return text


def _show_today(report: dict[str, Any]) -> None:
    for version in report["versions"]:
        if version["version"] == report["active"]:
            names = ", ".join(f"{s['id']} {s['name']}" for s in version["segments"])
            console().print(f"in use, version {version['version']}: {printable(names)}")
