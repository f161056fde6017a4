"""What becomes of large pieces of memory that were freed."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 128 * 1024 * 1024
_LARGEST_BYTES = 32 * 1024 * 1024  # glibc takes no more


def keep_freed_memory() -> bool:
    """Let the process keep some memory that it frees, up to 128 MiB, for its next use.

    Every batch makes arrays and messages of a few megabytes. glibc's malloc gives pieces of this
    size back to the operating system, which clears each page anew when the next batch asks for it:
    a quarter of what an event costs a worker with a million accounts. Returns whether there is
    anything to set; not elsewhere than with glibc, and not where the variables of its malloc are
    set, because who sets them knows better.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
