"""Where things of a partition go when there are more partitions than before. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import numpy as np

from stream_app.errors import Incompatible
from stream_app.features.table import Erased, records_of
from stream_app.streams.partitioning import partition_of
from stream_app.streams.processor import Summary

_decode_erased = msgspec.json.Decoder(Erased).decode


def homes_of(source: int, before: int, after: int) -> range:
    """The new partitions in which accounts of an old one may be. If `after` is a multiple of
    `before`, an old partition falls apart into that many; else its accounts go everywhere.

    >>> list(homes_of(1, 4, 8)), list(homes_of(1, 4, 6))
    ([1, 5], [0, 1, 2, 3, 4, 5])
    """
    return range(source, after, before) if after % before == 0 else range(after)


def by_home(accounts: Iterable[str], partitions: int) -> dict[int, list[str]]:
    """Accounts by their new partition."""
    found: dict[int, list[str]] = {}
    for account in accounts:
        found.setdefault(partition_of(account.encode(), partitions), []).append(account)
    return found


def all_names(of_sources: Iterable[Mapping[int, str]]) -> dict[int, str]:
    """Topic names of several partitions. Which accounts have a topic is not looked at. Where two
    names share a hash, the first one stands for both, as it does within a partition."""
    found: dict[int, str] = {}
    for names in of_sources:
        found = {**names, **found}
    return found


def all_erased(of_sources: Iterable[Mapping[str, bytes]]) -> dict[str, bytes]:
    """What remains of the erased accounts of several partitions.

    A digest does not tell which partition its account belongs to, so each new partition gets those
    of all that its accounts may come from. Most of it is never looked at: only the partition of an
    account asks for its digest, when the account comes again. For the same reason one digest may be
    in several partitions by an earlier move; then the one of the account's own partition is the
    newest.
    """
    found: dict[str, bytes] = {}
    for erased in of_sources:
        for digest, past in erased.items():
            known = found.get(digest)
            found[digest] = past if known is None else max(known, past, key=_age)
    return found


def _age(past: bytes) -> tuple[int, int, int]:
    erased = _decode_erased(past)
    return erased.sequence, erased.spikes, erased.at_us


@dataclass
class Count:
    """The accounts of one new partition as they are read back, and what is shown of them."""

    home: int
    partitions: int
    segments: Counter[int] = field(default_factory=Counter)
    changes: int = 0
    spikes: int = 0
    seen: set[str] = field(default_factory=set)

    def add(self, chunk: Sequence[tuple[str, bytes]]) -> None:
        """Count accounts that were not seen yet: a store may give one twice. Raises Incompatible
        for one that does not belong here, or whose state cannot be read."""
        fresh = {id_: state for id_, state in chunk if id_ not in self.seen}
        self.seen.update(fresh)
        for account in fresh:
            if partition_of(account.encode(), self.partitions) != self.home:
                raise Incompatible(f"{account!r} does not belong to partition {self.home}")
        records = records_of(list(fresh), list(fresh.values()))
        segments, counts = np.unique(records["segment"], return_counts=True)
        self.segments.update(dict(zip(segments.tolist(), counts.tolist(), strict=True)))
        self.changes += int(records["sequence"].sum())
        self.spikes += int(records["spikes"].sum())

    def summary(self, before: bytes, now_us: int) -> Summary:
        """For displays. `before`: the summary of the old partition of the same number, empty where
        there is none. The counts of earlier days stay with it, so that they add up over all
        partitions; those of each alone come true within a week."""
        days = []
        with suppress(msgspec.DecodeError):
            days = msgspec.json.decode(before, type=Summary).days
        segments = dict(sorted(self.segments.items()))
        return Summary(len(self.seen), segments, self.changes, self.spikes, now_us, days)
