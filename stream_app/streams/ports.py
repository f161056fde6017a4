"""The contracts between the worker and the world: the event log, the state store and the clock.

Each port has two adapters, a real one and an in-memory one, and one conformance suite that runs
over both (`tests/conformance`). Adapters translate foreign exceptions to `stream_app.errors` at
this border; nothing inside imports Kafka's or Redis's error types.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from stream_app.streams.registry import Registry

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """One record read from the log. aiokafka's `ConsumerRecord` fits as it is."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> Any: ...
    @property
    def value(self) -> Any: ...
    @property
    def headers(self) -> Any: ...
    @property
    def timestamp(self) -> int: ...


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to publish. `array_like` keeps its form in the outbox small (msgpack)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Listener(Protocol):
    """Who is told about assignment. Called from the log's own task, one call at a time; must not
    call `poll`. What a call raises comes out of the next `poll`. A rebalance waits for a call that
    is still running, so long work (loading state) belongs elsewhere."""

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """These partitions are about to go to someone else. Finish work in flight; the log waits
        for this call (the listener keeps its own deadline)."""

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """The complete set of partitions this member now owns (not only the new ones). `poll`
        returns nothing of a partition until `seek` was called for it after this call."""


class EventLog(Protocol):
    """Consuming side of Kafka: one member of a consumer group over co-partitioned topics.

    "Partition p" means partition p of every consumed topic together. An adapter must refuse
    (`Incompatible`) to start when the topics' partition counts differ.
    """

    @property
    def topics(self) -> tuple[str, ...]:
        """The consumed topics."""

    async def start(self, listener: Listener) -> int:
        """Join the group. Returns the number of partitions. Raises `Unavailable`,
        `Incompatible` (counts differ, topic missing; the message names the topics)."""

    async def stop(self) -> None:
        """Leave the group at once, so that others take over without waiting for a time-out.
        `on_revoked` is not called; the caller has finished its work before."""

    async def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Record]]:
        """Up to `max_records` new records, by partition; per topic in offset order. Returns an
        empty dict after `timeout_seconds` without records. Raises `Unavailable` when the log
        cannot be reached (call again: nothing was lost; the group may assign everything anew),
        and what a call of the listener has raised."""

    async def seek(self, partition: int, offsets: Mapping[str, int]) -> dict[str, int]:
        """Read `partition` from these next offsets on (topic -> offset; a topic that is absent
        starts at its beginning) and deliver it from now on. Returns the offsets really used: an
        offset that the log does not have becomes the earliest there is, and the caller reports
        the gap. It has been removed by retention, or it lies beyond the end because the topic was
        deleted and created anew. Returns {} without effect for a partition that is not assigned
        (any more). Raises `Unavailable`."""

    def pause(self, partition: int) -> None:
        """Stop delivering `partition` until the next `seek` (back-pressure, or not ready yet)."""

    async def end_offsets(self, partition: int) -> dict[str, int]:
        """Next offset that will be written, per topic, as of now: how far behind a reader is."""

    def show_progress(self, partition: int, offsets: Mapping[str, int]) -> None:
        """Commit offsets to the group for lag displays only, now and then, best effort. The truth
        is in the state store; a failure here is ignored."""


class LogReader(Protocol):
    """Reading Kafka from outside of any group: every stretch of a topic, as often as one likes."""

    async def start(self) -> None:
        """Connect. Raises `Unavailable` or `ConfigError`."""

    async def stop(self) -> None: ...

    async def stretches(self, topic: str, since_us: int | None = None) -> dict[int, range]:
        """The offsets that each partition has now, from the oldest to the newest. `since_us`: from
        the first record on that was written at this instant or later. Raises `Incompatible` when
        there is no such topic, or `Unavailable`."""

    def read(self, topic: str, stretches: Mapping[int, range]) -> AsyncIterator[list[Record]]:
        """The records of these stretches in batches of bounded size, of each partition in offset
        order. Offsets that are gone are passed over. One `read` at a time; it may be left before
        its end. Raises `Unavailable`."""


class Publisher(Protocol):
    """Producing side of Kafka."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append in order; messages of one key keep their order, also across calls made one
        after another. Returns when every message is acknowledged by all in-sync replicas. Raises
        `Unavailable` when that is not known for at least one of them; publishing the same
        messages again is then safe for readers, who see equal ids. Raises `Incompatible` when it
        never will be: the topic does not exist, or takes no message of that size."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands, as the store has it."""

    epoch: int
    """Which owner; grows with each claim. 0: never claimed. At least the store's clock in
    microseconds, so that a store that was set back to an older copy does not give one twice."""
    revision: int = 0
    """Number of commits ever applied. Tells after an unknown outcome whether one was applied."""
    offsets: Mapping[str, int] = field(default_factory=dict)
    """Next offset to read, per topic."""
    model_version: int = 0
    """Snapshot that the partition's accounts were last assigned with. 0: none yet."""
    outbox_first: int = 0
    """Index of the oldest outbox entry not yet trimmed, counted since the partition began."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a new owner gets."""

    position: Position
    outbox: tuple[bytes, ...]
    """Entries decided but perhaps not published, oldest first; the first has index
    `position.outbox_first`."""
    names: Mapping[int, str]
    """Topic names by their 32-bit hash, as `Commit.names` collected them."""
    erased: Mapping[str, bytes]
    """What remains of erased accounts, as `Commit.erased` collected it."""
    summary: bytes = b""
    """The last `Commit.summary`, empty where none. For displays: it may be an earlier one."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic write. All or nothing."""

    expected: Position
    """Must equal the stored position in epoch, revision and offsets."""
    offsets: Mapping[str, int]
    """New next offsets, for every topic that has one (unchanged ones too)."""
    model_version: int
    outbox_first: int
    """Entries before this index are acknowledged and may go. An index that a `trim` has passed in
    the meantime is fine; nothing comes back."""
    states: Sequence[tuple[str, bytes]] = ()
    """Account id -> packed state, to write."""
    profiles: Sequence[tuple[str, bytes]] = ()
    """Account id -> JSON for people and tools, to write."""
    removed: Sequence[str] = ()
    """Account ids whose state and profile go. They go first: an account that is also in `states`
    begins anew."""
    outbox: Sequence[bytes] = ()
    """Entries to append."""
    names: Sequence[tuple[int, str]] = ()
    """New topic names by hash."""
    erased: Sequence[tuple[str, bytes]] = ()
    """What remains of accounts that were erased, by a digest of their id; kept for ever."""
    summary: bytes = b""
    """JSON with the partition's counts for displays; empty: unchanged."""


class StateStore(Protocol):
    """Redis: the truth about every partition."""

    async def start(self) -> None:
        """Connect. Raises `Unavailable`, `Incompatible` (e.g. an evicting memory policy), or
        `ConfigError` (no such user, or a right that is needed is missing)."""

    async def stop(self) -> None:
        """Wait for writes under way, each within its time limit, and disconnect."""

    async def register(self, partitions: int, layout: str) -> None:
        """Remember the number of partitions and the state layout at the first start; at later
        starts raise `Incompatible` when either differs, or while the state is being moved to
        another number of partitions (`deployment.py`). From here on, calls that name a partition
        mean those that are in use now."""

    async def deployment(self) -> tuple[int, str] | None:
        """What is remembered: (partitions, layout); None: nothing yet. Calls that name a partition
        mean these, as after `register`."""

    async def claim(self, partition: int, owner: str) -> Claim:
        """Take ownership: raise the epoch, so that every earlier owner is fenced, and read
        what a new owner needs. `owner` is kept for displays. Raises `Fenced` when somebody else
        claimed it before all was read, `Incompatible` when it was closed for good."""

    def load(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        """All (account id, state) of a partition in chunks of bounded size, each at least once.
        Only meaningful for the owner."""

    async def position(self, partition: int) -> Position:
        """The stored position."""

    async def commit(self, partition: int, commit: Commit) -> Position:
        """Apply `commit` and return the new position (revision + 1), or raise with nothing
        written: `Fenced` (the epoch is not mine), `Moved` (revision or offsets differ, or the
        outbox ends before `outbox_first`), `Unavailable` (never sent, or refused for now),
        `Incompatible` or `ConfigError` (refused for good). `OutcomeUnknown`: sent, no answer; the
        connection is discarded, so that a late answer cannot reach another caller. A cancelled
        call returns at once, and the commit may or may not be applied, now or a little later."""

    async def trim(self, partition: int, epoch: int, outbox_first: int) -> None:
        """Drop acknowledged outbox entries outside a commit. `Fenced` when the epoch is not mine.
        An index that is already gone is fine; `Moved` when it lies beyond the outbox's end."""

    async def account(self, partition: int, account_id: str) -> tuple[bytes | None, bytes | None]:
        """(state, profile) of one account, None where absent."""

    async def profiles(self, partition: int, accounts: Sequence[str]) -> list[bytes | None]:
        """The profile of each of these accounts, None where absent."""

    async def outbox_length(self, partition: int) -> int:
        """How many outbox entries are not trimmed yet."""

    async def names(self, partition: int) -> dict[int, str]:
        """Topic names by hash, for displays; an owner gets them with its claim."""

    async def erased(self, partition: int, digest: str) -> bytes | None:
        """What remains of an account that was erased, None: it never was."""

    async def summaries(self, partitions: int) -> list[bytes]:
        """The last `Commit.summary` of each partition, empty where none."""

    async def registry(self) -> Registry:
        """Which versions of the model there are, and which one is in use. A few kilobytes;
        workers ask about once a second. Raises `Incompatible` when it cannot be read."""

    async def snapshot(self, version: int | None = None) -> tuple[int, bytes] | None:
        """(version, snapshot), the one in use by default; None where absent."""

    async def update_registry(
        self,
        expected: Registry,
        changed: Registry,
        *,
        snapshot: tuple[int, bytes] | None = None,
        trainer: bytes | None = None,
    ) -> bool:
        """Write `changed`, together with a new snapshot and the trainer's checkpoint where they
        are given, and drop the snapshots that it does not have any more; if the stored registry
        still has the revision of `expected`. False: somebody else was first; nothing was
        written."""

    async def trainer_checkpoint(self) -> bytes | None:
        """The trainer's checkpoint as last saved, None: never."""

    async def save_trainer_checkpoint(self, trainer: bytes) -> None:
        """Store the trainer's checkpoint without a snapshot."""


class Clock(Protocol):
    """Time as a parameter."""

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
