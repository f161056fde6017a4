"""What was fetched once is kept in the project's `.cache`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2] / ".cache"


def cached(key: str, fetch: Callable[[Path], None]) -> Path:
    """The folder for `key`, filled by `fetch` the first time.

    It appears whole or not at all, also if two processes fetch at once or one is interrupted.
    """
    folder = ROOT / key
    if folder.is_dir():
        return folder
    ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=f"{key}.") as workspace:
        fresh = Path(workspace) / "fresh"
        fresh.mkdir()
        fetch(fresh)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder
