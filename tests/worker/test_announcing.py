"""What happened to models reaches `segment-models` at least once, in order, with stable ids."""

from __future__ import annotations

import copy
import json

import msgspec
import pytest

from stream_app.errors import Unavailable
from stream_app.events.decode import Pseudonyms
from stream_app.segments.snapshot import Lineage, Snapshot, write_snapshot
from stream_app.streams import topics
from stream_app.streams.announcing import announce
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.messages import Messages
from tests.models import AT, save_model
from tests.schemas.checks import check_published
from tests.worker.faults import Calls, FaultyPublisher
from tests.worker.model import RESTLESS

MODELS = topics.SEGMENT_MODELS.name
SPLIT = msgspec.structs.replace(
    RESTLESS,
    version=2,
    parent=1,
    cause="growth",
    lineage=[
        Lineage(kind="split", segment=1, name=RESTLESS.segments[0].name, others=[2]),
        Lineage(kind="created", segment=2, name=RESTLESS.segments[1].name),
    ],
)


class House:
    def __init__(self) -> None:
        self.store, self.broker, self.calls = MemoryStore(), MemoryBroker(), Calls()
        self.broker.create_topic(MODELS, 1)
        self.publisher = FaultyPublisher(MemoryPublisher(self.broker), self.calls)

    async def issue(self, snapshot: Snapshot, *, activate: bool = True) -> None:
        data = write_snapshot(snapshot)
        assert await save_model(self.store, snapshot.version, data, activate=activate)

    async def announce(self) -> None:
        registry = await self.store.registry()
        done = await announce(registry, self.store, self.publisher, Messages("", Pseudonyms()))
        assert done == await self.store.registry()

    @property
    def ids(self) -> list[str]:
        return [dict(r.headers)["ce_id"].decode() for r in self.broker.read_all(MODELS)]


@pytest.fixture
def house() -> House:
    return House()


async def test_versions_steps_and_activations_are_published_once(house: House) -> None:
    await house.issue(RESTLESS)
    await house.issue(SPLIT)
    for _ in range(2):
        await house.announce()
    assert house.ids == [
        "model:1",
        "model:2",
        "model:activated:1",
        "model:2:split:1",
        "model:2:created:2",
        "model:activated:2",
    ]
    for record in house.broker.read_all(MODELS):
        check_published(record.key, record.value, record.headers)


async def test_a_step_says_what_became_of_the_segment(house: House) -> None:
    await house.issue(RESTLESS)
    await house.issue(SPLIT)
    await house.announce()
    split = json.loads(house.broker.read_all(MODELS)[3].value or b"")
    one, two = RESTLESS.segments[:2]
    assert split == {
        "segment": {"id": 1, "name": one.name},
        "into": [{"id": 2, "name": two.name}],
        "model_version": 2,
        "parent": 1,
        "occurred_at": AT,
    }


async def test_a_version_that_waits_does_nothing_to_segments_yet(house: House) -> None:
    await house.issue(RESTLESS)
    await house.issue(SPLIT, activate=False)
    await house.announce()
    assert house.ids == ["model:1", "model:2", "model:activated:1"]
    registry = await house.store.registry()
    changed = registry.activated(2, AT, "maria", "activated")
    assert await house.store.update_registry(registry, changed)
    await house.announce()
    assert house.ids[3:] == ["model:2:split:1", "model:2:created:2", "model:activated:2"]


async def test_going_back_is_an_activation_without_steps(house: House) -> None:
    await house.issue(RESTLESS)
    await house.issue(SPLIT)
    await house.announce()
    registry = await house.store.registry()
    changed = registry.activated(1, AT, "maria", "rolled_back")
    assert await house.store.update_registry(registry, changed)
    await house.announce()
    assert house.ids[6:] == ["model:activated:3"]
    back = json.loads(house.broker.read_all(MODELS)[-1].value or b"")
    assert (back["model_version"], back["previous"], back["why"]) == (1, 2, "rolled_back")


async def test_what_kafka_did_not_take_is_published_the_next_time(house: House) -> None:
    await house.issue(RESTLESS)
    house.calls.fail("publish", Unavailable("away"), "yes")
    with pytest.raises(Unavailable):
        await house.announce()
    await house.announce()
    assert list(dict.fromkeys(house.ids)) == ["model:1", "model:activated:1"]


async def test_what_cannot_be_read_does_not_hold_up_the_rest(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await house.issue(RESTLESS)
    assert await save_model(house.store, 2, b"{}")
    await house.issue(msgspec.structs.replace(SPLIT, version=3))
    await house.announce()
    assert house.ids[:3] == ["model:1", "model:3", "model:activated:1"]
    assert house.ids[-1] == "model:activated:3"
    assert "model version 2 cannot be read" in caplog.text


async def test_what_a_store_that_was_set_back_issues_anew_is_published_too(house: House) -> None:
    await house.issue(RESTLESS)
    older = copy.deepcopy(vars(house.store))
    await house.issue(SPLIT)
    publish = house.publisher.publish

    async def meanwhile(messages: object) -> None:
        await publish(messages)  # type: ignore[arg-type]
        house.publisher.publish = publish  # type: ignore[method-assign]
        vars(house.store).update(copy.deepcopy(older))

    house.publisher.publish = meanwhile  # type: ignore[method-assign]
    await house.announce()
    other = msgspec.structs.replace(SPLIT, vectors=SPLIT.vectors + 1)
    await house.issue(other)
    await house.announce()
    said = {record.value for record in house.broker.read_all(MODELS)}
    assert {write_snapshot(SPLIT), write_snapshot(other)} <= said


async def test_a_change_while_publishing_is_not_taken_for_published(house: House) -> None:
    await house.issue(RESTLESS)
    publish = house.publisher.publish

    async def meanwhile(messages: object) -> None:
        await publish(messages)  # type: ignore[arg-type]
        house.publisher.publish = publish  # type: ignore[method-assign]
        await house.issue(SPLIT)

    house.publisher.publish = meanwhile  # type: ignore[method-assign]
    await house.announce()
    assert house.ids == ["model:1", "model:activated:1"]
    assert (await house.store.registry()).unannounced
    await house.announce()
    assert house.ids[2:4] == ["model:2", "model:2:split:1"]
