"""An open-loop source of events: sends each when it is due, whatever became of those before.

`python -m benchmarks.sender --rate 2000 …` is a process of its own, so that who reads the changes
does not slow it down. An event's `occurred_at` is the instant at which it was to be sent: what is
late because the source, the broker or the worker was busy counts as late."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from aiokafka import AIOKafkaProducer

from benchmarks.broker import PARTITIONS
from benchmarks.load import Load, items
from stream_app.streams.partitioning import partition_of

_TICK_SECONDS = 0.001
_DRAW_SECONDS = 60e-6


async def send(bootstrap: str, prefix: str, load: Load) -> dict[str, float]:
    """Send a load by its own times. Returns how late the source itself was, in milliseconds."""
    due = [
        (item.at_us / 1e6, prefix + item.topic, item.account.encode(), item.value)
        for item in items(load)
    ]
    parts = {key: partition_of(key, PARTITIONS) for _, _, key, _ in due}
    late: list[float] = []
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1)
    await producer.start()
    try:
        i = 0
        while i < len(due):
            now = time.time()
            while i < len(due) and due[i][0] <= now:
                at, topic, key, value = due[i]
                await producer.send(topic, value, key, partition=parts[key])
                late.append(time.time() - at)
                i += 1
            await asyncio.sleep(_TICK_SECONDS)
    finally:
        await producer.stop()
    late.sort()
    return {"p50": 1e3 * late[len(late) // 2], "p99": 1e3 * late[len(late) * 99 // 100]}


def main() -> None:
    """Send, and print when it began and how late the source was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sender")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--accounts", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    # To draw an event takes less; they must be there when the first one is due.
    begins = time.time() + 0.5 + _DRAW_SECONDS * options.rate * options.seconds
    load = Load(
        round(options.rate * options.seconds),
        options.accounts,
        span_seconds=options.seconds,
        ends_us=round((begins + options.seconds) * 1e6),
        seed=options.seed,
        name=f"latency{options.seed}",
    )
    late = asyncio.run(send(options.kafka, options.prefix, load))
    print(json.dumps({"begins": begins, **late}))


if __name__ == "__main__":
    main()
