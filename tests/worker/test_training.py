"""The trainer beside its world: each version is issued once, and a crash costs samples at most."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from random import Random

import pytest

from stream_app.errors import Incompatible, OutcomeUnknown, Unavailable
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import HOUR, to_rfc3339
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.trainer import Trainer
from stream_app.settings import HealthSettings, SegmentSettings, Settings
from stream_app.streams import topics
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher, MemoryRecord
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from stream_app.streams.training import Training
from tests.models import newest_version
from tests.schemas.checks import check_published
from tests.worker.faults import Calls, FaultyPublisher, FaultyStore
from tests.worker.scenario import START_US, scenario
from tests.worker.virtual import VirtualClock
from tests.worker.world import World, until, with_worker

SETTINGS = Settings(
    segments=SegmentSettings(
        min_segments=3, max_segments=3, warm_start_vectors=50,
        snapshot_vectors=20, snapshot_shift=0.0,
    )
)  # fmt: skip
MODELS = topics.SEGMENT_MODELS.name


class House:
    """A store and a broker, and trainers in it."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.store = MemoryStore()
        self.broker = MemoryBroker()
        self.broker.create_topic(MODELS, 1)

    def trainer(self, calls: Calls | None = None) -> Training:
        calls = calls or Calls()
        return Training(
            self.settings,
            FaultyStore(self.store, calls),
            FaultyPublisher(MemoryPublisher(self.broker), calls),
            Messages("", Pseudonyms()),
            VirtualClock(START_US),
        )

    @property
    def published(self) -> list[int]:
        """Versions on `segment-models`, repetitions included."""
        return [json.loads(record.value or b"")["version"] for record in self.versions]

    @property
    def versions(self) -> list[MemoryRecord]:
        """Their records, without those of what happened to them."""
        return self.of_type("stream-app.segment.model")

    def of_type(self, type_: str) -> list[MemoryRecord]:
        """Records of `segment-models`."""
        records = self.broker.read_all(MODELS)
        return [record for record in records if dict(record.headers)["ce_type"] == type_.encode()]


@pytest.fixture
def house() -> House:
    return House()


def samples(count: int, start: int = 0) -> list[bytes]:
    """Samples number `start` and following of one endless stream."""
    random = Random(5)
    vectors = [[random.gauss(i % 3, 0.3) for _ in MODEL_VECTOR] for i in range(start + count)]
    return [
        json.dumps(
            {"account_id": f"acme-{i}", "at": to_rfc3339(START_US + i * HOUR), "vector": vector}
        ).encode()
        for i, vector in enumerate(vectors[start:], start)
    ]


async def learn(trainer: Training, given: list[bytes]) -> None:
    for start in range(0, len(given), 10):
        await trainer.learn(given[start : start + 10])


async def test_models_are_stored_and_published_one_after_the_other(house: House) -> None:
    await learn(house.trainer(), samples(200))
    newest = await newest_version(house.store)
    assert newest > 3
    assert house.published == list(range(1, newest + 1))
    for record in house.versions:
        check_published(record.key, record.value, record.headers)
        found = await house.store.snapshot(json.loads(record.value or b"")["version"])
        assert found is not None
        assert found[1] == record.value


async def test_there_is_no_model_before_enough_was_seen(house: House) -> None:
    await learn(house.trainer(), samples(40))
    assert house.published == []
    assert await newest_version(house.store) == 0


async def test_the_models_health_is_judged_by_the_settings() -> None:
    strict = SETTINGS.model_copy(update={"health": HealthSettings(min_silhouette=0.99)})
    for settings, passes in ((SETTINGS, True), (strict, False)):
        house = House(settings)
        await learn(house.trainer(), samples(60))
        checks = json.loads(house.versions[0].value or b"")["health"]
        (differentiated,) = (check for check in checks if check["name"] == "differentiated")
        assert differentiated["threshold"].endswith(f" {settings.health.min_silhouette}")
        assert differentiated["passed"] is passes


async def test_of_two_trainers_at_once_each_version_comes_from_one(house: House) -> None:
    one, two = house.trainer(), house.trainer()
    for start in range(0, 300, 10):
        await asyncio.gather(one.learn(samples(10, start)), two.learn(samples(10, 1_000 + start)))
    newest = await newest_version(house.store)
    assert newest > 3
    assert list(dict.fromkeys(house.published)) == list(range(1, newest + 1))
    for record in house.versions:
        stored = await house.store.snapshot(json.loads(record.value or b"")["version"])
        assert stored is not None
        assert stored[1] == record.value


async def test_a_restarted_trainer_goes_on_from_its_checkpoint(house: House) -> None:
    await learn(house.trainer(), samples(70))
    before = await newest_version(house.store)
    await learn(house.trainer(), samples(130, 70))
    assert await newest_version(house.store) > before
    found = await house.store.snapshot()
    assert found is not None
    assert json.loads(found[1])["vectors"] > 130, "and has not begun anew"


async def test_a_trainer_that_died_between_storing_and_publishing_left_nothing_out(
    house: House,
) -> None:
    calls = Calls()
    publish = calls.stop("publish")
    dead = asyncio.create_task(learn(house.trainer(calls), samples(60)))
    await publish.reached.wait()
    assert await newest_version(house.store) == 1
    assert house.published == []
    await house.trainer().learn(samples(1, 60))
    assert house.published == [1]
    dead.cancel()


@pytest.mark.parametrize("applied", ["no", "yes"])
async def test_a_version_that_was_stored_without_an_answer_is_published(
    house: House, applied: str
) -> None:
    calls = Calls()
    calls.fail("update_registry", OutcomeUnknown("no answer"), applied)  # type: ignore[arg-type]
    trainer = house.trainer(calls)
    with pytest.raises(Unavailable):
        await learn(trainer, samples(60))
    await learn(trainer, samples(100, 60))
    assert list(dict.fromkeys(house.published)) == list(
        range(1, await newest_version(house.store) + 1)
    )


async def test_a_model_that_kafka_did_not_take_is_published_later(house: House) -> None:
    calls = Calls()
    calls.fail("publish", Unavailable("away"))
    trainer = house.trainer(calls)
    with pytest.raises(Unavailable):
        await learn(trainer, samples(60))
    await trainer.learn(samples(1, 60))
    assert house.published == [1]


async def test_a_former_trainers_checkpoint_does_not_end_all_training(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen before it stored a checkpoint, and its successor has issued versions since."""
    monkeypatch.setattr("stream_app.streams.training._CHECKPOINT_VECTORS", 15)
    calls = Calls()
    former = house.trainer(calls)
    checkpoint = calls.stop("save_trainer_checkpoint")
    frozen = asyncio.create_task(learn(former, samples(20)))
    await checkpoint.reached.wait()
    await learn(house.trainer(), samples(200))
    newest = await newest_version(house.store)
    assert newest > 1
    checkpoint.released.set()
    await frozen
    await learn(house.trainer(), samples(200, 200))
    assert await newest_version(house.store) > newest + 1
    assert list(dict.fromkeys(house.published)) == list(
        range(1, await newest_version(house.store) + 1)
    )


async def test_a_former_trainer_stores_no_checkpoint(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.streams.training._CHECKPOINT_VECTORS", 15)
    former = house.trainer()
    await former.learn(samples(10))
    await learn(house.trainer(), samples(200))
    stored = await house.store.trainer_checkpoint()
    await former.learn(samples(10, 10))
    assert await house.store.trainer_checkpoint() == stored
    newest = await newest_version(house.store)
    await learn(former, samples(100, 200))
    assert await newest_version(house.store) > newest, "it goes on from what was stored"


MISFITS = {
    "no JSON": b"{",
    "not a sample": b"{}",
    "another catalogue's": b'{"account_id": "a", "at": "2026-02-02T08:00:00Z", "vector": [1.0]}',
    "no time": samples(1)[0].replace(b"2026-", b"once-"),
}


@pytest.mark.parametrize("misfit", MISFITS.values(), ids=MISFITS.keys())
async def test_a_sample_that_cannot_be_used_is_left_out(
    house: House, misfit: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """After an update, samples of the version before still lie in the topic."""
    given = samples(100)
    with caplog.at_level(logging.WARNING):
        await learn(house.trainer(), [misfit, *given[:30], misfit, *given[30:], misfit])
    assert caplog.text.count("a feature sample could not be read") == 3
    clean = House()
    await learn(clean.trainer(), given)
    found, expected = await house.store.snapshot(), await clean.store.snapshot()
    assert found is not None
    assert expected is not None
    assert json.loads(found[1])["dimensions"] == json.loads(expected[1])["dimensions"]


async def test_samples_leave_the_worker_and_lead_to_a_model_that_it_uses() -> None:
    """The whole circle, with the scenario's accounts."""
    eager = SegmentSettings(warm_start_vectors=50, sample_hours=6.0)
    settings = with_worker().model_copy(update={"segments": eager})
    circle = await World.create(model=None, settings=settings)
    circle.produce(scenario())
    first = await circle.node().start()
    await circle.settle()
    await first.stop()  # virtual time must not run while a thread trains
    given = [record.value or b"" for record in circle.read(topics.ACCOUNT_FEATURES.name)]
    assert len(given) > 60
    for record in circle.read(topics.ACCOUNT_FEATURES.name)[:5]:
        check_published(record.key, record.value, record.headers)
    trainer = Training(
        settings,
        circle.store,
        MemoryPublisher(circle.broker),
        Messages("", Pseudonyms()),
        circle.clock,
    )
    await trainer.learn(given[:60])
    await circle.node().start()
    await until(lambda: bool((circle.table.live["model"] == 1).all()))


@pytest.mark.parametrize(
    "failure", [ValueError("an error of ours"), Incompatible("it fits no more")]
)
async def test_a_failure_ends_training_and_nothing_else(
    house: House,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    training = house.trainer()
    calls = 0

    def fails(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise failure

    monkeypatch.setattr(Trainer, "learn", fails)
    taken = 0

    async def batches() -> AsyncIterator[list[bytes]]:
        nonlocal taken
        for start in (0, 60, 120):
            taken += 1
            yield samples(60, start)

    await training.run(batches())
    assert (taken, calls) == (3, 1)
    assert "training has ended" in caplog.text


async def test_a_store_that_is_away_costs_samples_only(house: House) -> None:
    calls = Calls()
    calls.fail("trainer_checkpoint", Unavailable("away"), times=1)
    training = house.trainer(calls)

    async def batches() -> AsyncIterator[list[bytes]]:
        yield samples(10)
        yield samples(60, 10)

    await training.run(batches())
    assert house.published == [1]
