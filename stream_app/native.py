"""Whether the compiled extension is there and is to be used.

What it does, Python does too, bit for bit and slower. Code asks `in_use` when it works, not when it
is imported, so that one process can take either path:

    if native.in_use:
        native.compiled.contact_buckets(hashes, out)
"""

from __future__ import annotations

import os

INTERFACE = 15
"""Version of the extension that this program needs; see native/README.md."""

__all__ = ["INTERFACE", "available", "compiled", "in_use", "path"]

_installed = True
try:
    import stream_app_native as compiled
except ImportError:
    compiled = None  # type: ignore[assignment]
    _installed = False

_found = getattr(compiled, "INTERFACE", None)
_wanted = os.environ.get("STREAM_APP_NATIVE", "") != "0"

available = _found == INTERFACE
"""Whether the extension is there, wanted or not."""
in_use = _wanted and available
"""Whether the extension is used. Tests set it to take the other path."""


def path() -> tuple[str, str]:
    """Which path is in use, and what to do for the faster one; the latter "" where it is in use."""
    if in_use:
        return "the compiled extension is in use", ""
    if available or not _wanted:
        return "pure Python, because STREAM_APP_NATIVE is 0", "unset it: the extension is faster"
    if not _installed:
        return (
            "pure Python: the compiled extension is not installed",
            "install it for more speed: `make native` (needs Rust), or its wheel",
        )
    return (
        f"pure Python: the compiled extension has interface {_found}, not {INTERFACE}",
        "build it again: `make native`",
    )
