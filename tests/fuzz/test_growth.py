"""No record costs much more than ordinary ones of as many bytes, and no batch more than its part.

Times are compared with times of the same moment, never with a number of seconds.
"""

from __future__ import annotations

import pytest

from stream_app.engine import Engine
from stream_app.events.batch import Columns, Kind
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import DAY
from stream_app.features.table import FeatureTable
from stream_app.settings import Settings
from tests.features.build import event
from tests.fuzz.generate import LIMIT_BYTES, Record
from tests.fuzz.shapes import SHAPES, ordinary
from tests.fuzz.slowest import NOW_US, cpu_seconds, seconds_for, shaped
from tests.fuzz.values import EARLIEST_US
from tests.native.paths import taking

_AT_MOST = 64.0
"""Times as long for sixteen times as much. What grows with the square takes 256 times as long; in
proportion it is sixteen times, and up to twice that where the larger does not fit into a cache."""


def ordinary_records(size: int) -> list[Record]:
    """Ordinary visits with so many bytes together."""
    records: list[Record] = []
    while size > 0:
        value = ordinary(b"%d" % len(records))
        records.append(Record("engagement", 0, len(records), b"large", value))
        size -= len(value)
    return records


@pytest.fixture(scope="module")
def ordinary_seconds() -> float:
    """What as many bytes as a record may have cost, in ordinary records. On the path that hostile
    ones take too: compiled code hands over whatever is not ordinary."""
    with taking("python"):
        return seconds_for(ordinary_records(LIMIT_BYTES))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("topic", ["website-visits", "email-events", "engagement"])
def test_a_record_costs_no_more_than_ordinary_ones_of_its_size(
    shape: str, topic: str, ordinary_seconds: float
) -> None:
    assert seconds_for([shaped(shape, LIMIT_BYTES, topic)]) < ordinary_seconds


@pytest.mark.parametrize("shape", SHAPES)
def test_sixteen_times_the_bytes_take_about_sixteen_times_as_long(shape: str) -> None:
    """What any record costs stands for a shape that costs less."""
    least = seconds_for([shaped("blanks", 100)])
    short = seconds_for([shaped(shape, LIMIT_BYTES // 16)])
    long = seconds_for([shaped(shape, LIMIT_BYTES)])
    assert long < _AT_MOST * max(short, least)


@pytest.mark.parametrize("gap_days", [0, 1, 38, 200], ids=lambda days: f"{days}d")
@pytest.mark.parametrize("accounts", [1, 7])
def test_sixteen_times_the_events_take_about_sixteen_times_as_long(
    gap_days: int, accounts: int
) -> None:
    """Also when each comes after a silence, which leads to up to ninety decisions."""
    few, many = (engine_seconds(count, gap_days, accounts) for count in (40, 640))
    assert many < _AT_MOST * few


def engine_seconds(count: int, gap_days: int, accounts: int) -> float:
    """Shortest time of three for a batch of so many events, so far apart."""
    engine, columns = Engine(Settings()), Columns(Pseudonyms())
    times = [EARLIEST_US + i * gap_days * DAY for i in range(count)]
    events = [
        event(Kind.VISIT_PRICING, at_us, f"a{i % accounts}", f"e{i}", topics=["t"])
        for i, at_us in enumerate(times)
    ]
    batch = columns(events, times)
    return min(
        cpu_seconds(lambda: engine.step(FeatureTable(), batch, None, NOW_US)) for _ in range(3)
    )
