"""Replaying letters: each once, whatever fails in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from redis.asyncio import Redis

from stream_app.errors import Unavailable
from stream_app.events.decode import Reason, Rejection
from stream_app.features.table import Erased, digest_of
from stream_app.settings import InputSettings, RedisSettings, Settings
from stream_app.streams import topics
from stream_app.streams.dead_letters import REPLAY_HEADER, Selection
from stream_app.streams.letterbox import Fate, Letterbox
from stream_app.streams.memory_log import MemoryBroker, MemoryPublisher, MemoryRecord
from stream_app.streams.memory_reader import MemoryReader
from stream_app.streams.memory_store import MemoryStore
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit, Message, Position
from stream_app.streams.processor import Pipeline
from stream_app.streams.redelivery import Redelivery, Tally
from stream_app.streams.replay_marks import KEPT_SECONDS, ReplayMarks
from tests.dlq.letters import NOT_JSON, NOW_US, VISITS, refused, visit

PARTITIONS = 4
EVERYTHING = Selection()


class Clock:
    def now_us(self) -> int:
        return NOW_US

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Desk:
    """A letterbox in memory, whose marks are in Redis."""

    redis: RedisSettings
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        for topic in topics.TOPICS:
            self.broker.create_topic(topic.name, PARTITIONS)
        self.publisher = MemoryPublisher(self.broker)
        self.marks = ReplayMarks(self.redis)
        self.box = Letterbox(MemoryReader(self.broker), self.store, self.marks, "", PARTITIONS)

    async def put(self, *letters: Message) -> None:
        await self.publisher.publish(letters)

    async def replay(
        self,
        selection: Selection = EVERYTHING,
        *,
        dry_run: bool = False,
        again: bool = False,
        force: bool = False,
        settings: Settings | None = None,
    ) -> Tally:
        desk = Redelivery(
            self.box,
            self.publisher,
            self.marks,
            Pipeline(settings or Settings()),
            Clock(),
            again=again,
            force=force,
        )
        do = desk.plan if dry_run else desk.send
        return await do(selection, await self.box.stretches(selection))

    async def fates(self) -> dict[str, Fate]:
        stretches = await self.box.stretches(EVERYTHING)
        return {
            found.letter.id: found.fate
            async for batch in self.box.read(EVERYTHING, stretches)
            for found in batch
        }

    def sent(self, topic: str = VISITS) -> list[MemoryRecord]:
        return self.broker.read_all(topic)

    async def erase(self, account: str, at_us: int) -> None:
        partition = partition_of(account.encode(), PARTITIONS)
        position = (await self.store.claim(partition, "owner")).position
        past = msgspec.json.encode(Erased(1, 0, at_us, ("by",)))
        await self.store.commit(partition, erasure(position, digest_of(account), past))


def erasure(position: Position, digest: str, past: bytes) -> Commit:
    return Commit(position, position.offsets, 0, position.outbox_first, erased=[(digest, past)])


@pytest.fixture
async def desk(redis_url: str) -> AsyncIterator[Desk]:
    opened = Desk(RedisSettings(url=redis_url, prefix="dlq-test"))  # type: ignore[arg-type]
    yield opened
    await opened.marks.stop()


class Failing(MemoryPublisher):
    """Kafka does not say whether it has the messages: it has some."""

    def __init__(self, broker: MemoryBroker, takes: int) -> None:
        super().__init__(broker)
        self._takes = takes

    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(messages[: self._takes])
        raise Unavailable("no answer")


async def test_the_record_is_back_on_its_topic_and_only_once(desk: Desk) -> None:
    headers = (("trace", b"1"),)
    await desk.put(refused(5, visit("acme"), key=b"acme", headers=headers))
    tally = await desk.replay()
    assert (tally.ready, tally.sent) == (1, 1)
    (record,) = desk.sent()
    assert (record.key, record.value) == (b"acme", visit("acme"))
    assert record.headers == (*headers, (REPLAY_HEADER, b"website-visits:1:5"))
    again = await desk.replay()
    assert (again.ready, again.sent, again.fates) == (0, 0, {Fate.REPLAYED: 1})
    again = await desk.replay(again=True, force=True)
    assert (again.ready, again.fates) == (0, {Fate.REPLAYED: 1})
    assert len(desk.sent()) == 1


async def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    await desk.put(refused(5, visit()), refused(6, b"{]", rejection=NOT_JSON))
    tally = await desk.replay(dry_run=True)
    assert (tally.ready, tally.sent, tally.refused) == (1, 0, {"not_json": 1})
    assert desk.sent() == []
    assert set((await desk.fates()).values()) == {Fate.OPEN}


async def test_what_would_be_refused_again_stays_unless_forced(desk: Desk) -> None:
    await desk.put(refused(5, b"{]", rejection=NOT_JSON), refused(6, visit(), rejection=NOT_JSON))
    tally = await desk.replay()
    assert (tally.sent, tally.refused) == (1, {"not_json": 1})
    assert [each.id for each in tally.refusals] == ["website-visits:1:5"]
    assert [record.value for record in desk.sent()] == [visit()]
    tally = await desk.replay(force=True)
    assert (tally.sent, tally.forced, tally.refused) == (1, 1, {})
    assert {record.value for record in desk.sent()} == {visit(), b"{]"}


async def test_todays_settings_decide_what_would_be_refused(desk: Desk) -> None:
    await desk.put(refused(5, visit("acme", padding="x" * 2_000)))
    small = Settings(input=InputSettings(max_record_bytes=1_024))
    assert (await desk.replay(settings=small)).refused == {"too_large": 1}
    assert (await desk.replay(settings=Settings())).sent == 1


async def test_control_events_are_read_as_such_and_go_back_where_they_came_from(
    desk: Desk,
) -> None:
    control = visit("acme", type="account.restate")
    for topic in (topics.ACCOUNT_CONTROL.name, VISITS, topics.ENGAGEMENT.name):
        await desk.put(refused(5, control, topic=topic))
    named = {topics.ACCOUNT_CONTROL.name, VISITS, topics.ENGAGEMENT.name}
    tally = await desk.replay(Selection(topics=named))
    assert (tally.sent, tally.refused) == (1, {"unknown_type": 2})
    assert [record.value for record in desk.sent(topics.ACCOUNT_CONTROL.name)] == [control]


ERASING = visit("acme", type="account.erase")
CONTROL = topics.ACCOUNT_CONTROL.name


@pytest.mark.parametrize(
    "selection",
    [EVERYTHING, Selection(reasons={"too_large"}), Selection(account="acme")],
    ids=["all", "by reason", "by account"],
)
async def test_control_events_are_left_unless_they_are_named(
    desk: Desk, selection: Selection
) -> None:
    await desk.put(refused(5, ERASING, topic=CONTROL), refused(6, visit()))
    tally = await desk.replay(selection, force=True)
    assert (tally.sent, tally.control_left, tally.erasures) == (1, 1, 0)
    assert desk.sent(CONTROL) == []
    assert (await desk.fates())[f"{CONTROL}:1:5"] is Fate.OPEN


@pytest.mark.parametrize(
    "selection",
    [Selection(topics={CONTROL}), Selection(ids={f"{CONTROL}:1:{n}" for n in range(5, 9)})],
    ids=["by topic", "by id"],
)
async def test_those_that_erase_something_are_counted(desk: Desk, selection: Selection) -> None:
    await desk.put(
        refused(5, ERASING, topic=CONTROL),
        refused(6, visit("acme", type="contact.erase", contact_id="c-1"), topic=CONTROL),
        refused(7, visit("acme", type="account.restate"), topic=CONTROL),
        refused(8, visit("acme", type="account.forget"), topic=CONTROL),
    )
    tally = await desk.replay(selection, dry_run=True, force=True)
    assert (tally.ready, tally.forced, tally.erasures) == (4, 1, 2)
    assert (await desk.replay(selection)).sent == 3
    assert len(desk.sent(CONTROL)) == 3


async def test_forwarded_events_go_back_to_where_they_were_forwarded(desk: Desk) -> None:
    event = visit("acme", type="website.visit")
    await desk.put(refused(5, event, topic=topics.ENGAGEMENT.name))
    assert (await desk.replay()).sent == 1
    assert [record.value for record in desk.sent(topics.ENGAGEMENT.name)] == [event]


@pytest.mark.parametrize("force", [False, True])
async def test_no_letter_reaches_a_topic_that_workers_do_not_read(desk: Desk, force: bool) -> None:
    await desk.put(refused(5, visit(), topic=topics.SEGMENT_CHANGES.name))
    tally = await desk.replay(force=force)
    assert (tally.sent, tally.refused) == (0, {"not_read": 1})
    assert desk.sent(topics.SEGMENT_CHANGES.name) == []


@pytest.mark.parametrize("force", [False, True])
async def test_a_letter_that_has_not_the_whole_record_is_not_sent(desk: Desk, force: bool) -> None:
    await desk.put(refused(5, visit() + b" " * 7 * 1024 * 1024))
    tally = await desk.replay(force=force)
    assert (tally.sent, tally.refused) == (0, {"incomplete": 1})
    assert desk.sent() == []


@pytest.mark.parametrize("arrived", [0, 1, 2])
async def test_a_replay_that_ends_between_publishing_and_marking_is_seen(
    desk: Desk, arrived: int
) -> None:
    await desk.put(refused(5, visit(id_="e-5")), refused(6, visit(id_="e-6")))
    healthy, desk.publisher = desk.publisher, Failing(desk.broker, arrived)
    with pytest.raises(Unavailable):
        await desk.replay()
    desk.publisher = healthy
    assert set((await desk.fates()).values()) == {Fate.UNCERTAIN}
    tally = await desk.replay()
    assert (tally.ready, tally.sent, tally.uncertain_left) == (0, 0, 2)
    assert sorted(tally.uncertain) == ["website-visits:1:5", "website-visits:1:6"]
    assert len(desk.sent()) == arrived
    tally = await desk.replay(again=True)
    assert (tally.sent, tally.uncertain_left) == (2, 0)
    assert len(desk.sent()) == arrived + 2, "the same event ids: the accounts' rings drop them"
    assert {record.value for record in desk.sent()} == {visit(id_="e-5"), visit(id_="e-6")}
    assert set((await desk.fates()).values()) == {Fate.REPLAYED}


async def test_of_two_replays_at_a_time_each_letter_comes_from_one(desk: Desk) -> None:
    ids = [f"letter-{n}" for n in range(10)]
    other = ReplayMarks(desk.redis)
    mine = await desk.marks.begin(ids[:6], NOW_US)
    theirs = await other.begin(ids, NOW_US)
    await other.stop()
    assert mine == [True] * 6
    assert theirs == [False] * 6 + [True] * 4


async def test_a_letter_that_somebody_else_took_in_the_meantime_is_not_sent(desk: Desk) -> None:
    await desk.put(refused(5, visit()))
    stretches = await desk.box.stretches(EVERYTHING)
    redelivery = Redelivery(desk.box, desk.publisher, desk.marks, Pipeline(Settings()), Clock())
    look = desk.marks.look

    async def look_and_lose(ids: Sequence[str]) -> object:
        found = await look(ids)
        await desk.marks.begin(list(ids), NOW_US)
        return found

    desk.marks.look = look_and_lose  # type: ignore[method-assign,assignment]
    tally = await redelivery.send(EVERYTHING, stretches)
    assert (tally.ready, tally.sent) == (1, 0)
    assert desk.sent() == []


async def test_marks_go_when_the_letters_have_gone(desk: Desk, redis_url: str) -> None:
    await desk.put(refused(5, visit()))
    await desk.replay()
    async with Redis.from_url(redis_url) as client:
        (key,) = await client.keys("dlq-test:{dlq}:*")
        assert key == b"dlq-test:{dlq}:website-visits:1:5"
        assert 0 < await client.ttl(key) <= KEPT_SECONDS == 30 * 86_400
        await client.delete(key)
        assert await desk.marks.begin(["x"], NOW_US) == [True]
        assert 0 < await client.ttl("dlq-test:{dlq}:x") <= KEPT_SECONDS


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"umbrella", b"{]"), (b"ann", visit("umbrella")), (b"umbrella", visit("globex"))],
)
async def test_letters_of_an_account_that_was_erased_since_are_its_past(
    desk: Desk, key: bytes, value: bytes
) -> None:
    await desk.put(refused(5, value, key=key), refused(6, visit("other"), key=b"other"))
    await desk.erase("umbrella", NOW_US)
    tally = await desk.replay(again=True, force=True)
    assert (tally.sent, tally.fates) == (1, {Fate.ERASED: 1})
    assert [record.value for record in desk.sent()] == [visit("other")]


async def test_letters_of_a_new_life_are_not_its_past(desk: Desk) -> None:
    await desk.erase("acme", NOW_US)
    await desk.put(refused(5, visit("acme"), at_us=NOW_US + 1))
    assert (await desk.replay()).sent == 1


async def test_a_letter_that_was_published_twice_is_one(desk: Desk) -> None:
    letter = refused(5, visit())
    await desk.put(letter, letter, *[refused(n, visit(id_=f"e-{n}")) for n in range(600, 1_200)])
    await desk.put(letter)
    found = await desk.fates()
    assert len(found) == 601
    stretches = await desk.box.stretches(EVERYTHING)
    seen = [f.letter.id async for b in desk.box.read(EVERYTHING, stretches) for f in b]
    assert len(seen) == len(set(seen)) == 601
    tally = await desk.replay()
    assert (tally.ready, tally.sent, len(desk.sent())) == (601, 601, 601)


async def test_only_what_is_asked_for_is_sent(desk: Desk) -> None:
    await desk.put(*[refused(n, visit(id_=f"e-{n}")) for n in range(5)])
    tally = await desk.replay(Selection(ids={"website-visits:1:3", "website-visits:1:9"}))
    assert (tally.sent, tally.found) == (1, {"website-visits:1:3"})
    assert [record.value for record in desk.sent()] == [visit(id_="e-3")]


async def test_records_that_are_no_letters_are_counted_and_left_alone(desk: Desk) -> None:
    await desk.put(Message(topics.DEAD_LETTERS.name, b"k", b"v"), refused(5, visit()))
    assert (await desk.replay()).sent == 1
    assert desk.box.unreadable == 1


async def test_an_error_of_ours_can_be_replayed(desk: Desk) -> None:
    failed = Rejection(0, Reason.UNPROCESSABLE, "applying the record failed")
    await desk.put(refused(5, visit(), rejection=failed))
    assert (await desk.replay()).sent == 1
