"""The job in Quix Streams: three topics concatenated, state in RocksDB with a changelog."""

from __future__ import annotations

import os
import signal
from functools import partial

from quixstreams import Application, State
from scoring import Event, Job, decode_event, encode_change, pack, unpack

job = Job(os.environ["BENCH_JOB"])

app = Application(
    broker_address=os.environ["BENCH_KAFKA"],
    consumer_group=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    state_dir=os.environ["BENCH_STATE"],
    commit_interval=1.0,
    auto_create_topics=True,  # the changelog
    producer_extra_config={"linger.ms": "20"},
    loglevel="WARNING",
)
output = app.topic(os.environ["BENCH_OUTPUT"], key_serializer="bytes", value_serializer="bytes")


def segment(topic: str, value: bytes) -> tuple[str, Event]:
    """An event beside the topic that it came from: after `concat` nobody knows any more."""
    return topic, decode_event(value)


def change(value: tuple[str, Event], state: State) -> bytes | None:
    """Apply an event to its account."""
    stored = state.get_bytes("account")
    account, found = job.apply(None if stored is None else unpack(stored), *value)
    state.set_bytes("account", pack(account))
    return None if found is None else encode_change(found)


def stream(name: str) -> object:
    """One input topic, decoded."""
    topic = app.topic(name, key_deserializer="bytes", value_deserializer="bytes")
    return app.dataframe(topic).apply(partial(segment, name))


visits, downloads, emails = map(stream, os.environ["BENCH_INPUTS"].split(","))
changes = visits.concat(downloads).concat(emails).apply(change, stateful=True)
changes[changes.apply(lambda value: value is not None)].to_topic(output)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: app.stop())
    app.run()
