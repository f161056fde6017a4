"""The Online Retail data set as events, for tests that need real input."""

from __future__ import annotations

import csv
import gzip
import json
import os
from itertools import islice
from pathlib import Path

import pytest

from examples.online_retail import events_of

FILE = Path(__file__).parents[2] / "shared/data/online_retail/online_retail.csv.gz"


def online_retail_file() -> Path:
    """The file, or a clear word about what is missing: a failure in CI, else a skip."""
    if FILE.is_file():
        return FILE
    message = (
        "the Online Retail data set is not there: put online_retail.csv.gz (UCI Machine Learning "
        "Repository, Online Retail, as CSV) into shared/data/online_retail/ beside this project"
    )
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def online_retail_lines(rows: int | None = None) -> list[bytes]:
    """The first `rows` events of the data set, or all, as JSON lines."""
    with gzip.open(online_retail_file(), "rt", newline="") as file:
        events = islice(events_of(csv.DictReader(file)), rows)
        return [json.dumps(event).encode() for event in events]
