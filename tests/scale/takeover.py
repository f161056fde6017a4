"""A worker with a busy partition takes over a large one."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from dataclasses import dataclass

from stream_app.features.table import ACCOUNT
from stream_app.settings import Settings
from tests.scale import memory
from tests.scale.accounts import chunked, ids_by_partition, store_accounts, templates
from tests.scale.loop import WatchedLoop
from tests.scale.rig import DAY_US, Rig, until
from tests.scale.traffic import Traffic

LARGE, BUSY = 0, 1
EVENTS_PER_SECOND = 400.0
BEFORE_SECONDS = 3.0


@dataclass(frozen=True)
class Takeover:
    """What was measured. "Meanwhile" is from the claim until the partition is read."""

    accounts: int
    """Accounts that the worker says the partition has."""
    claim_seconds: float
    cpu_seconds: float
    """CPU of the loop's thread meanwhile, with all else that it did."""
    rounds: int
    """Rounds of the event loop meanwhile: how often it looked at sockets and timers."""
    longest_round_ms: float
    longest_round_cpu_ms: float
    table_bytes: int
    """Size of the accounts' records."""
    peak_growth_bytes: int
    """Most memory meanwhile, beyond what there was before."""
    bytes_per_account: float
    """Memory afterwards beyond what there was before, by accounts."""
    commits: int
    """Commits of the busy partition meanwhile."""
    commits_per_second: float
    commits_per_second_before: float
    longest_pause_ms: float
    """Longest time without a commit of the busy partition meanwhile."""
    claims: int
    """Claims of the worker in all: one for each partition if it never lost one."""


async def takeover(settings: Settings, accounts: int, *, kafka: bool) -> Takeover:
    """Measure one takeover. Needs Redis, and Linux for the figures about memory."""
    rig = Rig(2, settings, redis=True, kafka=kafka)
    notes = rig.notes
    await rig.prepare()
    await _fill(rig, accounts)
    publisher = rig.publisher()
    traffic = Traffic(
        publisher,
        notes,
        rig.clock.real_us,
        topic_prefix=rig.prefix,
        partitions=2,
        only=BUSY,
        events_per_second=EVENTS_PER_SECOND,
    )
    async with AsyncExitStack() as holding, AsyncExitStack() as rest:
        holder = await holding.enter_async_context(rig.holding())
        await until(lambda: len(holder.owns) == 2)
        await rest.enter_async_context(rig.working())
        await until(lambda: holder.owns == {LARGE} and BUSY in notes.reading)
        await rest.enter_async_context(rig.offering(traffic, publisher))
        await asyncio.sleep(BEFORE_SECONDS)
        gc.collect()
        memory.forget_peak()
        resident = memory.resident_bytes()
        await holding.aclose()
        await until(lambda: LARGE in notes.reading)
        return _measured(rig, resident)
    raise AssertionError  # the contexts suppress nothing


async def _fill(rig: Rig, accounts: int) -> None:
    # Due tomorrow: the sweep has nothing to do with them.
    drawn = templates(rig.clock.real_us() + DAY_US, rig.settings)
    (ids, _) = ids_by_partition([accounts, 0])
    await store_accounts(rig.store, LARGE, ids, chunked(drawn, accounts, 0.5, seed=1))


def _measured(rig: Rig, resident: int) -> Takeover:
    notes, loop = rig.notes, asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    began, ended = notes.claimed[LARGE], notes.reading[LARGE]
    seconds = ended - began
    rounds = loop.slices(began, ended)
    commits = [at for at in notes.commits[BUSY] if began <= at < ended]
    pauses = [b - a for a, b in zip([began, *commits], [*commits, ended], strict=True)]
    # Of the last second the group may have needed a part to find out who owns what.
    before = [at for at in notes.commits[BUSY] if began - BEFORE_SECONDS <= at < began - 1.0]
    accounts = int(rig.count("accounts", partition=str(LARGE)))
    return Takeover(
        accounts=accounts,
        claim_seconds=seconds,
        cpu_seconds=sum(each.cpu_seconds for each in rounds),
        rounds=len(rounds),
        longest_round_ms=1e3 * max(each.seconds for each in rounds),
        longest_round_cpu_ms=1e3 * max(each.cpu_seconds for each in rounds),
        table_bytes=accounts * ACCOUNT.itemsize,
        peak_growth_bytes=memory.peak_bytes() - resident,
        bytes_per_account=(memory.resident_bytes() - resident) / accounts,
        commits=len(commits),
        commits_per_second=len(commits) / seconds,
        commits_per_second_before=len(before) / (BEFORE_SECONDS - 1.0),
        longest_pause_ms=1e3 * max(pauses),
        claims=int(rig.count("claim_seconds_count")),
    )
