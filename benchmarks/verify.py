"""Whether a peer publishes the changes that the reference does: `python -m benchmarks.verify quix`.

Each phase writes events to one topic only, and waits until all of them were processed: so there is
one right order, though consumers are free to take the topics in any. Between two phases the peer is
stopped and started again, and has to go on with the state that it kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.broker import PARTITIONS, Broker, Watch
from benchmarks.contenders import Contender, Place, wait
from benchmarks.job import document
from benchmarks.load import INPUTS, LAST, Item, Load, items, marker
from benchmarks.peers.reference import Reference
from benchmarks.peers.registry import HERE, PEERS, Peer
from benchmarks.processes import Failed, Program
from benchmarks.section import LeftOut
from tests.services import kafka, redis
from tests.services.cache import ROOT as CACHE

REFERENCE = HERE / "reference.py"
PHASES = 6
EVENTS = 3_000
"""Drawn in each phase; those of the phase's topic are written."""
ACCOUNTS = 120
SPAN_SECONDS = 70 * 86_400.0
RESTART_AFTER = 3
SETTLE_SECONDS = 3.0
"""Before a restart: peers commit every second."""
PATIENCE_SECONDS = 90.0

Moves = dict[str, list[tuple[int | None, int]]]
"""Account -> (previous, current) in order."""


def phases() -> list[list[Item]]:
    """Events of each phase by time, markers at its end."""
    ends_us = time.time_ns() // 1_000 - 60_000_000
    drawn = list(items(Load(PHASES * EVENTS, ACCOUNTS, 0.5, SPAN_SECONDS, ends_us, seed=7)))
    found = []
    for number in range(PHASES):
        topic = INPUTS[number % len(INPUTS)]
        part = [i for i in drawn[number * EVENTS : (number + 1) * EVENTS] if i.topic == topic]
        ends = [
            marker(f"{LAST}{number}", topic, p, PARTITIONS, part[-1].at_us)
            for p in range(PARTITIONS)
        ]
        found.append(part + ends)
    return found


def expected(batches: Sequence[Sequence[Item]]) -> Moves:
    """What the reference says."""
    reference = Reference(document())
    moves: Moves = defaultdict(list)
    for item in (item for batch in batches for item in batch):
        change = reference.apply(item.topic, json.loads(item.value))
        if change is not None:
            moves[change.account].append((change.previous, change.current))
    return moves


async def verify(peer: Peer, packages: Path, place: Place) -> int:
    """Compare; returns the number of changes. Raises Failed."""
    prefix = f"verify-{uuid.uuid4().hex[:6]}."
    await place.broker.create_all(prefix)
    batches = phases()
    state = place.folder / f"{peer.name}-{uuid.uuid4().hex[:8]}"
    contender = peer.contender(packages, state)
    moves: Moves = defaultdict(list)
    for part in (range(RESTART_AFTER), range(RESTART_AFTER, PHASES)):
        for account, found in (await _part(contender, place, prefix, batches, part)).items():
            moves[account] += found
    _compare(peer.title, moves, expected(batches))
    place.clear_redis()
    return sum(map(len, moves.values()))


def verified(peer: Peer, packages: Path, place: Place) -> Coroutine[Any, Any, None] | None:
    """What is to be awaited before the peer may be timed; None: it was verified as it is now."""
    digest = hashlib.sha256(json.dumps(document()).encode())
    for file in [*sorted((HERE / peer.name).rglob("*")), HERE / "shared/scoring.py", REFERENCE]:
        if file.is_file() and file.suffix in {".py", ".java", ".xml", ".txt"}:
            digest.update(file.read_bytes())
    done = CACHE / f"bench-verified-{peer.name}-{digest.hexdigest()[:12]}"
    if done.exists():
        return None

    async def remember() -> None:
        changes = await verify(peer, packages, place)
        done.write_text(f"{changes} changes\n")

    return remember()


async def _part(
    contender: Contender,
    place: Place,
    prefix: str,
    batches: Sequence[Sequence[Item]],
    numbers: range,
) -> Moves:
    """Run the peer over some phases."""
    log = place.folder / f"{contender.name}-verify.log"
    async with (
        contender.start(place, prefix) as start,
        place.broker.watching(start.output) as watch,
    ):
        with Program(contender.name, start.command, start.environment, log) as program:
            for number in numbers:
                await place.broker.put(prefix, batches[number])

                def done(seen: Watch, number: int = number) -> bool:
                    begins = f"{LAST}{number}-"
                    return sum(m.startswith(begins) for m in seen.marked) == PARTITIONS

                await wait(watch, program, done, PATIENCE_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
        moves: Moves = defaultdict(list)
        for record in watch.records:
            change = json.loads(record.value)
            moves[change["account_id"]].append((change["previous"], change["current"]))
    return moves


def _compare(title: str, found: Mapping[str, list[tuple[int | None, int]]], wanted: Moves) -> None:
    wrong = sorted(a for a in wanted.keys() | found.keys() if found.get(a) != wanted.get(a))
    if wrong:
        account = wrong[0]
        raise Failed(
            f"{title} does another job: {len(wrong)} of {len(wanted)} accounts differ; "
            f"{account} has {found.get(account)}, expected {wanted.get(account)}"
        )


def main() -> int:
    """Verify the peers that are named; all without a name."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    wanted = sys.argv[1:] or [peer.name for peer in PEERS]
    bad = 0
    with (
        kafka(own=True) as log,
        redis(own=True) as store,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
    ):
        place = Place(Broker(log.address), store.url, Path(folder))
        for peer in (p for p in PEERS if p.name in wanted):
            try:
                changes = asyncio.run(verify(peer, peer.install(), place))
                print(f"{peer.title}: {changes} changes, all as the reference has them")
            except (LeftOut, Failed) as error:
                bad += 1
                print(f"{peer.title}: {error}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
