"""The job in Pathway: a stateful reducer over three topics, with persistence."""

from __future__ import annotations

import os
from typing import Any

import pathway as pw
from confluent_kafka import Producer
from scoring import Job, decode_event, encode_change, pack, unpack

AUTOCOMMIT_MS = 100
SNAPSHOT_MS = 1_000

job = Job(os.environ["BENCH_JOB"])
producer = Producer({"bootstrap.servers": os.environ["BENCH_KAFKA"], "linger.ms": 20})


def events(topic: str) -> pw.Table:
    """Raw records of one topic."""
    table = pw.io.kafka.read(
        {
            "bootstrap.servers": os.environ["BENCH_KAFKA"],
            "group.id": os.environ["BENCH_GROUP"],
            "auto.offset.reset": "earliest",
        },
        topic,
        format="raw",
        autogenerate_key=True,
        autocommit_duration_ms=AUTOCOMMIT_MS,
        name=topic,
    )
    return table.select(account=pw.this.key, data=pw.this.data, topic=topic)


@pw.reducers.stateful_many
def segment(state: tuple | None, rows: list[tuple[list[Any], int]]) -> tuple:
    """The packed account, and the changes of this batch. Rows of a batch come in no order."""
    account = None if state is None else unpack(state[0])
    found = []
    batch = [(topic, decode_event(data)) for (data, topic), _ in rows]
    batch.sort(key=lambda each: each[1].occurred_at)
    for topic, event in batch:
        account, change = job.apply(account, topic, event)
        if change is not None:
            found.append(encode_change(change))
    assert account is not None
    return pack(account), tuple(found)


def publish(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001
    """Send the changes of a batch; what is taken back is the batch before."""
    if not is_addition:
        return
    for change in row["state"][1]:
        while True:
            try:
                producer.produce(os.environ["BENCH_OUTPUT"], change, row["account"])
                break
            except BufferError:
                producer.poll(0.1)
    producer.poll(0)


first, *others = map(events, os.environ["BENCH_INPUTS"].split(","))
joined = first.concat_reindex(*others)
accounts = joined.groupby(pw.this.account).reduce(
    pw.this.account, state=segment(pw.this.data, pw.this.topic)
)
pw.io.subscribe(accounts, publish)

if __name__ == "__main__":
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(
            pw.persistence.Backend.filesystem(os.environ["BENCH_STATE"]),
            snapshot_interval_ms=SNAPSHOT_MS,
        ),
    )
