"""Redis, `account-segments` and `segment-changes` compared while workers run, and made to agree.

Redis moves on while we read, so what differs at first sight is looked at again, and a difference is
reported only if the account stood still meanwhile: its state is read, then everything committed so
far is waited for to be published, then the rest of the topics is read, then its state once more. An
account whose state changed in between is looked at once more.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from stream_app.errors import Unavailable
from stream_app.events.control import RestateAccount
from stream_app.features.table import Erased, digest_of
from stream_app.streams import topics
from stream_app.streams.comparing import (
    NOTHING,
    UNREADABLE,
    UNSEEN,
    Difference,
    Kind,
    Stored,
    compare,
    stored_of,
)
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Clock, LogReader, Publisher, StateStore
from stream_app.streams.published import Published

_ROUNDS = 5
"""An account that moves in each of them is very busy, and its next change mends what differs."""
_AT_ONCE = 100
_POLL_SECONDS = 0.1
_ID_LENGTH = 256


@dataclass(slots=True)
class Report:
    """What was compared, and what differs."""

    accounts: int = 0
    """In Redis."""
    records: int = 0
    """Accounts on `account-segments`."""
    changes: int = 0
    """Records still on `segment-changes`, repetitions included."""
    counts: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    """Differences by topic and kind, after repair."""
    differences: list[Difference] = field(default_factory=list)
    """The first of them."""
    repaired: int = 0
    unrepaired: dict[int, int] = field(default_factory=dict)
    """Accounts by partition whose record stays wrong after the owner has published it once more:
    what the owner has in memory is not what Redis has."""
    undecided: int = 0
    """Accounts that never stood still, or that wait for an outbox."""
    waiting: dict[int, int] = field(default_factory=dict)
    """Outbox entries of partitions that nobody publishes."""

    @property
    def clean(self) -> bool:
        """Whether nothing differs, for certain."""
        return not self.counts and not self.undecided


class Reconciler:
    """Compares a deployment.

    Parameters
    ----------
    partitions
        Of the deployment.
    patience_seconds
        How long to wait for a worker: to publish its outbox, to take control events.
    limit
        How many differences to keep; all are counted.
    """

    def __init__(
        self,
        store: StateStore,
        reader: LogReader,
        publisher: Publisher,
        messages: Messages,
        clock: Clock,
        *,
        topic_prefix: str,
        partitions: int,
        patience_seconds: float = 30.0,
        limit: int = 20,
    ) -> None:
        self._store, self._reader, self._publisher = store, reader, publisher
        self._messages, self._clock = messages, clock
        self._topic_prefix = topic_prefix
        self._control = topic_prefix + topics.ACCOUNT_CONTROL.name
        self._partitions = partitions
        self._patience_seconds, self._limit = patience_seconds, limit

    async def run(self, *, repair: bool = False) -> Report:
        """Compare all partitions, one after the other. `repair`: ask the owners to publish once
        more where accounts stand whose record on `account-segments` is wrong.

        Raises
        ------
        Unavailable
            Kafka or Redis did not answer, or no worker took what `repair` asked for.
        Incompatible
            A topic is missing.
        """
        report = Report()
        for partition in range(self._partitions):
            published = Published(self._reader, self._topic_prefix, partition, self._partitions)
            candidates = await self._first_look(partition, published, report)
            found, undecided = await self._decide(partition, published, candidates, report)
            if repair and (wrong := _repairable(found)):
                await self._restate(partition, wrong)
                rest, moving = await self._decide(partition, published, wrong, report)
                if still := _repairable(rest):
                    report.unrepaired[partition] = len(still)
                report.repaired += len(set(wrong).difference(moving, still))
                found = [each for each in found if each.account not in wrong] + rest
                undecided += moving
            report.undecided += len(undecided)
            for difference in found:
                report.counts[difference.topic, difference.kind] += 1
            report.differences += found[: max(0, self._limit - len(report.differences))]
        return report

    async def _first_look(self, partition: int, published: Published, report: Report) -> list[str]:
        """Accounts that perhaps differ; what Kafka has of the others is dropped."""
        await published.read_on()
        seen = published.seen
        report.changes += published.changes
        report.records += sum(each.sequence is not None for each in seen.values())
        differs: set[str] = set()
        async for chunk in self._store.load(partition):
            accounts = [account for account, _ in chunk]
            profiles = await self._store.profiles(partition, accounts)
            for (account, state), profile in zip(chunk, profiles, strict=True):
                one, stored = seen.get(account, UNSEEN), stored_of(state, profile)
                if any(compare(account, stored, one, complete=published.complete)):
                    differs.add(account)
                else:
                    one.same = True  # never UNSEEN, which differs from any state
        same = [account for account, one in seen.items() if one.same and account not in differs]
        report.accounts += len(same) + len(differs)
        for account in same:
            del seen[account]
        return sorted(differs | seen.keys())

    async def _decide(
        self, partition: int, published: Published, accounts: Sequence[str], report: Report
    ) -> tuple[list[Difference], list[str]]:
        """The differences of these accounts that are certain, and the accounts of which nothing
        certain can be said."""
        found: list[Difference] = []
        undecided = list(accounts)
        for _ in range(_ROUNDS):
            if not undecided:
                break
            before = await self._stored(partition, undecided)
            if entries := await self._unpublished(partition):
                report.waiting[partition] = entries
                break
            await published.read_on(only=set(undecided))
            after = await self._stored(partition, undecided)
            still = [account for account in undecided if before[account] == after[account]]
            for account in still:
                seen = published.seen.get(account, UNSEEN)
                found += compare(account, after[account], seen, complete=published.complete)
            undecided = sorted(set(undecided).difference(still))
        return found, undecided

    async def _stored(self, partition: int, accounts: Sequence[str]) -> dict[str, Stored]:
        found: list[Stored] = []
        for start in range(0, len(accounts), _AT_ONCE):
            part = accounts[start : start + _AT_ONCE]
            found += await asyncio.gather(*(self._stored_one(partition, each) for each in part))
        return dict(zip(accounts, found, strict=True))

    async def _stored_one(self, partition: int, account: str) -> Stored:
        state, profile = await self._store.account(partition, account)
        if state is not None:
            return stored_of(state, profile)
        past = await self._store.erased(partition, digest_of(account))
        if past is None:
            return NOTHING
        try:
            return stored_of(None, None, msgspec.json.decode(past, type=Erased).sequence)
        except msgspec.DecodeError:
            return UNREADABLE

    async def _unpublished(self, partition: int) -> int:
        """Wait until what is committed now is published. Returns 0, or how many entries are left
        when our patience has ended."""
        length = await self._store.outbox_length(partition)
        # If entries are trimmed in between, this lies too far ahead; an empty outbox will do then.
        end = (await self._store.position(partition)).outbox_first + length
        deadline = self._clock.monotonic() + self._patience_seconds
        while length and (await self._store.position(partition)).outbox_first < end:
            if self._clock.monotonic() > deadline:
                return length
            await asyncio.sleep(_POLL_SECONDS)
            length = await self._store.outbox_length(partition)
        return 0

    async def _restate(self, partition: int, accounts: Sequence[str]) -> None:
        """Have the owner publish where accounts stand: through its outbox, so in order and fenced.
        Returns when the control events are applied."""
        run, now = uuid.uuid4().hex, datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        events = [
            RestateAccount(id=f"reconcile:{run}:{n}", occurred_at=now, account_id=account)
            for n, account in enumerate(accounts)
        ]
        for start in range(0, len(events), _AT_ONCE):
            part = events[start : start + _AT_ONCE]
            await self._publisher.publish([self._messages.redirect(event) for event in part])
        end = (await self._reader.stretches(self._control))[partition].stop
        deadline = self._clock.monotonic() + self._patience_seconds
        while (await self._store.position(partition)).offsets.get(self._control, 0) < end:
            if self._clock.monotonic() > deadline:
                raise Unavailable(
                    f"no worker has taken the {len(events)} control events of partition "
                    f"{partition} within {self._patience_seconds:.0f} seconds",
                    hint="they stay on account-control: start a worker, and compare again",
                )
            await asyncio.sleep(_POLL_SECONDS)


def _repairable(found: Sequence[Difference]) -> list[str]:
    """Accounts that a control event can name, and whose record is wrong."""
    accounts = (each.account for each in found if each.repairable)
    return sorted({account for account in accounts if 0 < len(account) <= _ID_LENGTH})
