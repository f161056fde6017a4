"""The trainer and the people who decide about its models."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest

from stream_app.errors import Unavailable
from stream_app.events.decode import Pseudonyms
from stream_app.segments.snapshot import Snapshot, read_snapshot
from stream_app.settings import Settings
from stream_app.streams.memory_log import MemoryPublisher
from stream_app.streams.messages import Messages
from stream_app.streams.operating import Operating
from stream_app.streams.registry import Registry
from tests.models import newest_version, save_model
from tests.worker.faults import Calls
from tests.worker.scenario import START_US
from tests.worker.test_training import SETTINGS, House, learn, samples
from tests.worker.virtual import VirtualClock

APPROVAL = SETTINGS.model_copy(
    update={"segments": SETTINGS.segments.model_copy(update={"activation": "approval"})}
)


class Town(House):
    """A house with an operator in it."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        super().__init__(settings)
        self._clock = VirtualClock(START_US)
        publisher, messages = MemoryPublisher(self.broker), Messages("", Pseudonyms())
        self.operating = Operating(self.store, publisher, messages, self._clock, "maria")

    async def registry(self) -> Registry:
        return await self.store.registry()

    async def snapshot(self, version: int | None = None) -> Snapshot:
        found = await self.store.snapshot(version)
        assert found is not None
        return read_snapshot(found[1])


@pytest.fixture
def town() -> Town:
    return Town()


async def test_the_trainer_goes_on_from_the_version_that_somebody_activated(town: Town) -> None:
    training = town.trainer()
    await learn(training, samples(150))
    newest = await newest_version(town.store)
    assert newest > 2
    await town.operating.activate(1)
    await learn(training, samples(30, 150))
    following = await town.snapshot(newest + 1)
    assert following.parent == 1


async def test_a_restarted_trainer_goes_on_from_it_too(town: Town) -> None:
    await learn(town.trainer(), samples(150))
    newest = await newest_version(town.store)
    await town.operating.activate(1)
    await learn(town.trainer(), samples(30, 150))
    assert (await town.snapshot(newest + 1)).parent == 1


async def test_nothing_is_activated_while_a_version_is_pinned(town: Town) -> None:
    training = town.trainer()
    await learn(training, samples(60))
    await town.operating.pin(pinned=True)
    await learn(training, samples(200, 60))
    registry = await town.registry()
    assert registry.active == 1
    for version in registry.waiting:
        assert (await town.snapshot(version)).cause != "online", "small moves would hide the rest"
    await town.operating.pin(pinned=False)
    await learn(training, samples(60, 260))
    assert (await town.registry()).active > 1


async def test_a_refit_waits_for_approval() -> None:
    town = Town(APPROVAL)
    training = town.trainer()
    await learn(training, samples(60))
    assert (await town.registry()).active == 1, "the first model waits for nobody"
    await town.operating.ask_for_refit()
    assert (await town.registry()).refit_asked
    await learn(training, samples(10, 60))
    registry = await town.registry()
    assert not registry.refit_asked
    proposals = [await town.snapshot(version) for version in registry.waiting]
    (proposal,) = (p for p in proposals if p.cause == "requested")
    assert registry.active != proposal.version
    await town.operating.activate(proposal.version)
    assert (await town.registry()).active == proposal.version
    await learn(training, samples(60, 70))
    later = await town.snapshot((await town.registry()).newest)
    assert later.parent >= proposal.version


async def test_a_refit_that_was_asked_for_is_used_at_once_where_that_is_the_rule(
    town: Town,
) -> None:
    training = town.trainer()
    await learn(training, samples(60))
    await town.operating.ask_for_refit()
    await learn(training, samples(10, 60))
    made = [await town.snapshot(version) for version in (await town.registry()).versions]
    assert "requested" in {snapshot.cause for snapshot in made}
    assert (await town.registry()).waiting == ()


async def test_a_trainer_that_dies_before_the_refit_leaves_the_request(town: Town) -> None:
    calls = Calls()
    training = town.trainer(calls)
    await learn(training, samples(60))
    await town.operating.ask_for_refit()
    calls.fail("update_registry", Unavailable("away"))
    with pytest.raises(Unavailable):
        await learn(training, samples(10, 60))
    assert (await town.registry()).refit_asked
    await learn(town.trainer(), samples(10, 70))
    assert not (await town.registry()).refit_asked


async def test_a_name_survives_what_the_trainer_makes(town: Town) -> None:
    training = town.trainer()
    await learn(training, samples(60))
    segment = (await town.snapshot()).segments[0].id
    await town.operating.rename(segment, "Champions")
    await learn(training, samples(30, 60))
    await town.operating.ask_for_refit()
    await learn(town.trainer(), samples(60, 90))
    assert (await town.registry()).active > 2
    names = {s.id: (s.name, s.named_by) for s in (await town.snapshot()).segments}
    assert names[segment] == ("Champions", "user")


async def test_a_bad_snapshot_is_not_followed(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    training = town.trainer()
    await learn(training, samples(60))
    bad = msgspec.structs.replace(await town.snapshot(), catalogue="other")
    version = (await town.registry()).newest + 1
    assert await save_model(town.store, version, msgspec.json.encode(bad))
    with caplog.at_level(logging.ERROR):
        await learn(training, samples(60, 60))
    assert caplog.text.count("the trainer does not follow") == 1
    assert (await town.registry()).newest > version, "and learns on from what it has"


async def test_decisions_are_on_the_topic_with_who_and_why(town: Town) -> None:
    await learn(town.trainer(), samples(100))
    await town.operating.activate(1)
    found: list[dict[str, Any]] = [
        json.loads(record.value or b"") for record in town.of_type("stream-app.model.activated")
    ]
    assert [each["number"] for each in found] == list(range(1, len(found) + 1))
    assert {(each["by"], each["why"]) for each in found} >= {
        ("trainer", "trained"),
        ("maria", "activated"),
    }


async def test_two_people_at_once(town: Town) -> None:
    """Who has not seen the other's decision is told, and nothing is done."""
    await learn(town.trainer(), samples(100))
    store, seen = town.store, await town.registry()
    current = store.registry
    store.registry = stale(seen)  # type: ignore[method-assign]
    await town.operating.pin(pinned=True)
    with pytest.raises(Exception, match="at the same time; nothing was done"):
        await town.operating.activate(1)
    store.registry = current  # type: ignore[method-assign]
    assert (await town.registry()).pinned
    assert (await town.registry()).active == seen.active


def stale(seen: Registry) -> Any:
    async def registry() -> Registry:
        return seen

    return registry
