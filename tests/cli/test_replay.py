"""`replay`, as people call it. What it computes is tested in tests/replay."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.segments.snapshot import write_snapshot
from stream_app.traffic import Traffic, TrafficConfig
from tests.cli.conftest import Cli, finished, started
from tests.worker.model import RESTLESS

OUTPUTS = {
    "segment-changes.jsonl",
    "intent-spikes.jsonl",
    "accounts.jsonl",
    "dead-letters.jsonl",
    "models.jsonl",
    "model.json",
    "summary.json",
}


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Events of three days."""
    traffic = Traffic(TrafficConfig(accounts=60, with_type=True, malformed_rate=0.01))
    return [record.value for record in traffic.records(days=3)]


@pytest.fixture
def events(tmp_path: Path, lines: list[bytes]) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


def test_files_and_summary(cli: Cli, events: Path, tmp_path: Path, lines: list[bytes]) -> None:
    out = tmp_path / "new" / "folder"
    done = cli("replay", str(events), "--out", str(out), "--json")
    summary = done.json
    assert done.code == 0
    assert done.err == ""
    assert summary["read"] == len(lines)
    assert summary["read"] == sum(
        summary[part] for part in ("applied", "duplicates", "dead_letters")
    )
    assert {path.name for path in out.iterdir()} == OUTPUTS
    assert json.loads((out / "summary.json").read_bytes()) == summary
    assert len((out / "dead-letters.jsonl").read_bytes().splitlines()) == summary["dead_letters"]
    assert len((out / "accounts.jsonl").read_bytes().splitlines()) == summary["accounts"]


def test_several_files_and_compressed(
    cli: Cli, events: Path, tmp_path: Path, lines: list[bytes]
) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl.gz"
    first.write_bytes(b"\n".join(lines[:500]))
    second.write_bytes(gzip.compress(b"\n".join(lines[500:])))
    parts = cli("replay", str(first), str(second), "--json").json
    assert same(parts) == same(cli("replay", str(events), "--json").json)


def test_standard_input(
    cli: Cli, lines: list[bytes], events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(lines))))
    piped = cli("replay", "-", "--json").json
    assert same(piped) == same(cli("replay", str(events), "--json").json)


def test_summary_for_people(cli: Cli, events: Path, tmp_path: Path, lines: list[bytes]) -> None:
    shown = cli("replay", str(events), "--out", str(tmp_path / "out"))
    assert shown.code == 0
    assert f"{len(lines):,} lines read" in shown.out
    for expected in ("Unsegmented", "first_seen", "dead letters", "missing_field", "written to"):
        assert expected in shown.out


def test_until_lets_time_pass(cli: Cli, events: Path) -> None:
    summary = cli("replay", str(events), "--until", "2026-03-01T00:00:00Z", "--json").json
    assert summary["until"] == "2026-03-01T00:00:00Z"


def test_fixed_model(cli: Cli, events: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("STREAM_APP_SEGMENTS__WARM_START_VECTORS", "50")
    out = tmp_path / "trained"
    trained = cli("replay", str(events), "--out", str(out), "--json").json
    assert trained["model_version"] >= 1
    fixed = cli("replay", str(events), "--model", str(out / "model.json"), "--json").json
    assert fixed["model_version"] == trained["model_version"]
    assert "model" not in fixed["segment_changes_by_reason"]
    assert 0 not in {segment["id"] for segment in fixed["segments"]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"catalogue": "other"}, "feature catalogue other"),
        ({"mean": [1.0]}, "has not the dim"),
        ({"mean": [float("nan")]}, "is not a model snapshot"),
    ],
)
def test_a_model_that_does_not_fit(
    cli: Cli, events: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    model, bad = tmp_path / "model.json", msgspec.structs.replace(RESTLESS, **changes)
    model.write_bytes(write_snapshot(bad))
    refused = cli("replay", str(events), "--model", str(model), "--json")
    assert refused.error["type"] == "SnapshotRefused"
    assert says in refused.error["message"]
    assert refused.out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.jsonl"], 2, "nowhere.jsonl does not exist"),
        (["{folder}"], 2, "is a folder"),
        (["{events}", "{events}"], 2, "is given twice"),
        (["-", "-"], 2, "is given twice"),
        (["{events}", "--until", "tuesday"], 2, "'tuesday' is not a time"),
        (["{events}", "--model", "nowhere.json"], 2, "cannot read the model"),
        (["{events}", "--model", "{events}"], 4, "this is not a model snapshot"),
        (["{events}", "--out", "{events}"], 1, "cannot write to"),
        (["{events}", "--out", "/proc/nowhere"], 1, "cannot write to"),
        ([], 2, "Missing argument 'FILE...'"),
    ],
)
def test_wrong_use(
    cli: Cli, events: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    filled = [a.format(events=events, folder=tmp_path) for a in arguments]
    wrong = cli("replay", *filled)
    assert wrong.code == code
    assert message in wrong.err
    assert "Traceback" not in wrong.err
    assert wrong.out == ""


def test_a_broken_file_names_itself(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"this is not gzip")
    wrong = cli("replay", str(broken), "--json")
    assert wrong.code == 2
    assert str(broken) in wrong.error["message"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path: Path, lines: list[bytes], number: int, code: int) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("of an earlier run")
    process = started("replay", "-", "--out", str(out))
    assert process.stdin is not None
    # More than a block is needed until something is read, and the end of the file never comes.
    process.stdin.write(b"\n".join(lines * 20).decode(errors="replace"))
    process.stdin.flush()
    wait_for(out / "segment-changes.jsonl")
    process.send_signal(number)
    stopped = finished(process)
    assert stopped.code == code
    assert f"{out} holds what was written so far, and no summary" in stopped.err
    assert "Traceback" not in stopped.err
    assert stopped.out == ""
    assert {path.name for path in out.iterdir()} == OUTPUTS - {"model.json", "summary.json"}
    for line in (out / "segment-changes.jsonl").read_bytes().splitlines():
        json.loads(line)


@pytest.mark.parametrize("plain", [False, True])
def test_progress_on_a_terminal(events: Path, plain: bool) -> None:
    environment = {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if plain else {})
    shown, out, code = on_a_terminal("replay", str(events), "--json", **environment)
    assert code == 0
    assert json.loads(out)["read"] > 0
    assert b"events.jsonl" in shown
    assert (b"\x1b[3" in shown) is not plain


def on_a_terminal(*arguments: str, **environment: str) -> tuple[bytes, bytes, int]:
    """Stderr of a terminal, stdout of a pipe, exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", *arguments],
        env={**os.environ, "TERM": "xterm", **environment},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen = bytearray()

    def read() -> None:
        try:
            while data := os.read(ours, 4_096):
                seen.extend(data)
        except OSError:  # Linux says EIO at the end
            pass

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=60)
    reader.join(timeout=10)
    os.close(ours)
    return bytes(seen), out, process.returncode


def wait_for(path: Path) -> None:
    """Until the file has something in it."""
    done = threading.Event()
    for _ in range(600):
        if path.exists() and path.stat().st_size:
            return
        done.wait(0.1)
    raise AssertionError(f"{path} stays empty")


def same(summary: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the machine."""
    return {k: v for k, v in summary.items() if k not in {"seconds", "events_per_second"}}
