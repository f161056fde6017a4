"""What a run led to, without what legitimately differs: when it was decided, and repetitions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from stream_app.streams import topics
from tests.worker.scenario import Line
from tests.worker.world import World

Payload = dict[str, Any]
Numbered = dict[tuple[str, int], Payload]


@dataclass
class Outcome:
    """Compared as a whole."""

    states: dict[str, bytes] = field(default_factory=dict)
    """Account -> its record in the store, byte for byte."""
    profiles: dict[str, bytes] = field(default_factory=dict)
    changes: Numbered = field(default_factory=dict)
    spikes: Numbered = field(default_factory=dict)
    letters: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Id -> key, value and headers."""
    forwarded: set[tuple[bytes | None, bytes | None]] = field(default_factory=set)


def outcome(world: World) -> Outcome:
    """The outcome so far. Checks on the way that changes and spikes come in order, without a gap,
    and that what comes twice is the same both times."""
    found = Outcome(
        changes=_numbered(world, topics.SEGMENT_CHANGES.name, "sequence"),
        spikes=_numbered(world, topics.INTENT_SPIKES.name, "number"),
    )
    for p in range(world.partitions):
        found.states |= world.store._partitions[p].states
        found.profiles |= world.store._partitions[p].profiles
    for record in world.read(topics.DEAD_LETTERS.name):
        headers = dict(record.headers)
        headers.pop("ce_time")
        letter = (record.key, record.value, tuple(sorted(headers.items())))
        assert found.letters.setdefault(headers["ce_id"].decode(), letter) == letter
    found.forwarded = {(r.key, r.value) for r in world.read(topics.ENGAGEMENT.name)}
    return found


async def undisturbed_outcome(lines: list[Line]) -> Outcome:
    """What one worker that nothing happens to makes of these records."""
    world = await World.create(lines)
    node = await world.node().start()
    await world.finish()
    await node.stop()
    return outcome(world)


def published(world: World, topic: str) -> list[Payload]:
    """Every payload of a topic, repetitions included."""
    return [json.loads(record.value or b"null") for record in world.read(topic)]


def repeated(world: World) -> int:
    """How many records of `segment-changes` have an id that another one has, too."""
    ids = [dict(r.headers)["ce_id"] for r in world.read(topics.SEGMENT_CHANGES.name)]
    return len(ids) - len(set(ids))


def _numbered(world: World, topic: str, number: str) -> Numbered:
    found: Numbered = {}
    last: dict[str, int] = {}
    for payload in published(world, topic):
        account = payload["account_id"]
        rest = {k: v for k, v in payload.items() if k not in {"decided_at", "lag_ms"}}
        known = found.setdefault((account, payload[number]), rest)
        if known is rest:
            assert payload[number] == last.get(account, 0) + 1, f"{account} has a gap"
            last[account] = payload[number]
        assert known == rest, "the same id with another content"
    return found
