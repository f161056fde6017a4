"""Every record ends in exactly one place: its account, or `dead-letters` as it came."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from stream_app.events.instants import DAY
from stream_app.settings import InputSettings
from stream_app.streams import topics
from stream_app.streams.partitioning import partition_of
from tests.worker.outcome import outcome, published, undisturbed_outcome
from tests.worker.scenario import EMAILS, START_US, VISITS, Line, event, scenario
from tests.worker.world import PARTITIONS, SETTINGS, World, until

ENGAGEMENT = topics.ENGAGEMENT.name
LETTERS = topics.DEAD_LETTERS.name
ADDRESS = "somebody@example.com"


def visits(key: bytes | None, account: str, count: int = 5) -> list[Line]:
    """Visits of one account by somebody whose id is an e-mail address."""
    return [
        Line(
            VISITS,
            key,
            event(
                VISITS, account, START_US + i * DAY // 4, f"{account}-{i}", contact_id="a@b.example"
            ),
        )
        for i in range(count)
    ]


def wrong_key_for(account: str) -> bytes:
    """A key of another partition."""
    home = partition_of(account.encode(), PARTITIONS)
    return next(key for i in range(99) if partition_of(key := b"key-%d" % i, PARTITIONS) != home)


# Events of accounts that live elsewhere


@pytest.mark.parametrize("key", [None, b"wrong", b""])
async def test_an_event_with_another_key_or_none_reaches_its_account(key: bytes | None) -> None:
    accounts = [f"acme-{i}" for i in range(12)]
    if key == b"wrong":
        lines = [line for name in accounts for line in visits(wrong_key_for(name), name, 1)]
    else:
        lines = [line for name in accounts for line in visits(key, name, 1)]
    well_keyed = [line for name in accounts for line in visits(name.encode(), name, 1)]
    world = await World.create(lines)
    node = await world.node().start()
    await world.finish()
    forwarded = world.read(ENGAGEMENT)
    assert node.count("forwarded_total") == len(forwarded) > 0
    for record in forwarded:
        value = json.loads(record.value or b"")
        assert record.key == value["account_id"].encode()
        assert record.partition == partition_of(record.key, PARTITIONS)
    assert node.count("events_total") == len(lines)
    found, expected = outcome(world), await undisturbed_outcome(well_keyed)
    assert (found.states, found.changes) == (expected.states, expected.changes)


async def test_an_address_is_hashed_before_it_is_passed_on() -> None:
    world = await World.create(visits(wrong_key_for("acme"), "acme"))
    await world.node().start()
    await world.settle()
    values = [record.value or b"" for record in world.read(ENGAGEMENT)]
    assert len(values) == 5
    for value in values:
        assert b"@" not in value
        assert json.loads(value)["contact_id"].startswith("hmac-")


async def test_an_event_that_is_forwarded_twice_counts_once() -> None:
    world = await World.create(visits(wrong_key_for("acme"), "acme"))
    victim = world.node()
    publish = victim.calls.stop("publish", after=True)
    victim.begin()
    await publish.reached.wait()
    victim.kill()
    node = await world.node().start()
    await world.settle()
    assert len(world.read(ENGAGEMENT)) == 10
    assert node.count("events_total") == 5
    assert node.count("duplicates_total") == 5


async def test_a_record_in_the_wrong_partition_of_engagement_goes_on_to_the_right_one() -> None:
    world = await World.create()
    body = {"type": "website.visit"} | json.loads(event(VISITS, "acme", START_US, "e-1"))
    home = partition_of(b"acme", PARTITIONS)
    world.broker.append(
        ENGAGEMENT, b"acme", json.dumps(body).encode(), partition=(home + 1) % PARTITIONS
    )
    await world.node().start()
    await world.settle()
    assert [record.partition for record in world.read(ENGAGEMENT)] == sorted(
        [home, (home + 1) % PARTITIONS]
    )
    assert list(outcome(world).states) == ["acme"]


# Refused records


REFUSED = {
    b"\xff\xfe": "invalid_encoding",
    b"[]": "not_an_object",
    b"": "empty",
    b'{"id": "1", "occurred_at": "2026-02-02T08:00:00Z"}': "no_account",
    event(VISITS, "acme", START_US + 400 * DAY, "e"): "in_the_future",
    event(VISITS, "acme", START_US, "e", url="x" * 2_000): "too_large",
}


async def test_a_refused_record_lies_in_dead_letters_as_it_came() -> None:
    settings = SETTINGS.model_copy(update={"input": InputSettings(max_record_bytes=1_000)})
    headers = (
        ("trace", b"\x00\xff"),
        ("trace", b"again"),
        ("ce_id", b"theirs"),
        ("content-type", b"x"),
    )
    world = await World.create(settings=settings)
    world.produce([Line(VISITS, b"\xfe-key", value, headers) for value in REFUSED])
    node = await world.node().start()
    await world.settle()
    letters = world.read(LETTERS)
    assert {letter.value: reason_of(letter.headers) for letter in letters} == REFUSED
    for letter in letters:
        assert letter.key == b"\xfe-key"
        ours, theirs = split(letter.headers)
        assert theirs == [(f"original-{name}", value) for name, value in headers]
        origin = (ours["ce_sourcetopic"], ours["ce_sourcepartition"], ours["ce_sourceoffset"])
        topic, partition, offset = (part.decode() for part in origin)
        (source,) = world.broker.read(topic, int(partition), int(offset))[:1]
        assert source.value == letter.value
    for reason in REFUSED.values():
        assert node.count("dead_letters_total", reason=reason) == 1
    assert outcome(world).states == {}


async def test_a_header_without_a_value_survives_a_restart() -> None:
    """Kafka allows null there. Between commit and publishing the letter lies in the outbox."""
    line = Line(VISITS, b"k", b"no json", (("trace", None),))  # type: ignore[arg-type]
    world = await World.create([line])
    victim = world.node()
    await victim.start_and_hold("publish", 0)
    victim.kill()
    await world.node().start()
    await world.settle()
    (letter,) = world.read(LETTERS)
    assert [name for name, _ in split(letter.headers)[1]] == ["original-trace"]


async def test_a_tombstone_is_refused_and_deletes_nothing() -> None:
    world = await World.create([*visits(b"acme", "acme"), Line(EMAILS, b"acme", None)])
    await world.node().start()
    await world.settle()
    (letter,) = world.read(LETTERS)
    assert (letter.value, reason_of(letter.headers)) == (None, "empty")
    assert list(outcome(world).states) == ["acme"]


async def test_nothing_is_lost_between_the_ports() -> None:
    """Every record is applied, a duplicate, refused, or passed on; and counted as such."""
    world = await World.create(scenario())
    node = await world.node().start()
    await world.settle()
    read = sum(node.count("records_total", topic=topic) for topic in topics.consumed())
    ends = ("events_total", "duplicates_total", "forwarded_total")
    refused = len(world.read(LETTERS))
    assert read == sum(node.count(name) for name in ends) + refused
    assert read == len(scenario()) + len(world.read(ENGAGEMENT))
    changes = published(world, topics.SEGMENT_CHANGES.name)
    counted = [node.count("segment_changes_total", reason=r) for r in ("first_seen", "behaviour")]
    assert sum(counted) <= len(changes)
    await until(lambda: not world.outbox)


def reason_of(headers: Sequence[tuple[str, bytes]]) -> str:
    return dict(headers)["ce_reason"].decode()


def split(
    headers: Sequence[tuple[str, bytes]],
) -> tuple[dict[str, bytes], list[tuple[str, bytes]]]:
    """(ours, the original's) headers."""
    theirs = [(name, value) for name, value in headers if name.startswith("original-")]
    return {n: v for n, v in headers if not n.startswith("original-")}, theirs
