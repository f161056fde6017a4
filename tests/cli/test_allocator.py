"""Memory that a worker frees is there for its next batch."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from stream_app.cli import allocator

_CODE = """\
import json, resource, sys
from stream_app.cli.allocator import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else None

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def batch():
    for megabytes in (12, 4, 3):
        b"x" * (megabytes << 20)

batch()
before = faults()
for _ in range(20):
    batch()
print(json.dumps([kept, faults() - before]))
"""


def page_faults(what: str, **environment: str) -> tuple[bool | None, int]:
    """Whether memory is kept, and how often the system had to provide a page for 20 batches."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE, what],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    kept, found = json.loads(done.stdout)
    return kept, found


glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ),
    reason="only with glibc, as it is",
)


@glibc
def test_no_page_is_given_back_and_cleared_again() -> None:
    (_, given_back), (kept, found) = page_faults("leave"), page_faults("keep")
    assert kept
    assert found < 200 < 0.1 * given_back


@glibc
def test_who_sets_the_variables_of_malloc_knows_better() -> None:
    assert page_faults("keep", MALLOC_ARENA_MAX="2")[0] is False


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """The C library of another system."""

    def library(_: Any) -> Other:
        return Other()

    monkeypatch.setattr(allocator.ctypes, "CDLL", library)
    assert not allocator.keep_freed_memory()
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
