"""The whole demo, as a user starts it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-c", "from stream_app.cli import main; main()", "demo"]
SMALL = ["--accounts", "150", "--speed", "4"]
KEYS = {
    "seconds", "simulated_days", "simulated_until", "records", "events", "events_per_second",
    "duplicates", "dead_letters", "dead_letters_by_reason", "accounts", "segments",
    "segment_changes", "segment_changes_by_reason", "intent_spikes", "planted", "lag_ms",
    "model_version", "vectors", "seed",
}  # fmt: skip


def test_json_ends_with_one_object_of_all_keys() -> None:
    command = [*COMMAND, "--seconds", "2", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    found = json.loads(run.stdout)
    assert set(found) == KEYS
    assert set(found["lag_ms"]) == {"p50", "p99"}
    assert all(set(segment) == {"id", "name", "accounts"} for segment in found["segments"])
    assert found["seed"] == 7
    assert run.stdout.count("\n") == 1
    assert found["records"] > 0
    assert found["records"] == found["events"] + found["duplicates"] + found["dead_letters"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_a_summary(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, *SMALL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        progress = process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert re.match(r"\w{3} \d+ Jan 2026 \d\d:\d\d  [\d,]+ events", progress)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert out.startswith("time ")
    assert "Unsegmented" in out or "model version" in out


def test_on_a_terminal_there_is_a_view_and_then_a_summary() -> None:
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        os.execve(COMMAND[0], [*COMMAND, *SMALL], environment)  # the child does not return
    screen = b""
    interrupted = False
    while time.monotonic() - began < 60:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        try:
            screen += os.read(terminal, 65_536) if ready else b""
        except OSError:  # the other side is closed
            break
        if not interrupted and b"Latest changes" in screen and b"days per second" in screen:
            os.write(terminal, b"\x03")
            interrupted = True
    os.close(terminal)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    view, _, after = screen.partition(b"\x1b[?1049l")  # back from the alternate screen
    assert b"\x1b[?1049h" in view
    assert b"has not begun" in view
    assert b"simulated time" in view
    assert b"freshness" in after
    assert b"freshness" not in view
