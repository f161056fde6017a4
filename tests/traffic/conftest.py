"""One stream that most tests look at, decoded once."""

from typing import Any, NamedTuple

import orjson
import pytest

from stream_app.traffic import Traffic, TrafficConfig, TrafficRecord

DAYS = 40


class Stream(NamedTuple):
    """A generated stream: everything delivered, and the good events once each."""

    traffic: Traffic
    records: list[TrafficRecord]
    events: list[tuple[TrafficRecord, dict[str, Any]]]


def read(config: TrafficConfig, days: int = DAYS) -> Stream:
    """Generate and decode a stream."""
    traffic = Traffic(config)
    records = list(traffic.records(days))
    good = [r for r in records if r.flaw in ("", "late")]
    return Stream(traffic, records, [(r, orjson.loads(r.value)) for r in good])


@pytest.fixture(scope="session")
def stream() -> Stream:
    """400 accounts over the whole horizon, with more surges than by default."""
    return read(
        TrafficConfig(
            seed=11, accounts=400, surges_per_account_day=0.004, crawlers_per_account_day=0.0006
        )
    )
