"""Programs under measurement: their CPU is counted with their children's, and they end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import Failed, Program, session_cpu

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BUSY = "import time\nwhile time.process_time() < 0.4: pass\n"
FAMILY = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BUSY!r}], check=True)
print("worked", flush=True)
time.sleep(60)
"""


def wait_for(program: Program, word: str) -> None:
    deadline = time.monotonic() + 30
    while word not in program.wrote():
        program.check()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cpu_of_children_counts_and_all_is_ended(tmp_path: Path) -> None:
    began = time.time()
    with Program("family", [sys.executable, "-c", FAMILY], {}, tmp_path / "log") as program:
        wait_for(program, "worked")
        assert session_cpu(program.pid) >= 0.4
        time.sleep(0.15)  # one more sample
        assert program.cpu_between(began, time.time()) >= 0.35
    assert session_cpu(program.pid) == 0


def test_a_program_that_ends_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such broker'); raise SystemExit(3)"]
    with Program("peer", command, {}, tmp_path / "log") as program:
        wait_until_ended(program)
        with pytest.raises(Failed, match=r"peer ended with exit code 3:\nno such broker"):
            program.check()


def wait_until_ended(program: Program) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            program.check()
        except Failed:
            return
        time.sleep(0.02)
