"""What goes wrong between a producer and the topic: late, repeated and broken records."""

from typing import Any

import numpy as np
import orjson

from stream_app.traffic.columns import DUPLICATE, LATE, MALFORMED, Events
from stream_app.traffic.config import HOUR_US, TrafficConfig

_LATEST_HOURS = 12.0
_EARLIEST_HOURS = 5 / 60
DEFECTS = (
    "cut_off", "not_json", "no_id", "no_time", "wrong_type", "not_an_object", "unknown_kind",
    "far_future",
)  # fmt: skip
_CLOSED_FIELD = ("type", "stage", "kind")
"""Per stream, a field with a closed set of values."""


def deliver(rng: np.random.Generator, config: TrafficConfig, events: Events) -> Events:
    """Give each event its time of delivery, and add repeated and broken copies.

    Good events are the same whatever the rates are, but for their time of delivery.
    """
    n = len(events)
    delay = 50_000 + rng.exponential(400_000.0, n)
    late = rng.random(n) < config.late_rate
    low, high = np.log(_EARLIEST_HOURS), np.log(_LATEST_HOURS)
    hours = np.exp(rng.uniform(low, high, n))
    events["delivered"] = events["at"] + (delay + late * hours * HOUR_US).astype(np.int64)
    events["flaw"] = np.where(late, LATE, 0)

    again = events[rng.random(n) < config.duplicate_rate]
    retry = np.exp(rng.uniform(np.log(0.5), np.log(300.0), len(again))) * 1e6
    again["delivered"] += retry.astype(np.int64)
    again["flaw"] = DUPLICATE
    broken = events[rng.random(n) < config.malformed_rate]
    broken["flaw"] = MALFORMED
    return np.concatenate([events, again, broken])


def spoil(value: bytes, number: int, stream: int) -> bytes:
    """A broken form of a good record, with an id of its own. `number` chooses the defect."""
    data: dict[str, Any] = orjson.loads(value)
    data["id"] = f"bad-{data['id']}"
    defect = DEFECTS[(number * 2_654_435_761 >> 7) % len(DEFECTS)]
    if defect == "cut_off":
        return orjson.dumps(data)[:-7]
    if defect == "not_json":
        return f"id={data['id']}&account_id={data['account_id']}".encode()
    if defect == "not_an_object":
        return orjson.dumps([data["id"], data["account_id"]])
    if defect == "no_id":
        del data["id"]
    elif defect == "no_time":
        del data["occurred_at"]
    elif defect == "wrong_type":
        data["topics"] = 42
    elif defect == "unknown_kind":
        data[_CLOSED_FIELD[stream]] = "teleported"
    else:
        data["occurred_at"] = "2999-01-01T00:00:00.000Z"
    return orjson.dumps(data)
