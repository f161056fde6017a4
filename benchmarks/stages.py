"""Where the worker's time goes: CPU of an event by stage, in this process."""

from __future__ import annotations

import pkgutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import GeneratorType
from typing import Any
from unittest import mock

from benchmarks.bench import Bench
from benchmarks.broker import PARTITIONS, Written
from benchmarks.ceilings import batches
from benchmarks.contenders import worker_settings
from benchmarks.job import snapshot
from benchmarks.measurement import Measurement
from benchmarks.population import known
from benchmarks.section import Section
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner
from stream_app.settings import Settings
from stream_app.streams.inbox import Inbox
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_records import keep_raw, take
from stream_app.streams.ports import Commit, Position
from stream_app.streams.processor import Pipeline, Processor, Work
from stream_app.streams.redis_store import RedisStore

_METHOD = """\
The parts of a worker, called one after the other in this process on the throughput load, as a
partition's owner calls them; CPU time of the process around each. What the engine does is split
by the functions that it calls. Redis' and the broker's own time is not in it. Batches have
4,000 records."""

_INSIDE = {
    "engine: features as of an instant": "stream_app.engine.values_at",
    "engine: decisions": "stream_app.engine.decide",
    "engine: describing what follows": "stream_app.engine.describe_decisions",
}
"""What is called once a round or batch: to time what is called for each change would cost more than
the change."""


class Stopwatch:
    """CPU seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count what happens within."""
        began = time.process_time()
        try:
            yield
        finally:
            self.seconds[what] += time.process_time() - began

    def around(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted. A generator is exhausted, so that its work is counted."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.on(what):
                result = function(*args, **kwargs)
                return list(result) if isinstance(result, GeneratorType) else result

        return timed


async def run(bench: Bench) -> Section:
    """Measure every stage, some times."""
    section = Section("Where the worker's time goes", _METHOD)
    written = await bench.written(bench.plan.events // 2, accounts=bench.plan.load_accounts)
    costs: dict[str, list[float]] = {}
    for _ in range(bench.plan.rounds):
        seconds = await _pass(bench, written)
        for what, spent in seconds.items():
            costs.setdefault(what, []).append(1e6 * spent / written.records)
    for what, values in costs.items():
        section.add(what, Measurement.of(values), "µs/event", form=".2f")
    return section


async def _pass(bench: Bench, written: Written) -> dict[str, float]:
    """CPU seconds of each stage, over the whole load."""
    place = bench.place
    settings = worker_settings(place.broker.bootstrap, place.redis_url, written.prefix, "stages")
    watch = Stopwatch()
    store, publisher = RedisStore(settings.redis), KafkaPublisher(settings.kafka)
    await store.start()
    await publisher.start()
    pipeline = Pipeline(settings)
    owners = {p: Processor(pipeline, p, PARTITIONS) for p in range(PARTITIONS)}
    known(written.load, owners)
    position = {p: (await store.claim(p, "stages")).position for p in range(PARTITIONS)}
    assigner = Assigner(snapshot(), Hysteresis.of(settings.segments))
    keep_raw()  # as a worker's log does
    read = time.process_time()
    with ExitStack() as patches:
        _instrument(watch, pipeline, patches)
        async for fetched in batches(settings, take):
            watch.seconds["read"] += time.process_time() - read
            for records in fetched:
                await _apply(watch, settings, owners, position, store, publisher, records, assigner)
            read = time.process_time()
    await publisher.stop()
    await store.stop()
    place.clear_redis()
    return _split(watch.seconds)


async def _apply(
    watch: Stopwatch,
    settings: Settings,
    owners: dict[int, Processor],
    position: dict[int, Position],
    store: RedisStore,
    publisher: KafkaPublisher,
    records: list[Any],
    assigner: Assigner,
) -> None:
    partition = records[0].partition
    with watch.on("inbox"):
        inbox = Inbox(len, lambda: None)
        inbox.add(records)
        taken = inbox.take(settings.worker.max_batch)
    with watch.on("process"):
        now_us = time.time_ns() // 1_000
        work = owners[partition].process(taken, assigner, now_us)
    with watch.on("commit (client)"):
        position[partition] = await store.commit(partition, _commit(position[partition], work))
    with watch.on("publish (client)"):
        await publisher.publish(work.outbox)


def _commit(at: Position, work: Work) -> Commit:
    from stream_app.streams.partition import _to_entry  # noqa: PLC0415

    return Commit(
        at,
        {**at.offsets, **work.offsets},
        work.model_version,
        at.outbox_first,
        states=work.states,
        profiles=work.profiles,
        names=work.names,
        outbox=[_to_entry(message) for message in work.outbox],
        summary=work.summary,
    )


def _instrument(watch: Stopwatch, pipeline: Pipeline, patches: ExitStack) -> None:
    for what, owner, name in (
        ("decode", pipeline.reader, "read"),
        ("step", pipeline.engine, "step"),
        ("engine: events into records", pipeline.engine._steps, "apply"),
    ):
        setattr(owner, name, watch.around(what, getattr(owner, name)))
    for what, target in _INSIDE.items():
        function = pkgutil.resolve_name(target)
        patches.enter_context(mock.patch(target, watch.around(what, function)))


def _split(seconds: Mapping[str, float]) -> dict[str, float]:
    """The stages without what is counted twice, in the order of the flow."""
    inside = {what: seconds[what] for what in _INSIDE}
    inside = {"engine: events into records": seconds["engine: events into records"], **inside}
    step, process = seconds["step"], seconds["process"]
    parts = {
        "read": seconds["read"],
        "inbox": seconds["inbox"],
        "decode into columns": seconds["decode"],
        **inside,
        "engine: the rest": step - sum(inside.values()),
        "routing, packing, encoding": process - step - seconds["decode"],
        "commit (client)": seconds["commit (client)"],
        "publish (client)": seconds["publish (client)"],
    }
    return {**parts, "all together": sum(parts.values())}
