"""Streams through the engine, on event time, with everything that comes of them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from examples.online_retail import events_of
from stream_app.changes.types import SegmentChange
from stream_app.effects import Effects
from stream_app.events.instants import DAY, HOUR, parse
from stream_app.features.values import Floats, values_at
from stream_app.segments.snapshot import NO_SEGMENT, UNSEGMENTED, Snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Outputs, Replay
from stream_app.traffic import Traffic, TrafficConfig
from tests.quality.section import SHARED, DataMissing

Observer = Callable[[Effects], None]


def replayed(
    config: TrafficConfig,
    days: int,
    settings: Settings,
    observe: Observer,
    model: Snapshot | None = None,
    each_hour: Callable[[Replay, int], None] | None = None,
    outputs: Outputs | None = None,
) -> Replay:
    """Replay so many days of traffic; `config` must have `with_type`. Samples, changes and spikes
    are in the effects that `observe` is called with; `each_hour` is called after each hour of
    simulated time, with its end."""
    assert config.with_type
    replay = Replay(settings, outputs, model, observe)
    for number, hour in enumerate(Traffic(config).hours(days), 1):
        replay.feed([record.value for record in hour])
        if each_hour:
            each_hour(replay, config.start_us + number * HOUR)
    replay.finish()
    return replay


def retail_lines(every: int = 1) -> Iterator[bytes]:
    """Online Retail as JSON lines: of all customers, or of every n-th. Raises DataMissing."""
    path = SHARED / "online_retail" / "online_retail.csv.gz"
    if not path.is_file():
        raise DataMissing(f"{path.name} is not in {path.parent.name}")
    with gzip.open(path, "rt", newline="") as file:
        for event in events_of(csv.DictReader(file)):
            customer = event.get("account_id", "customer-0").removeprefix("customer-")
            if int(customer) % every == 0:
                yield json.dumps(event).encode()


def online_retail(
    settings: Settings,
    observe: Observer,
    rows: int | None = None,
    outputs: Outputs | None = None,
) -> Replay:
    """Replay the first `rows` rows of Online Retail, or all. Raises DataMissing."""
    replay = Replay(settings, outputs, observe=observe)
    rest = islice(retail_lines(), rows)
    while lines := list(islice(rest, 4_000)):
        replay.feed(lines)
    replay.finish()
    return replay


def vectors_at(
    replay: Replay, at_us: int
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Model vectors and segments of all accounts, as of an instant or their latest event."""
    live = replay.table.live
    vectors = values_at(live, np.maximum(live["latest_us"], at_us)).vector
    return vectors, live["segment"].copy()


def moves(changes: Iterable[SegmentChange], from_us: int = 0) -> list[SegmentChange]:
    """Changes from one segment of a model to another, from an instant on."""
    none = {NO_SEGMENT, UNSEGMENTED}
    return [
        c
        for c in changes
        if c.previous
        and c.current
        and c.previous.id not in none
        and parse(c.occurred_at) >= from_us
    ]


def reversals(changes: Iterable[SegmentChange], days: float = 7.0) -> int:
    """How many changes lead back to the segment that the account left within so many days."""
    left: dict[str, tuple[int, int]] = {}
    count = 0
    for change in changes:
        assert change.previous
        assert change.current
        at_us = parse(change.occurred_at)
        segment, left_us = left.get(change.account_id, (NO_SEGMENT, 0))
        count += segment == change.current.id and at_us - left_us <= days * DAY
        left[change.account_id] = change.previous.id, at_us
    return count
