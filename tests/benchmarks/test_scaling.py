"""docs/scaling.md: its arithmetic, and that it says what the figures say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scaling
from benchmarks.markdown import number, time_of
from benchmarks.rebalance import moved_share
from benchmarks.sizing import Figures, Missing, Size

DOCS = Path(__file__).parents[2] / "docs"
RESULTS: dict[str, Any] = {
    "worker": {
        "uniform": {"cpu_us_per_event": 8.0},
        "Zipf": {"cpu_us_per_event": 10.0},
    },
    "redis_writes": {
        "redis_cpu_us_per_event": 4.0,
        "read_bytes_per_event": 300.0,
        "stored_bytes_per_event": 450.0,
        "published_bytes_per_event": 100.0,
    },
    "worker_bytes_per_account": 1_024.0,
    "redis_bytes_per_account": 1_536.0,
    "claim_seconds": 2.5,
    "claim_cpu_seconds": 1.25,
    "claim_accounts": 250_000,
    "move_seconds": 10.0,
    "move_accounts": 250_000,
    "sweep_cpu_us_per_account": 2.0,
    "one_account_cpu_us_per_event": 20.0,
    "trainer_cpu_us_per_vector": 50.0,
}
PARTS = {"redis_writes", "claim_seconds", "move_seconds", "trainer_cpu_us_per_vector", "worker"}


@pytest.fixture(autouse=True)
def few_accounts_are_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million take seconds."""
    monkeypatch.setattr(scaling, "PLACED", 20_000)


def size(rate: float, accounts: float, **changes: Any) -> Size:
    return Size(rate, accounts, Figures.of({**RESULTS, **changes}))


def test_what_one_of_each_carries() -> None:
    figures = Figures.of(RESULTS)
    assert figures.worker_rate == 100_000, "by the less favourable load"
    assert figures.shard_rate == 250_000
    assert figures.partition_rate == pytest.approx(1e6 / 14)
    assert figures.account_rate == 50_000, "an account's own events are dearer here"


def test_a_million_events_a_second() -> None:
    goal = size(1e6, 1e8)
    assert goal.busy_cores == 10
    assert goal.workers == 17  # 10 / 0.6
    assert goal.shards_by_cpu == 8  # 4 / 0.5
    assert goal.shards_by_memory == 12  # 143 GiB / 12
    assert goal.shards == 12
    assert goal.by_accounts == 400
    assert goal.partitions == 512
    assert goal.claim_seconds == pytest.approx(2.5 * 1e8 / 512 / 250_000)
    assert goal.rebalance_seconds == pytest.approx(goal.moved * 1e8 * 5e-6 / 17)
    assert goal.vectors_per_second == pytest.approx(1e8 / 86_400)
    assert goal.move_seconds == pytest.approx(4_000)


def test_a_faster_worker_needs_fewer_processes() -> None:
    fast = {"worker": {"uniform": {"cpu_us_per_event": 4.0}}}
    assert size(1e6, 1e8, **fast).workers < size(1e6, 1e8).workers
    assert size(1e6, 1e8, **fast).partitions == size(1e6, 1e8).partitions, "accounts decide"


def test_the_number_of_partitions_is_a_power_of_two_that_meets_every_rule() -> None:
    for rate, accounts in ((1.0, 1.0), (5e4, 1e6), (1e6, 1e5), (3e5, 3e7)):
        found = size(rate, accounts)
        assert found.partitions & (found.partitions - 1) == 0
        least = max(found.by_accounts, found.by_workers, found.by_rate, 8)
        assert least <= found.partitions < 2 * least


def test_who_comes_or_goes_moves_more_than_it_has_to() -> None:
    assert moved_share(64, 1) == 1.0
    assert moved_share(64, 2) == 0.5
    share = moved_share(256, 16)
    assert share == moved_share(256, 16), "with seeds"
    assert 1 / 16 < share < 1.0


def test_the_page_is_filled_in() -> None:
    page = scaling.page(RESULTS)
    assert "{" not in page
    assert "| **worker**: a process on a core | 1 s / 10.0 µs | 100,000 events/s" in page
    assert "400, 136 and" in page
    assert "so **512**" in page
    rows = page.partition("## What breaks first")[2].partition("So the first")[0].splitlines()
    shares = [float(row.split(" | ")[0].strip("| ")) for row in rows if row[2:3].isdigit()]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 7


def test_what_breaks_first_follows_from_the_figures() -> None:
    trainer = scaling.page({**RESULTS, "trainer_cpu_us_per_vector": 50_000.0})
    assert "So the first thing to break is **the trainer**" in trainer
    claims = scaling.page({**RESULTS, "claim_cpu_seconds": 125.0})
    assert "So the first thing to break is **the rebalance" in claims


@pytest.mark.parametrize("missing", sorted(PARTS))
def test_results_that_lack_a_figure_give_no_page(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    less = {name: value for name, value in RESULTS.items() if name != missing}
    with pytest.raises(Missing, match="parts throughput"):
        Figures.of(less)
    file = tmp_path / "results.json"
    file.write_text(json.dumps(less))
    assert scaling.main([str(file), "--write", str(tmp_path / "page.md")]) == 1
    assert "the results have no" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_the_page_is_written(tmp_path: Path) -> None:
    file, page = tmp_path / "results.json", tmp_path / "page.md"
    file.write_text(json.dumps(RESULTS))
    assert scaling.main([str(file), "--write", str(page)]) == 0
    assert page.read_text() == scaling.page(RESULTS)


def test_the_page_in_docs_has_the_words_of_today() -> None:
    """Its figures come from a run; lines without one must be the same."""
    page = (DOCS / "scaling.md").read_text().splitlines()
    words = Path(scaling.__file__).with_name("scaling.md.in").read_text().splitlines()
    missing = [line for line in words if "{" not in line and line not in page]
    assert not missing, "python -m benchmarks.scaling RESULTS.json --write docs/scaling.md"


@pytest.mark.parametrize(
    ("value", "text"), [(123_456.0, "120,000"), (3.14159, "3.1"), (0.0512, "0.051"), (0.0, "0")]
)
def test_numbers_have_two_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.25 s"), (90.0, "90 s"), (1_000.0, "17 min"), (1e5, "28 h")]
)
def test_times_have_a_unit(seconds: float, text: str) -> None:
    assert time_of(seconds) == text
