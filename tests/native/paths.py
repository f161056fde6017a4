"""Choosing between the compiled extension and pure Python; most tests take `both_paths`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stream_app import native


@contextmanager
def taking(path: str) -> Iterator[None]:
    """What is done meanwhile goes this way: "native" or "python".

    Where the extension is not built the test is skipped; on CI it fails, if Rust is there.
    """
    if path == "native":
        need_native()
    before = native.in_use
    native.in_use = path == "native"
    try:
        yield
    finally:
        native.in_use = before


def need_native() -> None:
    """Skip the test, or fail on CI, where the extension is not built."""
    if native.available:
        return
    if os.environ.get("CI") == "true" and shutil.which("cargo"):
        pytest.fail("the extension is not built although Rust is here: see `make native`")
    pytest.skip("the compiled extension is not built: `make native`")
