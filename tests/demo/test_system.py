"""The demo shows what the system is for, whatever the machine: it runs until it has."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from stream_app.demo.picture import Picture
from stream_app.demo.run import Options, run
from stream_app.demo.stopping import Stopping
from stream_app.demo.summary import DemoSummary, as_text
from stream_app.errors import ConfigError

REASONS = {"first_seen", "behaviour", "inactivity", "model"}


class Patient:
    """A display that interrupts the demo once everything was seen."""

    period_seconds = 0.05

    def __init__(self) -> None:
        self.pictures: list[Picture] = []

    def show(self, picture: Picture) -> None:
        self.pictures.append(picture)
        if picture.phase == "running" and set(picture.totals.changes) >= REASONS:
            os.kill(os.getpid(), signal.SIGINT)

    def warning(self) -> str:
        return ""

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def seen() -> tuple[DemoSummary, list[Picture]]:
    display = Patient()

    async def bounded() -> DemoSummary:
        async with asyncio.timeout(120):
            options = Options(accounts=300, days_per_second=5.0)
            return await run(options, display, stopping.event())

    with Stopping() as stopping:
        return asyncio.run(bounded()), display.pictures


Seen = tuple[DemoSummary, list[Picture]]


def test_segments_form_and_are_named(seen: Seen) -> None:
    summary, _ = seen
    assert summary.model_version >= 1
    assert len(summary.segments) >= 3
    assert len({segment.name for segment in summary.segments}) == len(summary.segments)


def test_changes_come_for_every_reason(seen: Seen) -> None:
    summary, _ = seen
    assert set(summary.segment_changes_by_reason) == REASONS
    assert sum(summary.segment_changes_by_reason.values()) == summary.segment_changes


def test_every_record_and_every_account_is_accounted_for(seen: Seen) -> None:
    summary, _ = seen
    assert summary.records == summary.events + summary.duplicates + summary.dead_letters
    assert summary.dead_letters == sum(summary.dead_letters_by_reason.values()) > 0
    assert summary.duplicates > 0
    assert sum(segment.accounts for segment in summary.segments) == summary.accounts <= 300


def test_freshness_is_measured(seen: Seen) -> None:
    lag = seen[0].lag_ms
    assert lag.p50 is not None
    assert lag.p99 is not None
    assert 0 < lag.p50 <= lag.p99


def test_a_cold_start_is_seen_before_the_model(seen: Seen) -> None:
    cold = [picture for picture in seen[1] if picture.accounts and not picture.model.version]
    assert cold
    assert cold[-1].model.vectors > 0
    assert all(segment.name == "Unsegmented" for segment in cold[-1].segments)


def test_simulated_time_only_goes_forward(seen: Seen) -> None:
    moments = [picture.now_us for picture in seen[1]]
    assert moments == sorted(moments)
    assert seen[1][-1].days > 1


def test_the_summary_reads_well(seen: Seen) -> None:
    text = as_text(seen[0])
    for word in ("simulated days", "per second", "dead letters", "surges", "model version"):
        assert word in text
    for segment in seen[0].segments:
        assert segment.name in text


def test_signal_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopping():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


async def test_settings_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_SEGMENTS__MARGIN", "7")

    with pytest.raises(ConfigError, match="margin"):
        await run(Options(accounts=10), Patient(), asyncio.Event())


async def test_a_wish_to_end_before_the_beginning_is_granted() -> None:
    with Stopping() as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30):
            summary = await run(Options(accounts=10), Patient(), stopping.event())

    assert summary.seconds < 5
