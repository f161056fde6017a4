"""Synthetic traffic through the engine, on event time, with everything that comes of it."""

from __future__ import annotations

from collections.abc import Callable

from stream_app.engine import Effects
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Replay
from stream_app.traffic import Traffic, TrafficConfig


def replayed(
    config: TrafficConfig,
    days: int,
    settings: Settings,
    observe: Callable[[Effects], None],
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
