"""The state store as all workers share it, with a book of who may write and what was written.

The checks of every write are made here, apart from the store's own, so that a store which forgets
one is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_app.features.table import digest_of, records_of
from stream_app.streams.memory_log import MemoryRecord
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Claim, Commit, Message, Position
from tests.simulation.constants import CONTROL, PARTITIONS
from tests.simulation.lives import Lives
from tests.simulation.loop import Process

entry_of = msgspec.msgpack.Encoder().encode
"""A message as it lies in the outbox; serves as its identity."""
from_entry = msgspec.msgpack.Decoder(Message).decode


@dataclass(frozen=True, slots=True)
class Batch:
    """One commit, as the oracle repeats it."""

    records: tuple[MemoryRecord, ...]
    """In the order in which the worker got them; empty: a sweep."""
    model: bytes | None
    """The snapshot that was decided with."""
    states: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class _Book:
    """One partition."""

    lives: Lives
    owner: tuple[Process, int] | None = None
    """The process that claimed it last, and the epoch it got."""
    offsets: dict[str, int] = field(default_factory=dict)
    activation: int = 0
    """Number of the model's activation that the owner is known to have heard of."""
    outbox_first: int = 0
    outbox: list[bytes] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    erased: dict[str, bytes] = field(default_factory=dict)
    """What was committed of accounts that were erased."""

    def copy(self) -> _Book:
        return _Book(
            self.lives.copy(),
            self.owner,
            dict(self.offsets),
            self.activation,
            self.outbox_first,
            list(self.outbox),
            list(self.batches),
            dict(self.erased),
        )


class Ledger:
    """Wraps the store; every call of every process comes through here."""

    def __init__(
        self,
        store: MemoryStore,
        refused: Collection[bytes],
        violate: Callable[[str], None],
        note: Callable[[str], None] | None,
    ) -> None:
        self.store = store
        self.books = {p: _Book(Lives(p, refused)) for p in range(PARTITIONS)}
        self.committed: set[bytes] = set()
        """Every outbox entry that was ever committed."""
        self.published: set[bytes] = set()
        """Every message that was ever appended to the log."""
        self.set_back = False
        """Whether the store was ever set back to an older copy."""
        self.belated: set[str] = set()
        """Accounts of which a process published that did not own them any more, or after it had
        stopped waiting for the answer: what the log has last of them may be an older message."""
        self._violate, self._note = violate, note

    async def claim(self, process: Process, partition: int, owner: str) -> Claim:
        claim = await self.store.claim(partition, owner)
        book = self.books[partition]
        book.owner = (process, claim.position.epoch)
        book.activation = self.store._registry.activations
        if self._note:
            self._note(f"{process} claims partition {partition} with epoch {claim.position.epoch}")
        if list(claim.outbox) != book.outbox:
            self._violate(f"claim of partition {partition}: not the outbox that was committed")
        if claim.erased != book.erased:
            self._violate(f"claim of partition {partition}: not the erasures that were committed")
        return claim

    async def commit(
        self,
        process: Process,
        partition: int,
        commit: Commit,
        records: tuple[MemoryRecord, ...] | None,
        models: Mapping[int, bytes],
    ) -> Position:
        """`records`: what the process was given since the expected offsets, up to the new ones;
        None: not all of these. `models`: those that the process has read."""
        position = await self.store.commit(partition, commit)
        book = self.books[partition]
        where = f"commit of partition {partition} by {process}"
        self._check_owner(where, book, process, commit.expected.epoch)
        if dict(commit.expected.offsets) != book.offsets:
            self._violate(f"{where}: went on from {commit.expected.offsets}, not {book.offsets}")
        if any(commit.offsets.get(topic, 0) < at for topic, at in book.offsets.items()):
            self._violate(f"{where}: offsets went back")
        if records is None:
            self._violate(f"{where}: to {dict(commit.offsets)} without the records up to there")
        control = bool(records) and records[0].topic == CONTROL
        # Control records are no occasion to decide anew.
        used = set() if control else {version_of(state) for _, state in commit.states}
        used = used or {commit.model_version}
        if not self.set_back and used != {commit.model_version}:
            self._violate(f"{where}: says model {commit.model_version}, used {used}")
        self._check_model(where, book, commit.model_version)
        self._trimmed(where, book, position.outbox_first)
        book.offsets = dict(commit.offsets)
        if erased := book.lives.apply(records or ()):
            self._check_erased(where, book, partition, erased, commit)
        book.erased.update(commit.erased)
        book.outbox += commit.outbox
        book.batches.append(Batch(records or (), models.get(min(used)), commit.states))
        self.committed.update(commit.outbox)
        if self._note:
            self._note(
                f"{process} commits partition {partition}, revision {position.revision}: "
                f"{_read(commit)}, {len(commit.states)} states, {len(commit.outbox)} messages"
            )
        return position

    async def trim(self, process: Process, partition: int, epoch: int, outbox_first: int) -> None:
        await self.store.trim(partition, epoch, outbox_first)
        book = self.books[partition]
        where = f"trim of partition {partition} by {process}"
        self._check_owner(where, book, process, epoch)
        self._trimmed(where, book, (await self.store.position(partition)).outbox_first)
        if self._note:
            self._note(f"{process} trims the outbox of partition {partition} to {outbox_first}")

    def publishing(
        self, process: Process, messages: Sequence[Message], own: set[str], *, given_up: bool
    ) -> None:
        """Before they are appended. `own`: topics that do not go through the outbox; `given_up`:
        the process waits for the answer no longer."""
        for message in messages:
            key = message.key or b""
            owner = self.books[partition_of(key, PARTITIONS)].owner
            if given_up or owner is None or owner[0] is not process:
                self.belated.add(key.decode())
            if message.topic not in own and entry_of(message) not in self.committed:
                self._violate(f"{process} publishes on {message.topic} what is not committed")

    def appended(self, messages: Sequence[Message]) -> None:
        """They are on the log."""
        self.published.update(map(entry_of, messages))

    def copy(self) -> Any:
        """The whole store and the book, to set it back to later."""
        books = {partition: book.copy() for partition, book in self.books.items()}
        return deepcopy(self.store.__dict__), books

    def restore(self, copy: Any) -> None:
        """Back to a copy."""
        state, books = copy
        self.set_back = True
        self.store.__dict__.update(deepcopy(state))
        self.books = {p: book.copy() for p, book in books.items()}

    def _check_owner(self, where: str, book: _Book, process: Process, epoch: int) -> None:
        if book.owner != (process, epoch):
            self._violate(f"{where}: written with epoch {epoch}, but {book.owner} owns it")

    def _check_model(self, where: str, book: _Book, version: int) -> None:
        """It is the one that was in use at the claim, or came into use since, and none that came
        before one that the owner used already."""
        if self.set_back:
            return
        registry = self.store._registry
        versions = {activation.number: activation.version for activation in registry.history}
        for number in range(book.activation, registry.activations + 1):
            if versions.get(number, 0) == version:
                book.activation = number
                return
        self._violate(f"{where}: decided with model {version}, and not with a later one")

    def _check_erased(
        self, where: str, book: _Book, partition: int, erased: set[str], commit: Commit
    ) -> None:
        """Nothing of an erased account stays in the store: neither what is known of it, nor what
        was to be published before. `book` has what was committed before."""
        stored = self.store._partitions[partition]
        gone = {
            message.key
            for message in map(from_entry, commit.outbox)
            if message.topic == "account-segments" and message.value is None
        }
        for account in sorted(erased):
            key = account.encode()
            if account in stored.states or account in stored.profiles:
                self._violate(f"{where}: {account} was erased, but is in the store")
            if any(from_entry(entry).key == key for entry in book.outbox):
                self._violate(f"{where}: {account} was erased, but is in the outbox")
            if key not in gone:
                self._violate(f"{where}: {account} was erased, but no tombstone says so")
            if digest_of(account) not in stored.erased:
                self._violate(f"{where}: nothing is remembered of {account}, which was erased")

    def _trimmed(self, where: str, book: _Book, outbox_first: int) -> None:
        """Drop from the book what the store has dropped; all of it must be on the log."""
        gone = outbox_first - book.outbox_first
        lost = [entry for entry in book.outbox[:gone] if entry not in self.published]
        if lost:
            self._violate(f"{where}: trimmed {len(lost)} entries that are not on the log")
        del book.outbox[:gone]
        book.outbox_first = outbox_first


def _read(commit: Commit) -> str:
    """The offsets that a commit passes over."""
    before = commit.expected.offsets
    passed = [
        f"{topic} {before.get(topic, 0)}-{offset - 1}"
        for topic, offset in commit.offsets.items()
        if offset != before.get(topic, 0)
    ]
    return ", ".join(passed) or "a sweep"


def version_of(state: bytes) -> int:
    """The model version in a stored account."""
    return int(records_of([""], [state])["model"][0])
