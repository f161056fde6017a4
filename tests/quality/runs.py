"""Streams through the engine, on event time, with everything that comes of them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from itertools import islice

from examples.online_retail import events_of
from stream_app.engine import Effects
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Replay
from stream_app.traffic import Traffic, TrafficConfig
from tests.quality.section import SHARED, DataMissing

Observer = Callable[[Effects], None]


def replayed(
    config: TrafficConfig,
    days: int,
    settings: Settings,
    observe: Observer,
    model: Snapshot | None = None,
) -> Replay:
    """Replay so many days of traffic; `config` must have `with_type`. Samples, changes and spikes
    are in the effects that `observe` is called with.
    """
    assert config.with_type
    replay = Replay(settings, model=model, observe=observe)
    for hour in Traffic(config).hours(days):
        replay.feed([record.value for record in hour])
    replay.finish()
    return replay


def online_retail(settings: Settings, observe: Observer, rows: int | None = None) -> Replay:
    """Replay the first `rows` rows of Online Retail, or all. Raises DataMissing."""
    path = SHARED / "online_retail" / "online_retail.csv.gz"
    if not path.is_file():
        raise DataMissing(f"{path.name} is not in {path.parent.name}")
    replay = Replay(settings, observe=observe)
    with gzip.open(path, "rt", newline="") as file:
        events = islice(events_of(csv.DictReader(file)), rows)
        while lines := [json.dumps(event).encode() for event in islice(events, 4_000)]:
            replay.feed(lines)
    replay.finish()
    return replay
