"""Builds the Faust application: data plane, trainer, HTTP port."""

from __future__ import annotations

import socket
from os import getpid
from pathlib import Path
from tempfile import gettempdir

import faust
from faust.types import StreamT

from stream_app.app.credentials import broker_credentials
from stream_app.app.plane import DataPlane
from stream_app.app.web import check_port, faust_options
from stream_app.errors import Incompatible
from stream_app.events.decode import Pseudonyms
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.access import trainer_group
from stream_app.streams.clock import SystemClock
from stream_app.streams.kafka_admin import partition_counts
from stream_app.streams.kafka_log import KafkaLog
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.messages import Messages
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.training import Training
from stream_app.streams.worker import Worker

_TAKE_SAMPLES = 500
_TAKE_SECONDS = 0.5


class Application:
    """A Faust app and the data plane in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        owner = f"{socket.gethostname()}-{getpid()}"
        self.worker = Worker(
            settings,
            KafkaLog(settings.kafka, topics.consumed(settings.kafka.topic_prefix), owner),
            RedisStore(settings.redis),
            KafkaPublisher(settings.kafka),
            SystemClock(),
            owner=owner,
        )
        self.faust = _faust_app(settings, self.worker)
        self.plane = DataPlane(self.worker, beacon=self.faust.beacon, loop=self.faust.loop)
        self._add_trainer()

    async def check(self) -> None:
        """Look whether Kafka, its topics and Redis are there, before Faust is started: it says
        less well what is missing. Raises what `Worker.start` raises."""
        check_port(self.settings.web)
        kafka = self.settings.kafka
        names = [topic.name for topic in topics.with_prefix(kafka.topic_prefix)]
        counts = await partition_counts(kafka, names)
        missing = [name for name in names if name not in counts]
        if missing:
            raise Incompatible(
                f"missing topics: {', '.join(missing)}",
                hint="create what is missing with `stream-app topics create`; if they exist, "
                "let the Kafka user see them (`stream-app topics acls`)",
            )
        store = RedisStore(self.settings.redis)
        try:
            await store.start()
        finally:
            await store.stop()

    async def start(self) -> None:
        """Start everything; returns when the worker has joined its group."""
        await self.faust.start()
        await self.faust.add_runtime_dependency(self.plane)

    async def stop(self) -> None:
        """Finish batches in flight, leave the groups, close connections."""
        await self.faust.stop()

    async def wait(self) -> None:
        """Wait until the application stops or fails; raises the failure."""
        await self.faust.wait_until_stopped()
        if (reason := self.plane.crash_reason or self.faust.crash_reason) is not None:
            raise reason

    def _add_trainer(self) -> None:
        """An agent over the only partition of `account-features`: exactly one is active."""
        settings, app = self.settings, self.faust
        prefix = settings.kafka.topic_prefix
        store, publisher = RedisStore(settings.redis), KafkaPublisher(settings.kafka)
        messages, clock = Messages(prefix, Pseudonyms()), SystemClock()
        training = Training(settings, store, publisher, messages, clock)
        channel = app.topic(
            prefix + topics.ACCOUNT_FEATURES.name, value_type=bytes, value_serializer="raw"
        )

        async def train(stream: StreamT[bytes]) -> None:
            if not settings.segments.train:
                async for _ in stream:  # Faust needs something to consume
                    pass
                return
            try:  # store and publisher connect with their first call
                await training.run(stream.take(_TAKE_SAMPLES, within=_TAKE_SECONDS))
            finally:
                await publisher.stop()
                await store.stop()

        app.agent(channel, name="trainer", concurrency=1)(train)


_NEVER_SECONDS = 1e9


def _faust_app(settings: Settings, worker: Worker) -> faust.App:
    kafka = settings.kafka
    servers = ";".join(f"kafka://{server}" for server in kafka.bootstrap_servers.split(","))
    return faust.App(
        trainer_group(kafka.group),
        broker=servers,
        broker_credentials=broker_credentials(kafka),
        store="memory://",
        topic_allow_declare=False,  # topics are made by `stream-app topics create`
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=kafka.session_timeout_ms / 1_000,
        broker_request_timeout=max(
            kafka.request_timeout_ms / 1_000, kafka.session_timeout_ms / 1_000 + 5
        ),
        **faust_options(settings.web, worker),
        # Faust goes by figures that aiokafka no longer has, and takes every quiet topic for stuck.
        stream_processing_timeout=_NEVER_SECONDS,
        worker_redirect_stdouts=False,
        datadir=str(Path(gettempdir()) / "stream-app-faust"),  # created, but nothing is kept there
        # Faust prefers its own environment variables (WEB_PORT, BROKER_URL, …) to what it is given
        # here; under this prefix they would be refused as unknown settings of ours.
        env_prefix="STREAM_APP_FAUST_",
    )
