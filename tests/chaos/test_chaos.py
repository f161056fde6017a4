"""`python -m tests.chaos`: each kind of fault once, and every promise kept."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.fleet import ROOT
from tests.chaos.traffic import QUIET_ACCOUNTS

TIMEOUT_SECONDS = 540
"""A run takes a minute. Each of its waits has a limit of its own, after which it reports."""


@pytest.mark.integration
def test_no_promise_is_broken_by_any_kind_of_fault() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--rounds", "1", "--seconds", "30"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-20_000:] + run.stdout
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["faults"] == dict.fromkeys(FAULTS, 1)
    assert found["recovery_seconds_by_fault"].keys() == FAULTS.keys()
    assert found["changes_expected"] == found["changes_published"]
    # The comparison was about something: all sorts of messages, and silence.
    assert all(topic["expected"] for topic in found["topics"].values()), found
    assert found["reasons"]["behaviour"]
    assert found["reasons"]["inactivity"] >= QUIET_ACCOUNTS
