"""docs/guarantees.md names only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/.]+)::(test_\w+)`", PAGE)))


def file_of(short: str) -> Path:
    """`failures` stands for tests/worker/test_failures.py; other names are written out."""
    if short.endswith(".py"):
        return REPOSITORY / "tests" / short
    folder = "integration" if short in {"worker_process", "bad_input"} else "worker"
    return REPOSITORY / "tests" / folder / f"test_{short}.py"


def test_every_test_that_the_guarantees_name_exists() -> None:
    assert len(NAMED) > 30
    missing = [
        f"{short}::{name}"
        for short, name in NAMED
        if not re.search(rf"def {name}\b", file_of(short).read_text())
    ]
    assert missing == []
