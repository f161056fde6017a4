"""One run: servers, workers, load and faults; then silence, and the verdict."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from time import monotonic, time_ns

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from stream_app.features.silence import OFFSETS_US
from stream_app.features.table import records_of
from stream_app.segments.snapshot import write_snapshot
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.partitioning import partition_of
from stream_app.streams.redis_store import RedisStore
from tests.chaos import setup, traffic
from tests.chaos.evidence import Evidence, ends, gather
from tests.chaos.faults import FAULTS, TARGETS, Stage, Strike, rotation
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load
from tests.chaos.oracle import Oracle
from tests.chaos.progress import Progress
from tests.chaos.report import Outcome
from tests.chaos.setup import MODEL, PARTITIONS, PREFIX, Options
from tests.chaos.verify import ACCOUNTS, CHANGES, FORWARDED, LETTERS, SPIKES, verify
from tests.models import save_model
from tests.services import Service, kafka, redis

_CONSUMED = topics.consumed(PREFIX)
_PATIENCE_SECONDS = 180.0
"""Within which everything recovers and comes to rest, also on a slow machine."""
_POLL_SECONDS = 0.2


async def run(options: Options) -> Outcome:
    """Carry out a run. Raises ServiceError if Kafka or Redis cannot be had."""
    logs = Path(tempfile.mkdtemp(prefix="stream-app-chaos-"))
    try:
        async with _servers(options) as (broker, store):
            return await _Run(options, broker, store, logs).carry_out()
    finally:
        if options.keep:
            say(f"the workers' logs are in {logs}")
        else:
            shutil.rmtree(logs)


@asynccontextmanager
async def _servers(options: Options) -> AsyncIterator[tuple[Service, Service]]:
    broker, store = kafka(own=True), redis(own=True, appendfsync=options.appendfsync)
    try:
        await asyncio.gather(asyncio.to_thread(broker.start), asyncio.to_thread(store.start))
        yield broker, store
    finally:
        await asyncio.gather(asyncio.to_thread(broker.close), asyncio.to_thread(store.close))


class _Run:
    def __init__(self, options: Options, broker: Service, store: Service, logs: Path) -> None:
        sections = setup.sections(broker.address, store.url)
        self._options, self._broker, self._store = options, broker, store
        self._settings: Settings = setup.settings_of(sections)
        self._random = random.Random(options.seed)
        self._out = Outcome(options)
        self._fleet = Fleet(options.workers, setup.environment_of(sections), logs)
        self._progress = Progress(store.url, self._settings.redis.prefix)
        self._load = Load(self._settings.kafka)
        self._began = 0.0

    async def carry_out(self) -> Outcome:
        """The whole run."""
        await self._prepare()
        watching = asyncio.create_task(self._progress.watch())
        replacing = asyncio.create_task(self._fleet.watch())
        try:
            self._fleet.start()
            await self._expect_owners("at the start")
            await self._disturb()
            await self._come_to_rest()
            await self._fleet.stop_all()
            self._out.bad_exits = self._fleet.bad_exits
            self._out.refused_starts = self._fleet.refused_starts
            self._out.tracebacks = self._fleet.tracebacks()
            names = {*_CONSUMED, CHANGES, SPIKES, ACCOUNTS, LETTERS, FORWARDED}
            self._judge(await gather(self._broker.address, self._progress, names))
        finally:
            replacing.cancel()
            await asyncio.wait({replacing})
            self._fleet.close()
            await self._load.close()
            await self._progress.close(watching)
        return self._out

    async def _prepare(self) -> None:
        """Topics, the model, and all events of the quiet accounts."""
        kafka_settings = self._settings.kafka
        await create_topics(kafka_settings, topics.with_prefix(PREFIX), partitions=PARTITIONS)
        store = RedisStore(self._settings.redis)
        await save_model(store, 1, write_snapshot(MODEL), b"")
        await store.stop()
        seconds = self._options.seconds
        now_us = time_ns() // 1_000
        await self._load.send(traffic.quiet_history(self._random, now_us, seconds))

    async def _disturb(self) -> None:
        """Load, and one fault after the other."""
        done = asyncio.Event()
        events = traffic.live(random.Random(self._random.random()), time_ns() // 1_000)
        load = asyncio.create_task(self._load.run(events, self._options.rate, done))
        self._began = monotonic()
        stage = Stage(self._random, self._fleet, self._progress, self._broker, self._store)
        kinds = self._options.kinds or tuple(FAULTS)
        faults = rotation(self._random, kinds)
        if self._options.rounds is not None:
            faults = islice(faults, self._options.rounds * len(kinds))
        running: dict[str, asyncio.Task[None]] = {}
        try:
            for kind in faults:
                await self._gap(TARGETS[kind], running)
                if self._options.rounds is None and self._elapsed() >= self._options.seconds:
                    break
                running[TARGETS[kind]] = asyncio.create_task(self._fault(kind, stage))
            await asyncio.gather(*running.values())
        finally:
            done.set()
            await load
        self._out.seconds = self._elapsed()

    async def _gap(self, target: str, running: dict[str, asyncio.Task[None]]) -> None:
        """Wait until the next fault, which strikes `target`, may begin."""
        most = 1 if self._options.overlap else 0
        while target in running or len(running) > most:
            await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            for each in [each for each, task in running.items() if task.done()]:
                running.pop(each).result()
        await asyncio.sleep(self._random.uniform(0.3, 2.0))

    async def _fault(self, kind: str, stage: Stage) -> None:
        at = self._elapsed()
        strike: Strike = await FAULTS[kind](stage)
        recovered = asyncio.create_task(
            self._progress.recovered(strike.recovery, _PATIENCE_SECONDS)
        )
        await strike.heal()
        if not await recovered:
            self._out.unrecovered.append(f"{strike.what}: {strike.recovery}")
        self._out.faults[kind] = self._out.faults.get(kind, 0) + 1
        seconds = list((strike.recovery.seconds or {}).values())
        self._out.recoveries[kind] += seconds
        if strike.recovery.away_seconds:
            self._out.away[kind].append(strike.recovery.away_seconds)
        say(
            f"{at:7.1f} s  {strike.what}: partitions {sorted(strike.recovery.partitions)} "
            f"commit again after {', '.join(f'{s:.2f}' for s in sorted(seconds))} s"
        )
        await self._expect_owners(f"after {strike.what}")

    async def _expect_owners(self, when: str) -> None:
        """Wait until each worker has its share."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not await self._progress.all_own(self._fleet.owners(), 1.0):
                    pass  # a worker may have been replaced meanwhile
        except TimeoutError:
            owners = {p: mark.owner for p, mark in self._progress.marks.items()}
            self._out.unrecovered.append(f"{when}: {owners}, not {self._fleet.owners()}")

    async def _come_to_rest(self) -> None:
        """Wait until everything is read and published and no silence is left to decide."""
        say(f"{self._elapsed():7.1f} s  the load has ended; waiting until all is done")
        consumer = AIOKafkaConsumer(bootstrap_servers=self._broker.address)
        await consumer.start()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS + self._options.seconds):
                while not await self._at_rest(consumer):  # noqa: ASYNC110 - in other processes
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            self._out.unrecovered.append("the workers did not come to rest")
        finally:
            await consumer.stop()

    async def _at_rest(self, consumer: AIOKafkaConsumer) -> bool:
        with suppress(KafkaError, RedisError, OSError):
            offsets: dict[tuple[str, int], int] = {}
            redis = self._progress.redis
            for partition, mark in (await self._progress.read()).items():
                offsets |= {(topic, partition): at for topic, at in mark.offsets.items()}
                if await redis.llen(self._progress.key(partition, "outbox")):
                    return False
            last = await ends(consumer, _CONSUMED)
            if any(offsets.get(place, 0) < end for place, end in last.items()):
                return False
            return await self._silent_to_the_end()
        return False

    async def _silent_to_the_end(self) -> bool:
        for i in range(traffic.QUIET_ACCOUNTS):
            account = f"quiet-{i}".encode()
            key = self._progress.key(partition_of(account, PARTITIONS), "state")
            state = await self._progress.redis.hget(key, account)
            if state is None or records_of([""], [state])["checks"][0] < len(OFFSETS_US):
                return False
        return True

    def _judge(self, evidence: Evidence) -> None:
        say(f"{self._elapsed():7.1f} s  comparing with the oracle")
        inputs = {name: evidence.logs[name] for name in traffic.TOPICS}
        self._out.records = sum(len(records) for log in inputs.values() for records in log.values())
        self._out.expected = Oracle(self._settings, MODEL, PARTITIONS).run(inputs)
        self._out.verdict = verify(evidence, self._out.expected, self._load.sent)

    def _elapsed(self) -> float:
        return monotonic() - self._began


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
