"""Replay: every line accounted for, the same results however a file is packed and cut."""

from __future__ import annotations

import gzip
import io
import json
import sys
from base64 import b64decode
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_app.errors import UsageError
from stream_app.events.decode import Reason
from stream_app.events.instants import DAY, parse, to_rfc3339
from stream_app.events.types import Event
from stream_app.segments.snapshot import Snapshot, read_snapshot
from stream_app.settings import SegmentSettings, Settings, WorkerSettings
from stream_app.streams.lines import MAX_LINE_BYTES, read_lines
from stream_app.streams.replay import Outputs, Replay
from tests.engine.scenario import OTHER_VIEW, QUIET_OR_BUSY, streams
from tests.features.build import START_US, event
from tests.replay.runs import FILES, line, read, replay, results, traffic

EVENTS = traffic()
LINES = [line(one) for one in EVENTS]
BAD = {
    b"hello": Reason.NOT_JSON,
    b"[]": Reason.NOT_AN_OBJECT,
    b'{"type": "website.visit", "id": "x", "occurred_at": "2025-01-06T00:00:00Z"}': (
        Reason.NO_ACCOUNT
    ),
    b'{"type": "nope"}': Reason.UNKNOWN_TYPE,
    b'{"id": "x"}': Reason.UNKNOWN_TYPE,
    b'"\xff"': Reason.INVALID_ENCODING,
    b"[" * 5_000: Reason.TOO_DEEP,
}
SMALL = Settings(segments=SegmentSettings(warm_start_vectors=100, snapshot_vectors=200))


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the usual stream under a fixed model."""
    folder = tmp_path_factory.mktemp("fixed")
    replay(folder, [LINES], QUIET_OR_BUSY)
    return folder


def test_the_usual_stream_leads_to_all_there_is(fixed: Path) -> None:
    """What the comparisons below compare."""
    found = results(fixed)
    reasons = Counter(change["reason"] for change in found["segment-changes"])
    assert set(reasons) == {"first_seen", "behaviour", "inactivity"}
    assert len(found["intent-spikes"]) >= 2
    assert len(found["accounts"]) == 40


@pytest.mark.parametrize("packed", ["plain", "gz", "zst", "stdin"])
def test_however_a_file_is_packed_the_results_are_equal(
    packed: str, fixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"\n".join(LINES) + b"\n"
    path = tmp_path / {"plain": "e.jsonl", "stdin": "-"}.get(packed, f"e.jsonl.{packed}")
    if packed == "stdin":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    else:
        pack = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}
        path.write_bytes(pack[packed](text) if packed in pack else text)
    replay(tmp_path / "out", read_lines("-" if packed == "stdin" else str(path)), QUIET_OR_BUSY)
    assert results(tmp_path / "out") == results(fixed)


@pytest.mark.parametrize(("max_batch", "fed"), [(1, 500), (7, 500), (4_000, 500), (4_000, 3)])
def test_under_a_fixed_model_batches_do_not_show(
    max_batch: int, fed: int, fixed: Path, tmp_path: Path
) -> None:
    these = Settings(worker={"max_batch": max_batch})
    parts = [LINES[i : i + fed] for i in range(0, len(LINES), fed)]
    replay(tmp_path, parts, QUIET_OR_BUSY, these)
    assert results(tmp_path) == results(fixed)


@pytest.mark.parametrize("fed", [1, 333, 5_000])
def test_how_lines_are_handed_over_does_not_show_while_a_model_is_trained(
    fed: int, tmp_path: Path
) -> None:
    these = SMALL.model_copy(update={"worker": WorkerSettings(max_batch=250)})
    replay(tmp_path / "one", [LINES], settings=these)
    replay(tmp_path / "other", [LINES[i : i + fed] for i in range(0, len(LINES), fed)], None, these)
    assert results(tmp_path / "one")["summary"]["model_version"] > 1
    assert results(tmp_path / "one") == results(tmp_path / "other")


@given(streams(late=False), st.sampled_from([QUIET_OR_BUSY, OTHER_VIEW]), st.integers(1, 9))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_do_not_show_in_any_stream_in_time_order(
    tmp_path: Path, events: list[Event], model: Snapshot, max_batch: int
) -> None:
    lines = [line(one) for one in events]
    replay(tmp_path / "one", [lines], model)
    replay(tmp_path / "other", [lines], model, Settings(worker={"max_batch": max_batch}))
    assert results(tmp_path / "one") == results(tmp_path / "other")


lines_of_any_kind = st.lists(
    st.sampled_from([*LINES[:30], *BAD, b"", b"  ", b"\r"]) | st.binary(max_size=30), max_size=60
)


@given(lines_of_any_kind, st.integers(1, 20))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_is_applied_a_duplicate_or_a_dead_letter(
    tmp_path: Path, lines: list[bytes], max_batch: int
) -> None:
    given_lines = [part for text in lines for part in text.split(b"\n")]
    these = Settings(worker={"max_batch": max_batch})
    summary = replay(tmp_path, [given_lines], QUIET_OR_BUSY, these)
    written = [text for text in given_lines if text.strip()]
    good = Counter(text for text in written if text in LINES)
    assert summary.read == len(written)
    assert summary.read == summary.applied + summary.duplicates + summary.dead_letters
    assert summary.applied == len(good)
    assert summary.duplicates == sum(good.values()) - len(good)
    letters = read(tmp_path, "dead-letters")
    assert [_original(letter) for letter in letters] == [t for t in written if t not in good]
    assert [given_lines[letter["line"] - 1] for letter in letters] == [
        _original(letter) for letter in letters
    ]
    reasons = Counter(letter["reason"] for letter in letters)
    assert summary.dead_letters_by_reason == reasons
    assert all(
        letter["reason"] == BAD[_original(letter)] for letter in letters if _original(letter) in BAD
    )


def _original(letter: dict[str, str]) -> bytes:
    if letter["encoding"] == "base64":
        return b64decode(letter["value"])
    return letter["value"].encode()


def test_broken_lines_change_nothing_else(fixed: Path, tmp_path: Path) -> None:
    mixed = [
        text for i, good in enumerate(LINES) for text in ([*BAD, good] if i % 90 == 0 else [good])
    ]
    summary = replay(tmp_path, [mixed], QUIET_OR_BUSY)
    assert summary.dead_letters == len(mixed) - len(LINES) > 0
    found, expected = results(tmp_path), results(fixed)
    for name in ("segment-changes", "intent-spikes", "accounts"):
        assert found[name] == expected[name]


def test_duplicates_change_nothing_else(fixed: Path, tmp_path: Path) -> None:
    twice = [text for good in LINES for text in (good, good)]
    summary = replay(tmp_path, [twice], QUIET_OR_BUSY)
    assert (summary.applied, summary.duplicates) == (len(LINES), len(LINES))
    assert results(tmp_path)["accounts"] == results(fixed)["accounts"]


def test_a_line_that_is_too_long_is_one_dead_letter(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(LINES[0] + b"\n" + b"x" * (2 * MAX_LINE_BYTES) + b"\n\n" + b"y\n" + LINES[1])
    summary = replay(tmp_path / "out", read_lines(str(path)), QUIET_OR_BUSY)
    assert (summary.read, summary.applied, summary.dead_letters) == (4, 2, 2)
    long, short = read(tmp_path / "out", "dead-letters")
    assert (long["reason"], long["line"]) == ("too_large", 2)
    assert (short["reason"], short["line"]) == ("not_json", 4)  # line 3 is blank


def test_lines_are_counted_per_file(tmp_path: Path) -> None:
    with Outputs(tmp_path) as outputs:
        run = Replay(Settings(), outputs)
        for name in ("a.jsonl", "b.jsonl"):
            run.start_file(name)
            run.feed([b"", LINES[0], b"broken"])
        run.finish()
    found = [(letter["file"], letter["line"]) for letter in read(tmp_path, "dead-letters")]
    assert found == [("a.jsonl", 3), ("b.jsonl", 3)]


def test_the_summary_says_what_is_in_the_files(fixed: Path) -> None:
    found = results(fixed)
    summary = json.loads((fixed / "summary.json").read_text())
    assert summary["accounts"] == len(found["accounts"])
    assert summary["segment_changes"] == len(found["segment-changes"])
    assert summary["intent_spikes"] == len(found["intent-spikes"])
    assert summary["segment_changes_by_reason"] == Counter(
        change["reason"] for change in found["segment-changes"]
    )
    sizes = Counter(account["segment"]["name"] for account in found["accounts"])
    assert {s["name"]: s["accounts"] for s in summary["segments"]} == sizes
    assert summary["first_event"] == to_rfc3339(parse(EVENTS[0].occurred_at.isoformat()))
    assert summary["last_event"] == to_rfc3339(parse(EVENTS[-1].occurred_at.isoformat()))
    assert summary["until"] == summary["last_event"]
    assert summary["model_version"] == 1
    assert summary["seconds"] > 0
    assert summary["events_per_second"] > 0


def test_accounts_stand_where_their_last_change_put_them(fixed: Path) -> None:
    found = results(fixed)
    last = {change["account_id"]: change for change in found["segment-changes"]}
    for account in found["accounts"]:
        change = last[account["account_id"]]
        assert account["segment"] == change["current"]
        assert account["sequence"] == change["sequence"]


def test_a_fixed_model_is_written_back_as_it_was(fixed: Path) -> None:
    assert read_snapshot((fixed / "model.json").read_bytes()) == QUIET_OR_BUSY
    assert [version["version"] for version in read(fixed, "models")] == [QUIET_OR_BUSY.version]


def test_without_a_model_one_is_trained_on_the_way(tmp_path: Path) -> None:
    summary = replay(tmp_path, [LINES], settings=SMALL)
    model = read_snapshot((tmp_path / "model.json").read_bytes())
    assert model.version == summary.model_version >= 1
    assert summary.segment_changes_by_reason["model"] >= summary.accounts
    changes = read(tmp_path, "segment-changes")
    assert changes[0]["current"] == {"id": 0, "name": "Unsegmented"}
    names = {segment.name for segment in model.segments}
    assert {segment.name for segment in summary.segments} <= names
    versions = [change["model_version"] for change in changes]
    assert versions == sorted(versions)


def test_every_version_of_the_model_is_written(tmp_path: Path) -> None:
    summary = replay(tmp_path, [LINES], settings=SMALL)
    models = [read_snapshot(text) for text in (tmp_path / "models.jsonl").read_bytes().splitlines()]
    assert [model.version for model in models] == list(range(1, summary.model_version + 1))
    assert len(models) > 1
    assert models[-1] == read_snapshot((tmp_path / "model.json").read_bytes())


def test_training_twice_gives_the_same_results(tmp_path: Path) -> None:
    for name in ("one", "other"):
        replay(tmp_path / name, [LINES], settings=SMALL)
    assert results(tmp_path / "one") == results(tmp_path / "other")


def test_time_can_go_on_after_the_last_event(tmp_path: Path) -> None:
    until = to_rfc3339(START_US + 300 * DAY)
    summary = replay(tmp_path, [LINES], QUIET_OR_BUSY, until=until)
    assert summary.until == until
    accounts = read(tmp_path, "accounts")
    assert {account["as_of"] for account in accounts} == {until}
    assert {account["segment"]["id"] for account in accounts} == {1}  # all have gone quiet
    assert min(account["features"]["silence_days"] for account in accounts) == 182.0


def test_an_end_before_the_last_event_does_not_turn_time_back(tmp_path: Path) -> None:
    until = to_rfc3339(START_US + 30 * DAY)
    replay(tmp_path, [LINES], QUIET_OR_BUSY, until=until)
    latest: dict[str, str] = {}
    for one in EVENTS:
        latest[one.account_id] = to_rfc3339(parse(one.occurred_at.isoformat()))
    for account in read(tmp_path, "accounts"):
        assert parse(account["as_of"]) == max(parse(until), parse(latest[account["account_id"]]))


def test_one_wrong_clock_does_not_make_the_others_look_silent(tmp_path: Path) -> None:
    """A batch is as late as its median; what the wrong clock says is that account's own matter."""
    wrong = event(at_us=START_US + 150 * DAY, account="wrong clock")
    until = to_rfc3339(START_US + 150 * DAY)
    parts = [LINES[:300], LINES[300:]]
    replay(tmp_path / "right", parts, QUIET_OR_BUSY, until=until)
    replay(tmp_path / "wrong", [[*parts[0], line(wrong)], parts[1]], QUIET_OR_BUSY, until=until)
    for name in ("segment-changes", "intent-spikes", "accounts"):
        others = [
            one for one in results(tmp_path / "wrong")[name] if one["account_id"] != "wrong clock"
        ]
        assert others == results(tmp_path / "right")[name]


def test_an_end_that_is_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        replay(tmp_path, [LINES[:1]], until="tomorrow")


@pytest.mark.parametrize("lines", [[], [b""], [b"broken"]])
def test_nothing_to_apply_is_told_as_nothing(lines: list[bytes], tmp_path: Path) -> None:
    summary = replay(tmp_path, [lines])
    assert (summary.applied, summary.accounts, summary.segments) == (0, 0, [])
    assert (summary.first_event, summary.last_event, summary.until) == (None, None, None)
    assert all((tmp_path / f"{name}.jsonl").exists() for name in FILES)
    assert json.loads((tmp_path / "model.json").read_text()) is None


def test_without_a_folder_only_the_summary_is_counted(fixed: Path) -> None:
    run = Replay(Settings(), model=QUIET_OR_BUSY)
    run.feed(LINES)
    counted = json.loads((fixed / "summary.json").read_text())
    summary = run.finish()
    assert summary.segment_changes == counted["segment_changes"]
    assert summary.intent_spikes == counted["intent_spikes"]


def test_cloudevents_are_lines_too(tmp_path: Path) -> None:
    one = event(id_="1")
    data = json.loads(line(one))
    envelope = {"specversion": "1.0", "type": data.pop("type"), "source": "/x", "id": "1"}
    text = json.dumps(envelope | {"data": data}).encode()
    summary = replay(tmp_path, [[text, line(one)]])
    assert (summary.applied, summary.duplicates) == (1, 1)
