"""The promises hold in simulated worlds, and a broken promise is found out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import chain
from time import monotonic

import pytest

from tests.simulation.__main__ import main
from tests.simulation.bugs import BUGS
from tests.simulation.plan import plan
from tests.simulation.run import run
from tests.simulation.shrink import shrunk

FRESH_SECONDS = 8.0

FOUND = {
    "offsets-before-state": 0,
    "publish-before-commit": 0,
    "no-epoch-check": 36,
    "no-revision-check": 12,
    "unknown-is-applied": 5,
    "unknown-is-not-applied": 25,
    "trim-before-acknowledgement": 2,
    "forget-outbox-on-claim": 12,
    "drop-oldest-on-failure": 6,
    "letters-beside-outbox": 0,
    "forwards-beside-outbox": 0,
    "clock-in-id": 0,
    "offset-plus-one": 1,
    "lose-a-revoke": 1,
    "resume-without-reading": 3,
    "never-look": 17,
    "stale-inbox": 8,
    "deaf-after-seek": 1,
    "keep-memory": 8,
    "moved-is-fine": 8,
    "no-deduplication": 0,
    "lose-poison": 1,
    "sweep-ahead": 0,
    "old-model-after-claim": 85,
    "model-before-store": 159,
    "state-left-behind": 1,
    "profile-left-behind": 1,
    "erased-in-memory-only": 1,
    "claim-without-erased": 1,
    "numbers-begin-anew": 1,
    "erase-before-the-outbox-is-empty": 1,
    "no-tombstone": 1,
    "no-last-change": 1,
    "erase-a-new-life": 1,
    "contact-erased-in-memory-only": 56,
    "controls-first": 1,
    "redirects-beside-outbox": 8,
    "address-in-the-clear": 154,
}
"""The seed that found each bug. It moves when the worker changes, so its neighbours are tried too,
and then the first 500."""


def test_the_same_worlds_every_time() -> None:
    for seed in range(150):
        assert run(plan(seed)).violations == [], seed


def test_worlds_that_nobody_has_seen() -> None:
    seed = first = int.from_bytes(os.urandom(5))
    until = monotonic() + FRESH_SECONDS
    print(f"fresh seeds from {first} on")
    while monotonic() < until:
        violations = run(plan(seed)).violations
        assert violations == [], f"make simulate ARGS='--seed {seed}'"
        seed += 1


def test_nothing_goes_wrong_without_faults() -> None:
    for seed in range(1_000, 1_020):
        assert run(plan(seed).without(())).violations == [], seed


def test_a_seed_is_the_same_run_in_every_process() -> None:
    seeds = range(40, 52)
    here = [run(plan(seed)).digest for seed in seeds]
    assert [run(plan(seed), tracing=True).digest for seed in seeds] == here
    assert len(set(here)) == len(here)
    script = (
        "from tests.simulation.plan import plan\n"
        "from tests.simulation.run import run\n"
        f"print(*[run(plan(seed)).digest for seed in {list(seeds)}])"
    )
    for hash_seed in "1", "2":
        found = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.split() == here


def test_every_bug_has_a_seed() -> None:
    assert FOUND.keys() == BUGS.keys()


@pytest.mark.parametrize("bug", FOUND)
def test_a_bug_is_found(bug: str) -> None:
    near = range(max(FOUND[bug] - 3, 0), FOUND[bug] + 20)
    seeds = chain([FOUND[bug]], near, range(500))
    assert any(run(plan(seed), bug=bug).violations for seed in seeds)


def test_a_failure_is_shown_with_as_few_faults_as_lead_to_it() -> None:
    seed = next(s for s in range(500) if run(plan(s), bug="drop-oldest-on-failure").violations)
    whole = plan(seed)
    least = shrunk(whole, "drop-oldest-on-failure")
    assert run(least, bug="drop-oldest-on-failure").violations
    assert len(least.faults) <= len(whole.faults)
    for i in range(len(least.faults)):
        fewer = least.without(least.faults[:i] + least.faults[i + 1 :])
        assert not run(fewer, bug="drop-oldest-on-failure").violations


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["seeds"] == 5
    assert said["violations"] == []
    assert sum(said["faults"].values()) > 0

    assert main(["--seeds", "500", "--bug", "publish-before-commit"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    (found,) = json.loads(last)["violations"]
    assert "publishes" in found["violations"][0]
    assert any(f"seed {found['seed']} breaks a promise" in line for line in lines)
    assert any("VIOLATION" in line for line in lines)
