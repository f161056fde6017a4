"""Records as they are stored: without what is zero in them.

A fifth to a half of a record is zero: topics and contacts that an account does not have. Its words
of four bytes are stored that are not, after a head with one bit for each word of the record, the
lowest bit of the first byte for the first word; the head is filled up to a whole word with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.events.batch import Texts

FORMAT = "words that are not zero, 1"
"""Part of the fingerprint of what is stored."""

_WORD = 4
_BITS = 8 * _WORD


class Pairs(Protocol):
    """Some pairs, in order: a list, or what the extension has instead."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> tuple[str, bytes]: ...
    def __iter__(self) -> Iterator[tuple[str, bytes]]: ...


class Packed(Sequence[tuple[str, bytes]]):
    """(account id, state) of some accounts. The extension makes no pairs of them until somebody
    asks for one: thousands of them are much work for the garbage collector."""

    def __init__(self, pairs: Pairs, sent: bytes | None = None) -> None:
        self._pairs = pairs
        self.sent = sent
        """All of them as Redis is sent them (`streams/redis_arguments.py`), where it is known."""

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._pairs)

    @overload
    def __getitem__(self, index: int) -> tuple[str, bytes]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, bytes]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, bytes] | list[tuple[str, bytes]]:
        return list(self)[index] if isinstance(index, slice) else self._pairs[index]


class Unreadable(Exception):
    """A state is not what `pack` makes of a record."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position
        """Of the first such state among those that were given."""


def pack(records: npt.NDArray[np.void], rows: npt.NDArray[np.int64], ids: Texts) -> Packed:
    """The stored form of some of the records, whose size is a multiple of four bytes, with the ids
    of their accounts."""
    size = records.dtype.itemsize
    if native.in_use:
        packed = native.compiled.pack_records(records, size, rows, ids)
        return Packed(packed, packed.sent)
    if not len(rows):
        return Packed([])
    whole = np.dtype((np.void, size))
    words = records.view(whole)[rows].view("<u4").reshape(len(rows), size // _WORD)
    return Packed(list(zip(ids, _pack(words), strict=True)))


def unpack(states: Sequence[bytes], record: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """The records of states. Raises Unreadable."""
    states = list(states)
    records = np.zeros(len(states), record)
    if native.in_use:
        good = native.compiled.unpack_records(states, record.itemsize, records)
    else:
        good = not states or _unpack(states, records.view("<u4").reshape(len(states), -1))
    if not good:
        raise Unreadable([readable(state, record) for state in states].index(False))
    return records


def readable(state: bytes, record: np.dtype[np.void]) -> bool:
    """Whether `unpack` reads it."""
    count = record.itemsize // _WORD
    head = _head_bytes(count)
    filled = int.from_bytes(state[:head], "little")
    return filled >> count == 0 and len(state) == head + filled.bit_count() * _WORD


def _head_bytes(count: int) -> int:
    return -(-count // _BITS) * _WORD


def _pack(words: npt.NDArray[np.uint32]) -> list[bytes]:
    """Of (records, words). All heads and words side by side, of which the words that are zero are
    left out at once."""
    count, head = words.shape[1], _head_bytes(words.shape[1]) // _WORD
    kept = np.ones((len(words), head + count), np.bool_)
    np.not_equal(words, 0, out=kept[:, head:])
    bits = np.packbits(kept[:, head:], axis=1, bitorder="little")
    all_words = np.zeros((len(words), head + count), "<u4")
    all_words.view(np.uint8)[:, : bits.shape[1]] = bits
    all_words[:, head:] = words
    stored = all_words[kept].tobytes()
    ends = (np.count_nonzero(kept, axis=1).cumsum() * _WORD).tolist()
    return [stored[start:end] for start, end in pairwise([0, *ends])]


def _unpack(states: list[bytes], words: npt.NDArray[np.uint32]) -> bool:
    """Fill in (records, words). False: some state cannot be read."""
    count, head = words.shape[1], _head_bytes(words.shape[1]) // _WORD
    sizes = np.array([len(state) for state in states])
    if ((sizes % _WORD != 0) | (sizes < head * _WORD)).any():
        return False
    stored = np.frombuffer(b"".join(states), "<u4")
    ends = sizes.cumsum() // _WORD
    starts = ends - sizes // _WORD
    heads = starts[:, None] + np.arange(head)
    bits = np.unpackbits(stored[heads].view(np.uint8), axis=1, bitorder="little").view(np.bool_)
    filled = bits[:, :count]
    if bits[:, count:].any() or (np.count_nonzero(filled, axis=1) + head != ends - starts).any():
        return False
    is_head = np.zeros(len(stored), np.bool_)
    is_head[heads.ravel()] = True
    words[filled] = stored[~is_head]
    return True
