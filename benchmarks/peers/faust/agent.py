"""The job as a Faust agent with redis-py: batches, with one MGET and one MSET each."""

from __future__ import annotations

import logging
import os

import faust
import redis.asyncio
from scoring import Account, Job, decode_event, encode_change, pack, unpack

BATCH = 1_000
WITHIN_SECONDS = 0.1

job = Job(os.environ["BENCH_JOB"])
store = redis.asyncio.Redis.from_url(os.environ["BENCH_REDIS"])
group = os.environ["BENCH_GROUP"]

app = faust.App(
    group,
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    topic_allow_declare=False,
    web_enabled=False,
    stream_buffer_maxsize=16_384,
    stream_wait_empty=False,
    broker_commit_interval=1.0,
    producer_linger=0.02,
    datadir=os.environ["BENCH_STATE"],
)
events = app.topic(*os.environ["BENCH_INPUTS"].split(","), value_type=bytes, value_serializer="raw")
changes = app.topic(
    os.environ["BENCH_OUTPUT"], key_type=bytes, key_serializer="raw", value_type=bytes,
    value_serializer="raw",
)  # fmt: skip


@app.agent(events, concurrency=1)
async def segment(stream: faust.Stream[bytes]) -> None:
    """One agent over all three topics, so that nobody else writes an account meanwhile."""
    async for batch in stream.take_events(BATCH, within=WITHIN_SECONDS):
        decoded = [(event.message.topic, decode_event(event.value)) for event in batch]
        names = list({event.account_id for _, event in decoded})
        stored = await store.mget([f"{group}:{name}" for name in names])
        accounts: dict[str, Account | None] = {
            name: None if state is None else unpack(state)
            for name, state in zip(names, stored, strict=True)
        }
        found = []
        for topic, event in decoded:
            name = event.account_id
            accounts[name], change = job.apply(accounts[name], topic, event)
            if change is not None:
                found.append(change)
        await store.mset({f"{group}:{name}": pack(state) for name, state in accounts.items()})
        for change in found:
            await changes.send(key=change.account_id.encode(), value=encode_change(change))


if __name__ == "__main__":
    logging.getLogger("faust").setLevel(logging.WARNING)
    app.main()
