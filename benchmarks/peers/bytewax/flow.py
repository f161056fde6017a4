"""The job as a Bytewax dataflow, run with recovery: `python -m bytewax.run flow -r DIR`."""

from __future__ import annotations

import os

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from scoring import Account, Event, Job, begin, decode_event, encode_change

BATCH = 2_000

job = Job(os.environ["BENCH_JOB"])
brokers = [os.environ["BENCH_KAFKA"]]


def keyed(messages: list[KafkaSourceMessage]) -> list[tuple[str, tuple[str, Event]]]:
    """Decode a batch, and key each event by its account."""
    begin()
    found = []
    for message in messages:
        event = decode_event(message.value)
        found.append((event.account_id, (message.topic, event)))
    return found


def segment(
    state: Account | None, value: tuple[str, Event]
) -> tuple[Account, tuple[KafkaSinkMessage, ...]]:
    """Apply an event to its account."""
    account, change = job.apply(state, *value)
    if change is None:
        return account, ()
    return account, (KafkaSinkMessage(change.account_id.encode(), encode_change(change)),)


flow = Dataflow("segments")
source = kop.input(
    "events", flow, brokers=brokers, topics=os.environ["BENCH_INPUTS"].split(","), batch_size=BATCH
)
events = op.flat_map_batch("decode", source.oks, keyed)
changes = op.stateful_flat_map("segment", events, segment)
kop.output(
    "changes", op.key_rm("unkey", changes), brokers=brokers, topic=os.environ["BENCH_OUTPUT"],
    add_config={"linger.ms": "20"},
)  # fmt: skip
