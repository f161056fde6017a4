"""Stored accounts by the hundred thousand, made from a few that real events have led to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import numpy as np
import numpy.typing as npt

from stream_app.engine import Engine
from stream_app.events.batch import Kind
from stream_app.events.instants import MINUTE
from stream_app.features.silence import OFFSETS_US
from stream_app.features.table import FeatureTable, states_of
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot
from stream_app.settings import Settings
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit, StateStore
from tests.engine.scenario import snapshot
from tests.features.build import columns, event

TEMPLATES = 400
WRITE_CHUNK = 2_000
"""Accounts per commit, about as many as a worker's."""

MODEL: Snapshot = snapshot(
    1,
    {"silence_days": 25.0},
    {"silence_days": 0.5, "web_visits_7d": 2.0, "web_visits_28d": 3.0},
    {"silence_days": 0.5, "web_visits_7d": 9.0, "web_visits_28d": 15.0},
    {"silence_days": 0.5, "downloads_decision_28d": 2.0, "email_clicks_28d": 2.0},
)
"""Gone quiet, and three ways of being active."""

Records = npt.NDArray[np.void]


@dataclass(frozen=True)
class Templates:
    """Records of accounts whose next silence check falls due at one instant."""

    leaving: Records
    """Those that leave their segment at this check."""
    staying: Records

    def drawn(self, count: int, leaving_share: float, rng: np.random.Generator) -> Records:
        """`count` records, that share of them leaving."""
        leaves = rng.random(count) < leaving_share
        drawn = self.staying[rng.integers(len(self.staying), size=count)]
        drawn[leaves] = self.leaving[rng.integers(len(self.leaving), size=int(leaves.sum()))]
        return drawn


def templates(due_us: int, settings: Settings, seed: int = 1) -> Templates:
    """Let some accounts be active and fall silent together, so that the check at which most of
    them leave their segment falls due at `due_us`."""
    checks = list(_checks(*_silent(due_us, settings, seed), settings))
    most = max(range(len(checks)), key=lambda check: int(checks[check].left.sum()))
    # Again, as long ago as that check asks for. Days begin elsewhere in these accounts' lives then,
    # so another check may be the one at which most leave; at this one many do.
    silent_us = due_us - int(OFFSETS_US[most])
    again = _checks(*_silent(silent_us, settings, seed), settings)
    found = next(islice(again, most, None))
    assert found.left.any()
    assert not found.left.all()
    return Templates(leaving=found.before[found.left], staying=found.before[~found.left])


def _silent(since_us: int, settings: Settings, seed: int) -> tuple[FeatureTable, int]:
    """Accounts whose last event was at one instant."""
    random = Random(seed)
    events = []
    for i in range(TEMPLATES):
        kinds = random.choices(
            [Kind.VISIT, Kind.VISIT_PRICING, Kind.DOWNLOAD_DECISION, Kind.EMAIL_CLICKED],
            [4, 2, 1, 1],
            k=random.randrange(1, 20),
        )
        times = [*(random.randrange(20_000) * MINUTE for _ in kinds[1:]), 0]
        events += [
            event(kind, since_us - ago, f"template-{i}", f"{i}-{n}", contact_id=f"c{n % 4}")
            for n, (kind, ago) in enumerate(zip(kinds, times, strict=True))
        ]
    table = FeatureTable()
    events.sort(key=lambda e: e.occurred_at)
    Engine(settings).step(
        table, columns(events), Assigner(MODEL, Hysteresis.of(settings.segments)), None
    )
    return table, since_us


@dataclass(frozen=True)
class _Check:
    """A silence check of all accounts."""

    before: Records
    """As they were just before it."""
    left: npt.NDArray[np.bool_]
    """Which of them leave their segment at it."""


def _checks(table: FeatureTable, since_us: int, settings: Settings) -> Iterator[_Check]:
    """Every silence check, one after the other."""
    engine, assigner = Engine(settings), Assigner(MODEL, Hysteresis.of(settings.segments))
    for offset_us in OFFSETS_US.tolist():
        before = table.live.copy()
        effects = engine.sweep(table, since_us + offset_us + 1, assigner, None, len(table))
        left = np.zeros(len(table), np.bool_)
        left[table.find([change.account_id for change in effects.changes])] = True
        yield _Check(before, left)


def ids_by_partition(counts: list[int], name: str = "account") -> list[list[str]]:
    """So many account ids of each partition."""
    ids: list[list[str]] = [[] for _ in counts]
    missing, i = sum(counts), 0
    while missing:
        account = f"{name}-{i:07}"
        i += 1
        partition = partition_of(account.encode(), len(counts))
        if len(ids[partition]) < counts[partition]:
            ids[partition].append(account)
            missing -= 1
    return ids


async def store_accounts(
    store: StateStore, partition: int, ids: list[str], chunks: Iterator[Records]
) -> None:
    """Write accounts through commits, as an owner would."""
    position = (await store.claim(partition, "seed")).position
    done = 0
    for records in chunks:
        mine = ids[done : done + len(records)]
        states = list(zip(mine, states_of(records), strict=True))
        done += len(records)
        position = await store.commit(
            partition,
            Commit(position, {}, MODEL.version, position.outbox_first, states=states),
        )
    assert done == len(ids)


def chunked(templates: Templates, count: int, leaving_share: float, seed: int) -> Iterator[Records]:
    """Records for `store_accounts`."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, WRITE_CHUNK):
        yield templates.drawn(min(WRITE_CHUNK, count - start), leaving_share, rng)
