"""A short run finds nothing, and would find what may be wrong."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.changes import describe
from stream_app.engine import Engine
from stream_app.events.decode import Decoder, Reason
from stream_app.events.instants import HOUR
from stream_app.events.reading import Reader
from stream_app.settings import Settings, WorkerSettings
from stream_app.streams import topics
from stream_app.streams.messages import Messages
from stream_app.streams.processor import Pipeline, Processor
from stream_app.streams.replay import Replay
from tests.fuzz import checks
from tests.fuzz.__main__ import main
from tests.fuzz.generate import Generator, Record
from tests.fuzz.run import Result, Run
from tests.fuzz.shapes import SHAPES
from tests.fuzz.shrink import smallest
from tests.fuzz.slowest import NOW_US

SEED = 1
FRESH = SystemRandom().randrange(10**9)


def fuzz(folder: Path, seed: int = SEED, batches: int = 8, size: int = 500) -> Run:
    """A run with so many batches, as if it were part of a thousand times longer one."""
    run = Run(seed, 100 * batches, folder, accounts=200)
    for _ in range(batches):
        run.batch(size)
    run.finish()
    return run


def problems(result: Result) -> str:
    """What was found, for a message."""
    return "\n".join([*result.exceptions, *result.violations, *result.schema_violations])


@pytest.mark.parametrize("seed", [SEED, 2, pytest.param(FRESH, id="fresh")])
def test_hostile_records_do_no_harm(tmp_path: Path, seed: int) -> None:
    """The message names the seed, also of the run that is another one each time."""
    result = fuzz(tmp_path, seed).result
    assert result.clean, problems(result)
    assert result.records >= 4_000


def test_a_run_reaches_everything(tmp_path: Path) -> None:
    run = fuzz(tmp_path, batches=24)
    result = run.result
    assert set(result.dead_letters) == {reason.value for reason in Reason} - {"unprocessable"}
    assert set(result.published) >= {
        topics.SEGMENT_CHANGES.name,
        topics.INTENT_SPIKES.name,
        topics.ACCOUNT_SEGMENTS.name,
        topics.ACCOUNT_FEATURES.name,
        topics.DEAD_LETTERS.name,
        topics.ENGAGEMENT.name,
    }
    assert result.applied > result.records / 3
    assert result.duplicates > 100
    assert result.forwarded > 100
    assert result.models > 1
    assert run.lines.read > 2_000
    assert len(set(result.labels) & set(SHAPES)) > 5


def test_a_seed_decides_the_records() -> None:
    first, again, other = (
        [r for p in (0, 1) for r in Generator(Random(seed)).batch(300, p, NOW_US)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_names_of_topics_are_bounded() -> None:
    pipeline = Pipeline(Settings(worker=WorkerSettings(max_topics=50)))
    processor = Processor(pipeline, 0, 1)
    processor.process([Record("engagement", 0, n, b"a", visit(n)) for n in range(40)], None, NOW_US)
    assert len(processor.table.topic_names) == 50
    assert list(checks.table(processor.table, NOW_US, 50)) == []
    assert list(checks.table(processor.table, NOW_US, 49)) == ["50 names of topics are kept"]


def test_what_is_kept_does_not_grow_with_the_records() -> None:
    """Once all accounts are known, what a further part of the stream leaves behind is a small part
    of its bytes: names of topics and of contacts, for both of which there is a limit."""
    generator = Generator(Random(SEED), accounts=100)
    parts = [generator.batch(1_500, 0, NOW_US + i * HOUR) for i in range(3)]
    processor = Processor(Pipeline(Settings()), 0, 2)
    kept = []
    tracemalloc.start()
    try:
        for i, part in enumerate(parts):
            processor.process(part, None, NOW_US + i * HOUR)
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    size = sum(len(record.value or b"") for record in parts[2])
    assert kept[2] - kept[1] < size / 5


def visit(n: int) -> bytes:
    """A visit with topics that nobody has named before."""
    body = {
        "type": "website.visit",
        "id": f"e-{n}",
        "occurred_at": "2001-02-03T04:05:06Z",
        "account_id": "a",
        "topics": [f"topic-{n}-{i}" for i in range(4)],
    }
    return json.dumps(body).encode()


def raising(method: Callable[..., Any], pick: Callable[[Any], bool]) -> Callable[..., Any]:
    """A method that fails on what is picked."""

    def wrapped(self: Any, given: Any, *rest: Any) -> Any:
        if pick(given):
            raise RecursionError("planted")
        return method(self, given, *rest)

    return wrapped


def test_the_record_that_an_exception_comes_from_is_found_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(records: list[Record]) -> bool:
        return any(getattr(r, "offset", 0) == 7 and r.topic == "email-events" for r in records)

    monkeypatch.setattr(Reader, "read", raising(Reader.read, poisoned))
    result = fuzz(tmp_path, batches=4).result
    assert result.exceptions
    assert all("RecursionError: planted" in text for text in result.exceptions)
    assert all(text.count("Record(") == 1 for text in result.exceptions)
    assert "seed 1, batch" in result.exceptions[0]
    assert result.applied > 500


def test_an_engine_that_fails_in_a_sweep_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "sweep", raising(Engine.sweep, lambda table: len(table) > 90))
    assert fuzz(tmp_path, batches=3).result.exceptions


def test_a_record_that_disappears_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Decoder.decode

    def forgetful(self: Decoder, records: Any, now_us: int) -> Any:
        decoded = decode(self, records, now_us)
        del decoded.rejections[5:6]
        return decoded

    monkeypatch.setattr(Decoder, "decode", forgetful)
    found = fuzz(tmp_path, batches=1).result.violations
    assert any("records went in" in text for text in found), found


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("values", np.nan, "a sum is not a finite number"),
        ("values", -1.0, "a sum is not a finite number"),
        ("anchor", np.inf, "an anchor is not a finite number"),
        ("checks", 200, "checks is above"),
        ("bands", 4, "bands is above"),
        ("latest_us", 2**62, "latest_us lies outside"),
        ("first_us", 0, "first_us lies outside"),
        ("segment", -1, "in no segment"),
    ],
)
def test_a_broken_table_is_noticed(tmp_path: Path, name: str, value: float, expected: str) -> None:
    table = fuzz(tmp_path, batches=1).processors[1].table
    assert list(checks.table(table, 2**61, 10_000)) == []
    table.data[name][0] = value
    assert any(expected in text for text in checks.table(table, 2**61, 10_000))


def test_a_message_that_does_not_fit_its_schema_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe.Moment, "lag_ms", lambda *_: -1.0)
    assert fuzz(tmp_path, batches=1).result.schema_violations


def test_a_forwarded_record_that_is_not_taken_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Messages.forward

    def broken(self: Messages, event: Any) -> Any:
        return msgspec.structs.replace(forward(self, event), value=b"{}")

    monkeypatch.setattr(Messages, "forward", broken)
    found = fuzz(tmp_path, batches=1).result.violations
    assert any("forwarded records were not taken" in text for text in found), found


def test_a_line_that_replay_loses_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Replay.feed
    monkeypatch.setattr(Replay, "feed", lambda self, lines: feed(self, lines[1:]))
    found = fuzz(tmp_path, batches=4).result.violations
    assert any("lines went in" in text for text in found), found


@pytest.mark.parametrize("culprits", [{3}, {0}, {99}, {3, 77}, {0, 1, 50}])
def test_shrinking_leaves_what_is_needed_to_fail(culprits: set[int]) -> None:
    records = [Record("engagement", 0, n, None, None) for n in range(100)]
    left = smallest(records, lambda some: culprits <= {record.offset for record in some})
    assert [record.offset for record in left] == sorted(culprits)


def test_the_command_ends_with_figures(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--records", "300", "--seed", "5"])  # its verdict depends on how fast the machine is
    figures = json.loads(capsys.readouterr().out)
    assert figures["seed"] == 5
    assert figures["records"] >= 300
    assert (figures["exceptions"], figures["violations"], figures["schema_violations"]) == (0, 0, 0)
    assert figures["slowest_ms"] > 0
    assert figures["slowest_class"]
    done = figures["applied"] + figures["duplicates"] + sum(figures["dead_letters"].values())
    assert done + sum(figures["controls"].values()) == figures["records"]


def test_a_command_that_finds_something_says_so_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe.Moment, "lag_ms", lambda *_: -1.0)
    assert main(["--records", "50"]) == 1
    captured = capsys.readouterr()
    assert "seed 1, batch 1: a message to segment-changes" in captured.err
    assert json.loads(captured.out)["passed"] is False
