"""Builds the Faust application: data plane, trainer, web views."""

from __future__ import annotations

import socket
from os import getpid
from pathlib import Path
from tempfile import gettempdir

import faust
from faust.types import StreamT
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stream_app.app.plane import DataPlane
from stream_app.errors import ConfigError, Incompatible
from stream_app.events.decode import Pseudonyms
from stream_app.settings import Settings, WebSettings
from stream_app.streams import topics
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
_METRICS_TYPE = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")


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
        self.faust = _faust_app(settings)
        self.plane = DataPlane(self.worker, beacon=self.faust.beacon, loop=self.faust.loop)
        self._add_trainer()
        self._add_web()

    async def check(self) -> None:
        """Look whether Kafka, its topics and Redis are there, before Faust is started: it says
        less well what is missing. Raises what `Worker.start` raises."""
        _check_port(self.settings.web)
        kafka = self.settings.kafka
        names = [topic.name for topic in topics.with_prefix(kafka.topic_prefix)]
        counts = await partition_counts(kafka, names)
        missing = [name for name in names if name not in counts]
        if missing:
            raise Incompatible(
                f"missing topics: {', '.join(missing)}",
                hint="create what is missing with `stream-app topics create`",
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
        training = Training(settings.segments, store, publisher, Messages(prefix, Pseudonyms()))
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

    def _add_web(self) -> None:
        app, worker = self.faust, self.worker

        @app.page("/metrics")
        async def metrics(view: View, _: Request) -> Response:
            body = generate_latest(worker.metrics.registry)
            return view.bytes(body, content_type=_METRICS_TYPE)

        @app.page("/health/live")
        async def live(view: View, _: Request) -> Response:
            return view.json({"live": worker.alive}, status=200 if worker.alive else 503)

        @app.page("/health/ready")
        async def ready(view: View, _: Request) -> Response:
            return view.json({"ready": worker.ready}, status=200 if worker.ready else 503)


def _check_port(web: WebSettings) -> None:
    if not web.port:
        return
    try:
        with socket.create_server((web.host, web.port)):
            pass
    except OSError as error:
        raise ConfigError(
            f"the HTTP port {web.port} of {web.host} cannot be opened: {error.strerror}",
            hint="set STREAM_APP_WEB__PORT to another port, or to 0 for none",
        ) from None


def _faust_app(settings: Settings) -> faust.App:
    kafka, web = settings.kafka, settings.web
    servers = ";".join(f"kafka://{server}" for server in kafka.bootstrap_servers.split(","))
    return faust.App(
        f"{kafka.group}-trainer",
        broker=servers,
        store="memory://",
        topic_allow_declare=False,  # topics are made by `stream-app topics create`
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=kafka.session_timeout_ms / 1_000,
        broker_request_timeout=max(
            kafka.request_timeout_ms / 1_000, kafka.session_timeout_ms / 1_000 + 5
        ),
        web_bind=web.host,
        web_host=web.host,
        web_port=web.port or 1,
        web_enabled=web.port != 0,
        web_cors_options=None,
        worker_redirect_stdouts=False,
        datadir=str(Path(gettempdir()) / "stream-app-faust"),  # created, but nothing is kept there
        # Faust prefers its own environment variables (WEB_PORT, BROKER_URL, …) to what it is given
        # here; under this prefix they would be refused as unknown settings of ours.
        env_prefix="STREAM_APP_FAUST_",
    )
