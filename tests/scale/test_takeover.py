"""A partition with 250,000 accounts changes hands, with a real Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.scale import memory

ACCOUNTS = 250_000


@pytest.fixture(scope="module")
def found(redis_service: Any) -> dict[str, Any]:
    """What was measured, in a process of its own: its memory is nobody else's."""
    command = [sys.executable, "-m", "tests.scale", "takeover", "--log", "memory"]
    command += ["--redis", redis_service.url, "--accounts", str(ACCOUNTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    measured: dict[str, Any] = json.loads(done.stdout)["takeover"]
    return measured


pytestmark = pytest.mark.skipif(not memory.AVAILABLE, reason="only Linux tells about memory")


def test_every_account_is_taken_over_and_no_partition_is_claimed_twice(
    found: dict[str, Any],
) -> None:
    assert found["accounts"] == ACCOUNTS
    assert found["claims"] == 2


def test_the_accounts_are_never_in_memory_twice(found: dict[str, Any]) -> None:
    """Records, ids and an index need the first part; a chunk on its way is all there is beyond."""
    assert 1.0 < found["peak_growth_bytes"] / found["table_bytes"] < 1.35


def test_no_round_of_the_event_loop_takes_a_large_part_of_the_load(found: dict[str, Any]) -> None:
    """Heartbeats share the loop. By its own CPU time, so that a busy machine is no failure."""
    assert found["rounds"] > 1_000
    assert found["longest_round_cpu_ms"] < 0.06 * found["cpu_seconds"] * 1e3


def test_the_other_partition_goes_on_meanwhile(found: dict[str, Any]) -> None:
    assert found["commits"] > 10
    assert found["commits_per_second"] > 0.25 * found["commits_per_second_before"]
    assert found["longest_pause_ms"] < 0.35 * found["claim_seconds"] * 1e3
