"""A letter that is read back says all that the worker said, and gives the record back as it was."""

from __future__ import annotations

from os import urandom

import pytest

from stream_app.cli.instants import since_us
from stream_app.errors import UsageError
from stream_app.events.instants import DAY, HOUR
from stream_app.settings import KafkaSettings
from stream_app.streams import topics
from stream_app.streams.dead_letters import REPLAY_HEADER, Letter, Selection, read_letter
from stream_app.streams.kafka_admin import create_topics
from stream_app.streams.kafka_publisher import KafkaPublisher
from tests.dlq.letters import NOT_JSON, NOW_US, VISITS, refused, stored, visit

HEADERS = (("ce_id", b"\xff\x00"), ("trace", b"1"), ("trace", b"2"), ("original-x", b""))


def read(offset: int, value: bytes | None, **given: object) -> Letter:
    letter = read_letter(stored(refused(offset, value, **given), partition=3, offset=9))  # type: ignore[arg-type]
    assert letter is not None
    return letter


def test_it_says_what_the_worker_said() -> None:
    letter = read(17, b"{]", rejection=NOT_JSON, headers=HEADERS)
    assert letter.id == f"{VISITS}:1:17"
    assert (letter.reason, letter.detail) == ("not_json", "malformed (byte 3)")
    assert (letter.at_us, letter.topic) == (NOW_US, VISITS)
    assert (letter.partition, letter.offset) == (3, 9)
    assert ("ce_reason", b"not_json") in letter.facts
    assert not {name for name, _ in letter.facts} & {"trace", "original-trace"}


@pytest.mark.parametrize("key", [None, b"", b"acme", b"\xff"])
@pytest.mark.parametrize("value", [None, b"", visit(), b"\xff\x00"])
def test_the_original_comes_back_as_it_was(key: bytes | None, value: bytes | None) -> None:
    original = read(17, value, key=key, headers=HEADERS).original()
    assert (original.topic, original.key, original.value) == (VISITS, key, value)
    assert original.headers == (*HEADERS, (REPLAY_HEADER, f"{VISITS}:1:17".encode()))


def test_a_record_that_is_refused_again_names_its_last_letter_only() -> None:
    once = read(17, b"x", headers=(("a", b"b"),)).original()
    twice = read(99, b"x", headers=once.headers).original()
    assert twice.headers == (("a", b"b"), (REPLAY_HEADER, f"{VISITS}:1:99".encode()))


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_time", "ce_reason", "ce_sourcetopic"])
def test_what_no_worker_wrote_is_no_letter(missing: str) -> None:
    message = refused(17, b"x")
    without = tuple(header for header in message.headers if header[0] != missing)
    other = tuple((n, b"other" if n == missing else v) for n, v in message.headers)
    for headers in (without, other if missing in {"ce_type", "ce_time"} else ()):
        record = stored(message.__class__(message.topic, b"k", b"v", headers))
        assert read_letter(record) is None


@pytest.mark.parametrize(
    ("key", "value", "accounts"),
    [
        (b"acme", visit("acme"), ("acme",)),
        (b"ann@x.example", visit("acme"), ("acme", "ann@x.example")),
        (None, visit("acme"), ("acme",)),
        (b"acme", b"{]", ("acme",)),
        (b"\xff", b'{"account_id": "acme", "x": "\xff"}', ("acme",)),
        (b"acme", b'{"account_id": 7}', ("acme",)),
        (None, b'{"specversion": "1.0", "data": {"account_id": "acme"}}', ("acme",)),
        (None, b'{"data": [' * 100_000, ()),
        (None, b"[]", ()),
        (b"", None, ()),
    ],
)
def test_whose_it_is(key: bytes | None, value: bytes | None, accounts: tuple[str, ...]) -> None:
    assert read(17, value, key=key).accounts == accounts


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (Selection(), True),
        (Selection(ids={f"{VISITS}:1:17"}), True),
        (Selection(ids={f"{VISITS}:1:18"}), False),
        (Selection(reasons={"too_large", "empty"}), True),
        (Selection(reasons={"empty"}), False),
        (Selection(topics={VISITS}), True),
        (Selection(topics={"engagement"}), False),
        (Selection(account="acme"), True),
        (Selection(account="ann"), True),
        (Selection(account="globex"), False),
        (Selection(since_us=NOW_US), True),
        (Selection(since_us=NOW_US + 1), False),
        (Selection(reasons={"too_large"}, account="globex"), False),
    ],
)
def test_which_are_meant(selection: Selection, fits: bool) -> None:
    assert selection.fits(read(17, visit("acme"), key=b"ann")) is fits


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0s", 3 * DAY), ("90m", 3 * DAY - 90 * HOUR // 60), ("2d", DAY), ("9d", 0)],
)
def test_so_long_ago(text: str, expected: int) -> None:
    assert since_us(text, 3 * DAY) == expected


@pytest.mark.parametrize("text", ["2w", "-1h", "h", "1.5h", "yesterday", "2026-01-31T12:00:00"])
def test_no_instant(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        since_us(text, 0)
    assert "2h" in refusal.value.hint


MIB = 1024 * 1024
HUGE: list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...], str]] = [
    (b"acme", b"x" * 20 * MIB, (), "value"),
    (b"k" * 5 * MIB, b"{}", (), "key"),
    (b"acme", b"{}", tuple((f"h{i}", b"") for i in range(100_000)), "headers"),
    (b"acme", None, (("h", b"x" * 20 * MIB),), "headers"),
    (b"k" * MIB, b"x" * 20 * MIB, (("h", b"x" * 20 * MIB),), "key,headers,value"),
]


@pytest.mark.parametrize(("key", "value", "headers", "cut"), HUGE)
def test_what_is_too_large_for_a_letter_is_cut_and_said(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...], cut: str
) -> None:
    letter = refused(5, value, key=key, headers=headers)
    read = read_letter(stored(letter))
    assert read is not None
    assert read.cut == cut
    assert (read.value == value) == ("value" not in cut)
    assert (read.key == key) == ("key" not in cut)
    assert (read.headers == headers) == ("headers" not in cut)
    assert (value or b"").startswith(read.value or b"")


def test_what_fits_is_kept_whole() -> None:
    headers = tuple((f"h{i}", b"x" * 90) for i in range(8_000))
    letter = refused(5, b"x" * 6 * MIB, key=b"k" * (MIB // 4), headers=headers)
    read = read_letter(stored(letter))
    assert read is not None
    assert (read.cut, len(read.value or b""), read.headers) == ("", 6 * MIB, headers)


@pytest.mark.integration
async def test_kafka_takes_the_largest_letter(kafka_bootstrap: str, topic_prefix: str) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
    await create_topics(settings, [topics.DEAD_LETTERS.with_prefix(topic_prefix)], partitions=1)
    headers = tuple((f"h{i}", urandom(90)) for i in range(8_000))
    largest = refused(5, urandom(20 * MIB), key=urandom(MIB), headers=headers, prefix=topic_prefix)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    await publisher.publish([largest])
    await publisher.stop()
