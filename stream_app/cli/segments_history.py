"""What `stream-app segments history` finds and prints: the family tree of the segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from rich.text import Text
from rich.tree import Tree

from stream_app.cli.lineage import told
from stream_app.cli.model_list import status
from stream_app.cli.output import console, printable, row, table, when
from stream_app.cli.stored import registered
from stream_app.segments.family import Life, line_to, lives
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.registry import Registry

_decode = msgspec.json.Decoder(Snapshot).decode


async def history(settings: Settings) -> dict[str, Any]:
    """How the segments in use came about. Raises as `registered`, and what Redis raises."""
    store = RedisStore(settings.redis)
    try:
        await registered(store, settings)
        registry = await store.registry()
        found = [await store.snapshot(version) for version in registry.versions]
    finally:
        await store.stop()
    snapshots = {s.version: s for s in _readable(each[1] for each in found if each)}
    line = line_to(registry.active, snapshots)
    return {
        "active": registry.active,
        "complete": not line or line[0].parent == 0,
        "segments": list(lives(line).values()),
        "line": [snapshot.version for snapshot in line],
        "versions": [_facts(snapshot, registry) for snapshot in snapshots.values()],
    }


def _readable(stored: Iterable[bytes]) -> Iterable[Snapshot]:
    """Also versions of another catalogue: their lineage is worth as much."""
    for data in stored:
        try:
            yield _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue


def _facts(snapshot: Snapshot, registry: Registry) -> dict[str, Any]:
    return {
        "version": snapshot.version,
        "parent": snapshot.parent,
        "created_at": snapshot.created_at,
        "cause": snapshot.cause,
        "status": status(registry, snapshot.version),
        "segments": [{"id": s.id, "name": s.name} for s in snapshot.segments],
        "lineage": snapshot.lineage,
        "told": told(snapshot),
    }


def show_history(report: dict[str, Any]) -> None:
    """For people: the family tree, and below it what happened when."""
    screen = console()
    if not report["active"]:
        screen.print("no model yet", style="bold")
        return
    versions = {version["version"]: version for version in report["versions"]}
    screen.print(f"how the segments of version {report['active']} came about", style="bold")
    screen.print(_tree(report["segments"], versions))
    rows = table("version", "made", "cause", "what it did", right=("version",))
    shown = [versions[v] for v in report["line"]]
    for version in shown:
        first = "" if version["parent"] else f"{len(version['segments'])} segments"
        what = "\n".join(printable(line) for line in version["told"]) or first
        if what:
            cause = version["cause"].replace("_", " ")
            row(rows, version["version"], when(version["created_at"]), cause, Text(what))
    screen.print()
    screen.print(rows)
    if not report["complete"]:
        screen.print("versions before these are not in Redis any more, but on segment-models")
    waiting = [v for v in report["versions"] if v["status"] == "waiting"]
    for version in waiting:
        what = "; ".join(version["told"]) or "nothing that changes segments"
        screen.print(f"waits: version {version['version']} would do: {printable(what)}")


def _tree(members: list[Life], versions: dict[int, dict[str, Any]]) -> Tree:
    root = Tree("", hide_root=True, guide_style="dim")
    names = {life.id: life.name for life in members}
    branches: dict[int, Tree] = {}
    for life in members:  # a parent is older than its children
        trunk = root if life.parent is None else branches.get(life.parent, root)
        branches[life.id] = trunk.add(_label(life, names, versions))
    return root


def _label(life: Life, names: dict[int, str], versions: dict[int, dict[str, Any]]) -> Text:
    gone = life.until is not None
    text = Text(printable(f"{life.id} {life.name}"), style="dim" if gone else "bold green")
    since = versions[life.since]
    text.append(f"  since version {life.since}, {since['created_at'][:10]}", "default")
    if life.until is not None:
        into = ", ".join(f"{id_} {names.get(id_, '')}".rstrip() for id_ in life.into)
        went = f", into {into}" if into else ""
        text.append(f"; gone with version {life.until}{printable(went)}")
    if life.former_names:
        text.append(printable(f"; was called {', '.join(life.former_names)}"))
    return text
