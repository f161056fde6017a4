"""`stream-app repartition` on real Kafka and Redis: from 4 to 8 partitions, also when it dies at
each step in turn, the outcome is that of a deployment that nothing happened to."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.segments.snapshot import write_snapshot
from stream_app.streams import topics
from stream_app.streams.clock import SystemClock
from stream_app.streams.cluster import KafkaCluster
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.kafka_reader import KafkaReader
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit, Message
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.repartition import Repartition
from tests.cli.stack import Stack, until
from tests.models import save_model
from tests.worker.model import RESTLESS
from tests.worker.moving import Died, Fuse, Fused
from tests.worker.scenario import Line, scenario
from tests.worker.world import SETTINGS

BEFORE, AFTER = 4, 8
LINES = [line for line in scenario() if line.key is not None]
FIRST, SECOND = LINES[:200], LINES[200:]
WAITS = b"was decided by a worker that was killed"
_SECONDS = 90
_SETTINGS = {
    f"STREAM_APP_{section}__{name}".upper(): json.dumps(value)
    for section, names in {
        "segments": ("margin", "strong_margin", "confirm_days"),
        "spikes": ("min_surprise", "min_contacts", "cooldown_hours"),
        "worker": ("sweep_grace_seconds",),
    }.items()
    for name in names
    for value in [getattr(getattr(SETTINGS, section), name)]
}
DEATHS = (
    ("before", "redeploy", 0),
    ("after", "redeploy", 0),
    ("before", "close", 2),
    ("after", "close", 3),
    ("before", "publish", 0),
    ("after", "publish", 0),
    ("after", "trim", 0),
    ("after", "claim", 5),
    ("before", "commit", 2),
    ("after", "commit", 5),
    ("after", "redeploy", 0),
    ("before", "commit", 5),
    ("after", "commit", 7),
    ("before", "redeploy", 0),
    ("after", "redeploy", 0),
    ("before", "grow", 0),
    ("after", "grow", 0),
    ("before", "redeploy", 1),
)
"""The call of a try that is its last one, and whether it still takes effect."""


class Deployment(Stack):
    """A stack whose workers have a model and the settings of the scenario."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **_SETTINGS}

    async def store(self) -> RedisStore:
        store = RedisStore(self.redis)
        await store.deployment()
        return store

    async def give_model(self) -> None:
        store = await self.store()
        await save_model(store, RESTLESS.version, write_snapshot(RESTLESS))
        await store.stop()

    async def accounts(self) -> dict[str, tuple[bytes | None, bytes | None]]:
        """State and profile of every account, each in the partition that its id asks for."""
        store = await self.store()
        found = {}
        for p in range(self.partitions):
            async for chunk in store.load(p):
                for account, _ in chunk:
                    assert partition_of(account.encode(), self.partitions) == p
                    found[account] = await store.account(p, account)
        await store.stop()
        return found

    async def at_rest(self) -> bool:
        """Whether everything is applied. What came with another key than its account's lies in an
        outbox after it was read, and is then published once more: so it is unread, in an outbox,
        and unread again. Asked in this order, nothing on that way can be missed."""
        return not await self.unread() and not await self.in_outboxes() and not await self.unread()

    async def in_outboxes(self) -> int:
        """Messages that are decided and perhaps not published yet."""
        store = await self.store()
        found = sum([await store.outbox_length(p) for p in range(self.partitions)])
        await store.stop()
        return found

    async def unread(self) -> int:
        """Records that are not applied yet."""
        store, reader = await self.store(), KafkaReader(self.kafka, "test")
        await reader.start()
        behind = 0
        for topic in topics.consumed(self.kafka.topic_prefix):
            for p, stretch in (await reader.stretches(topic)).items():
                behind += stretch.stop - (await store.position(p)).offsets.get(topic, 0)
        await reader.stop()
        await store.stop()
        return behind

    async def leave_in_outbox(self, value: bytes) -> None:
        """As a worker does that is killed between commit and publishing."""
        store = await self.store()
        at = (await store.claim(1, "killed")).position
        message = Message(self.name(topics.DEAD_LETTERS), None, value)
        outbox = [msgspec.msgpack.encode(message)]
        await store.commit(
            1, Commit(at, at.offsets, at.model_version, at.outbox_first, outbox=outbox)
        )
        await store.stop()

    def work(self, lines: list[Line]) -> None:
        """Publish, and let a worker do it all and stop in good order."""
        with self.worker():
            self.publish(*(Message(each.topic, each.key, each.value) for each in lines))
            until(lambda: asyncio.run(self.at_rest()), "everything is applied")

    def numbered(self, topic: topics.Topic, number: str) -> dict[tuple[str, int], Any]:
        """What was published, by account and number: without a gap, and once."""
        found: dict[tuple[str, int], Any] = {}
        last: dict[str, int] = {}
        by_account: dict[str, list[dict[str, Any]]] = {}
        for record in self.read(topic):
            body = json.loads(record.value)
            by_account.setdefault(body["account_id"], []).append(body)
        for account, bodies in by_account.items():
            for body in bodies:
                assert body[number] == last.get(account, 0) + 1, f"{account} has a gap"
                last[account] = body[number]
                found[account, body[number]] = {
                    k: v for k, v in body.items() if k not in {"decided_at", "lag_ms"}
                }
        return found

    def call(self, *arguments: str) -> tuple[int, Any]:
        """Exit code of a command, and the JSON on stdout, or the error on stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "stream_app", *arguments, "--json"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.stdout:
            return done.returncode, json.loads(done.stdout)
        return done.returncode, json.loads(done.stderr.splitlines()[-1])["error"]

    async def move_and_die(self, fuse: Fuse) -> None:
        """A try whose process dies when the fuse blows."""
        names = topics.consumed(self.kafka.topic_prefix)
        store, reader = RedisStore(self.redis), KafkaReader(self.kafka, "test")
        publisher = KafkaPublisher(self.kafka)
        await reader.start()
        ports = (store, KafkaCluster(self.kafka, names), reader, publisher)
        fused = (Fused(port, fuse) for port in ports)
        mover = Repartition(*fused, SystemClock(), names, at_once=1)
        try:
            with pytest.raises(Died):
                await mover.run(await mover.survey(AFTER))
        finally:
            await publisher.stop()
            await reader.stop()
            await store.stop()


@pytest.fixture
def deployment(
    kafka_bootstrap: str, topic_prefix: str, worker_redis_url: str, tmp_path: Path
) -> Deployment:
    return made(kafka_bootstrap, topic_prefix, worker_redis_url, tmp_path, "sa")


def made(bootstrap: str, prefix: str, redis_url: str, folder: Path, redis: str) -> Deployment:
    made = Deployment.create(
        bootstrap, prefix, redis_url, folder, partitions=BEFORE, redis_prefix=redis
    )
    assert isinstance(made, Deployment)
    asyncio.run(made.give_model())
    return made


@contextmanager
def refused_worker(deployment: Deployment) -> Iterator[subprocess.CompletedProcess[str]]:
    """A worker that must not start."""
    yield subprocess.run(
        [sys.executable, "-m", "stream_app", "worker"],
        env={**os.environ, **deployment.environment},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def test_the_outcome_is_that_of_a_deployment_that_nothing_happened_to(
    deployment: Deployment,
    kafka_bootstrap: str,
    topic_prefix: str,
    worker_redis_url: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    whole = made(kafka_bootstrap, f"{topic_prefix}whole.", worker_redis_url, folder, "sa:whole")
    whole.work(FIRST + SECOND)

    deployment.work(FIRST)
    asyncio.run(deployment.leave_in_outbox(WAITS))
    deployment.partitions = BEFORE
    before = asyncio.run(deployment.accounts())
    for when, name, skipped in DEATHS:
        fuse = Fuse(skipped, after=when == "after", only=name)
        asyncio.run(deployment.move_and_die(fuse))
    with refused_worker(deployment) as refused:
        assert refused.returncode == 4
        assert "being moved from 4 to 8" in refused.stderr
    code, checks = deployment.call("doctor")
    (state,) = [check for check in checks if check["check"] == "state"]
    assert (code, state["ok"]) == (1, False)
    assert "repartition 8" in state["hint"]
    code, done = deployment.call("repartition", str(AFTER), "--yes")
    assert (code, done["accounts"], done["changed"]) == (0, len(before), True)

    deployment.partitions = AFTER
    assert asyncio.run(deployment.accounts()) == before
    deployment.work(SECOND)
    assert asyncio.run(deployment.accounts()) == asyncio.run(whole.accounts())
    for topic, number in ((topics.SEGMENT_CHANGES, "sequence"), (topics.INTENT_SPIKES, "number")):
        found = deployment.numbered(topic, number)
        assert found == whole.numbered(topic, number)
        assert len(found) > 20
    waited = [r.value for r in deployment.read(topics.DEAD_LETTERS) if r.value == WAITS]
    assert len(waited) >= 1, "once more where a try died in between"
    code, clean = deployment.call("reconcile")
    assert (code, clean["clean"]) == (0, True)
    assert deployment.call("repartition", "--forget", "--yes") == (0, {"forgotten": BEFORE})
    assert len(asyncio.run(deployment.accounts())) == len(asyncio.run(whole.accounts()))


def test_it_refuses_and_can_be_given_up(deployment: Deployment) -> None:
    with deployment.worker():
        code, error = deployment.call("repartition", str(AFTER), "--yes")
        assert (code, error["type"]) == (1, "Busy")
        assert "workers are in the group: 1" in error["message"]
    deployment.publish(*(Message(each.topic, each.key, each.value) for each in FIRST[:5]))
    code, error = deployment.call("repartition", str(AFTER), "--yes")
    assert (code, error["type"]) == (1, "Busy")
    assert "5 records are not applied yet" in error["message"]
    code, looked = deployment.call("repartition", str(AFTER), "--check")
    assert (code, sum(each["records"] for each in looked["unread"])) == (1, 5)
    assert [each["type"] for each in looked["obstacles"]] == ["Busy"]
    assert deployment.call("repartition", "2", "--yes")[0] == 4
    assert deployment.call("repartition", "4", "--yes")[1]["changed"] is False
    deployment.work([])

    asyncio.run(deployment.move_and_die(Fuse(0, only="grow")))
    assert deployment.call("repartition", "--cancel") == (0, {"given_up": AFTER})
    assert deployment.call("repartition", "--cancel") == (0, {"given_up": None})
    deployment.work(FIRST[5:])
    assert deployment.call("repartition", str(AFTER), "--check")[0] == 0
