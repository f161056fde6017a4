"""Zeroed memory that can grow without being copied, for the one large array of a partition."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import numpy.typing as npt


class Pages:
    """Memory of an array of records, from the operating system.

    A copy of a table of 250,000 accounts would hold up the event loop, and the heartbeats on it,
    for a quarter of a second, and need the memory twice. Linux can move pages to a larger range
    instead (mremap(2)). Elsewhere growing copies. Pages that were never written take no memory.
    """

    def __init__(self, record: np.dtype[np.void], count: int) -> None:
        self._record = record
        self._map = _zeroed(count * record.itemsize)

    def array(self) -> npt.NDArray[np.void]:
        """All of it as an array, which must be given up before `grow`."""
        # Through a memoryview, which forbids the map to move as long as the array is there.
        return np.frombuffer(memoryview(self._map), self._record)

    def grow(self, count: int) -> None:
        """Make room for `count` records; those that are there stay, new ones are zero.

        An array that somebody still has keeps the old memory, with its content as of now.
        """
        size = count * self._record.itemsize
        try:
            self._map.resize(size)
        except (BufferError, SystemError):  # somebody has an array; no mremap here
            larger = _zeroed(size)
            larger[: len(self._map)] = self._map
            self._map = larger


def _zeroed(size: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    # Private: the pages that `resize` adds to shared memory could not be used.
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
