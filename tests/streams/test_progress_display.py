"""Offsets are committed to the group for displays only, so nobody may hear of a failure there."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from stream_app.settings import KafkaSettings
from stream_app.streams import topics
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_log import KafkaLog
from tests.services import Service, kafka

pytestmark = pytest.mark.integration

PREFIX = "display."


class Listener:
    """Knows when partitions have been assigned."""

    def __init__(self) -> None:
        self.assigned = asyncio.Event()

    async def on_revoked(self, partitions: frozenset[int]) -> None: ...

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        self.assigned.set()


@pytest.fixture
def broker() -> Iterator[Service]:
    """One that may be frozen and killed."""
    with kafka(own=True) as service:
        yield service


async def test_a_broker_that_dies_while_offsets_are_shown_leaves_no_failure_behind(
    broker: Service,
) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    settings = KafkaSettings(
        bootstrap_servers=broker.address, topic_prefix=PREFIX, group=f"{PREFIX}group"
    )
    await create_topics(settings, topics.with_prefix(PREFIX), partitions=1)
    log, listener = KafkaLog(settings, topics.consumed(PREFIX)), Listener()
    await log.start(listener)
    async with asyncio.timeout(60):
        await listener.assigned.wait()
    log.show_progress(0, dict.fromkeys(log.topics, 0))
    os.kill(broker.pid or 0, signal.SIGSTOP)
    await log._commit_progress()  # gives up: no answer
    await asyncio.to_thread(broker.kill)
    await log.stop()
    gc.collect()
    await asyncio.sleep(0)
    assert not [context["message"] for context in failures]
