"""The extension reads records as Python does: every column, every rejection, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stream_app import native
from stream_app.events.instants import DAY, to_rfc3339
from stream_app.features.table import FeatureTable
from stream_app.settings import Settings
from stream_app.streams.replay import Outputs, Replay
from stream_app.traffic import Traffic, TrafficConfig
from tests.events.records import ANY, EMAIL, NOW_US, VISIT, VISITS, Record, encode
from tests.fuzz.generate import Generator
from tests.native.paths import need_native, taking
from tests.native.reading import both, columns, described, differences, ordinary, reader
from tests.native.variety import varied

COLLIDING = ("plumless", "buckeroo")
"""Two words with the same CRC-32."""


@pytest.fixture(autouse=True)
def _needs_the_extension() -> None:
    need_native()


def some(accounts: Sequence[str]) -> list[int]:
    """Positions of the accounts that are called foreign here."""
    return [i for i, account in enumerate(accounts) if sum(account.encode()) % 7 == 0]


def visit(**fields: Any) -> Record:
    return Record(VISITS, encode(VISIT | fields))


def agree(*records: Any, key: bytes = b"", **more: Any) -> None:
    """Both paths make the same of these records, together and one by one."""
    read = reader(key=key)
    assert not list(differences(read, records, NOW_US, **more))
    for record in records:
        assert not list(differences(read, [record], NOW_US, **more)), record


@pytest.mark.parametrize("seed", range(8))
def test_events_in_every_form(seed: int) -> None:
    random = Random(seed)
    records = [varied(random) for _ in range(3_000)]
    assert ordinary(records, NOW_US) > 600
    cut = random.randrange(len(records))
    for part in (records[:cut], records[cut:], *([record] for record in records[:300])):
        assert not list(differences(reader(), part, NOW_US, foreign=some))


@pytest.mark.parametrize("seed", range(4))
def test_hostile_records(seed: int) -> None:
    generator = Generator(Random(seed))
    for size in (1, 2, 100, 1_000):
        records = generator.batch(size, 0, NOW_US)
        assert not list(differences(reader(), records, NOW_US, foreign=some))


def test_traffic_is_ordinary() -> None:
    """Else nothing would be won."""
    config = TrafficConfig(accounts=200, with_type=False)
    records = [r for r in Traffic(config).records(20) if r.flaw != "malformed"]
    now_us = config.start_us + 60 * DAY
    assert len(records) > 1_000
    assert ordinary(records, now_us) == len(records)
    whole = [Record(r.topic, r.value) for r in Traffic(config).records(20)]
    assert not list(differences(reader(), whole, now_us))


def test_what_is_unusual_takes_its_place_among_the_others() -> None:
    """CloudEvents and events written unusually, between ordinary ones and rejected ones."""
    records = [
        visit(id="1", topics=["a"]),
        Record(VISITS, encode({"specversion": "1.0", "data": VISIT | {"topics": ["c", "a"]}})),
        Record(VISITS, b"{}"),
        visit(id="2", topics=["b", "c"]),
        Record("topic-of-the-unusual-only", encode(VISIT | {"dwell_seconds": 1e-7})),
        Record(VISITS, None),
        Record(ANY, encode(EMAIL)),
    ]
    assert ordinary(records, NOW_US) == 3
    agree(*records)
    compiled, _ = both(reader(), records, NOW_US)
    assert compiled.indices.tolist() == [0, 1, 3, 4, 6]
    assert list(compiled.batch.topic_names.values()) == ["a", "c", "b", "pricing", "security"]
    assert [rejection.index for rejection in compiled.rejections] == [2, 5]


def test_foreign_events_leave_nothing_but_their_time() -> None:
    records = [
        visit(account_id="mine", topics=["b"]),
        visit(account_id="theirs", topics=["a"], contact_id="a@b.example"),
        Record(VISITS, encode(VISIT | {"account_id": "theirs", "dwell_seconds": 1e-7})),
        visit(account_id="mine", topics=["c", "a"]),
    ]

    def foreign(accounts: Sequence[str]) -> list[int]:
        return [i for i, account in enumerate(accounts) if account == "theirs"]

    agree(*records, foreign=foreign)
    compiled, _ = both(reader(), records, NOW_US, foreign=foreign)
    assert list(compiled.batch.accounts) == ["mine", "mine"]
    assert [event.contact_id for event in compiled.foreign] == ["a@b.example", "c-1"]
    assert list(compiled.batch.topic_names.values()) == ["b", "c", "a"]


@pytest.mark.parametrize("unusual", [False, True])
def test_of_two_topics_with_one_hash_the_first_gives_the_name(unusual: bool) -> None:
    one, other = COLLIDING
    late = {"topics": [other], "dwell_seconds": 1e-7 if unusual else 1}
    records = [visit(topics=[one]), visit(**late), visit(topics=["x"])]
    agree(*records)
    agree(*records[::-1])
    compiled, _ = both(reader(), records, NOW_US)
    assert list(compiled.batch.topic_names.values()) == [one, "x"]


def test_records_of_many_topics() -> None:
    records = [Record(f"topic-{i % 20}", encode(VISIT | {"id": str(i)})) for i in range(100)]
    agree(*records)


ADDRESSES = (
    "a@b.example", " A@B.Example\t", "\x1c\x1d\x1e\x1fa@b\x0b\x0c\r\n", "\x85a@b\xa0", "\u2003a@b",
    "\u0130@b", "\u212a@b", "STRASSE@b", "stra\u00dfe@b", "@", " @ ", "a@b\x00", "\x7f@\x01",
    "x" * 254 + "@y", " " * 255 + "@", "\u00e9" * 255 + "@", "no address",
)  # fmt: skip


@pytest.mark.parametrize("key", [b"", b"k", b"k" * 64, b"k" * 65])
def test_addresses_have_the_same_pseudonyms(key: bytes) -> None:
    random = Random(3)
    odd = "aZ09@.\t \x1f\x7f\u00e9\u0130"
    made = ["".join(random.choices(odd, k=random.randrange(1, 20))) for _ in range(300)]
    agree(*(visit(contact_id=address) for address in (*ADDRESSES, *made)), key=key)


def test_an_address_in_ascii_is_ordinary() -> None:
    records = [visit(contact_id=f" Person-{i}@Example.com ") for i in range(10)]
    assert ordinary(records, NOW_US) == 10


def test_limits_of_size_and_time() -> None:
    records = [visit(url="u" * length) for length in range(20)]
    size = len(records[10].value or b"")
    for limits in ({"max_bytes": size}, {"future_tolerance_seconds": -3_599.5}):
        read = reader(**limits)  # type: ignore[arg-type]
        for now_us in (NOW_US, NOW_US - 1_000_000, NOW_US + 1):
            assert not list(differences(read, records, now_us))


def test_what_is_not_bytes_is_left_to_python() -> None:
    values = [None, b"", "text", 1, bytearray(b"{}"), encode(VISIT)]
    compiled = reader()._compiled
    assert compiled
    found = compiled.decode(values, [VISITS] * 6, NOW_US)
    assert found
    assert found[4] == [0, 1, 2, 3, 4]


def test_values_of_a_file_name_their_own_types() -> None:
    values = [encode(VISIT), encode(EMAIL), b"{}", encode({"type": "erase"})]
    found = []
    for path in ("native", "python"):
        with taking(path):
            found.append(described(reader({}).read_values(values, NOW_US)))
    assert found[0] == found[1]
    assert found[0]["accounts"] == ["acme", "acme"]


def test_accounts_are_a_sequence_of_texts() -> None:
    names = ["a", "\u00e9" * 256, "\U0001f3e2", "a"]
    compiled, _ = both(reader(), [visit(account_id=name) for name in names], NOW_US)
    accounts = compiled.batch.accounts
    assert type(accounts) is native.compiled.Texts
    assert list(accounts) == names
    assert [accounts[-1], accounts[0]] == ["a", "a"]
    for position in (4, -5):
        with pytest.raises(IndexError):
            accounts[position]
    table = FeatureTable()
    assert table.find(accounts).tolist() == [-1] * 4
    assert table.rows_of(accounts).tolist() == [0, 1, 2, 0]
    assert table.find(accounts).tolist() == table.find(names).tolist() == [0, 1, 2, 0]


def test_nothing_comes_of_nothing() -> None:
    agree()
    compiled, _ = both(reader(), [], NOW_US)
    assert columns(compiled.batch)["topics"][1] == (0, 4)


def test_wrong_arguments_are_refused() -> None:
    decoder = native.compiled.EventDecoder
    with pytest.raises(ValueError, match="no type of an event: x"):
        decoder({VISITS: "x"}, b"", 1, 0)
    with pytest.raises(ValueError, match="differ in number"):
        decoder({}, b"", 1, 0).decode([b""], [], 0)
    with pytest.raises(TypeError):
        decoder({}, b"", 1, 0).decode([b""], [None], 0)  # type: ignore[list-item]


def test_a_bug_in_the_extension_is_an_error_like_any_other(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RuntimeError, match="the compiled extension has a bug"):
        native.compiled.fail()
    assert "as it was asked to" in capfd.readouterr().err


def test_a_replay_writes_the_same_files(tmp_path: Path) -> None:
    config = TrafficConfig(accounts=60, with_type=True)
    lines = [record.value for record in Traffic(config).records(20)]
    erasure = {"id": "x", "occurred_at": to_rfc3339(config.start_us + DAY)}
    account = json.loads(lines[0])["account_id"]
    lines.insert(500, encode({"type": "account.erase", "account_id": account, **erasure}))
    written = []
    for path in ("native", "python"):
        folder = tmp_path / path
        with taking(path), Outputs(folder) as outputs:
            replay = Replay(Settings(), outputs)
            replay.start_file("events.jsonl")
            replay.feed(lines)
            summary = replay.finish()
        assert summary.applied > 500
        assert summary.controls == 1
        files = [file for file in folder.iterdir() if file.name != "summary.json"]
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]
