"""Portions of silent accounts follow the time that they take."""

from __future__ import annotations

import pytest

from stream_app.settings import WorkerSettings
from stream_app.streams.pace import Pace


class Clock:
    now = 100.0

    def now_us(self) -> int:
        return round(self.now * 1e6)

    def monotonic(self) -> float:
        return self.now


def after(pace: Pace, clock: Clock, seconds_per_account: float, portions: int = 20) -> int:
    """Size of the portions once so many have been carried out."""
    for _ in range(portions):
        clock.now += pace.wait_seconds
        portion = pace.portion
        clock.now += portion * seconds_per_account
        pace.took(portion, portion * seconds_per_account)
    return pace.portion


@pytest.mark.parametrize(("cost", "portion"), [(20e-6, 250), (200e-6, 25), (1e-6, 2_000)])
def test_a_portion_takes_about_a_slice(cost: float, portion: int) -> None:
    clock = Clock()
    settings = WorkerSettings(sweep_slice_ms=5.0, sweep_accounts=2_000)
    assert after(Pace(clock, settings), clock, cost) == pytest.approx(portion, rel=0.05)


def test_accounts_that_cost_much_come_in_small_portions_that_still_get_on() -> None:
    clock = Clock()
    assert after(Pace(clock, WorkerSettings()), clock, 0.1) == 8


def test_the_share_is_kept() -> None:
    clock = Clock()
    pace = Pace(clock, WorkerSettings(sweep_share=0.2))
    spent, began = 0.0, clock.now
    for _ in range(100):
        seconds = pace.portion * 100e-6
        clock.now += seconds
        pace.took(pace.portion, seconds)
        clock.now += pace.wait_seconds
        spent += seconds
    assert spent / (clock.now - began) == pytest.approx(0.2)


def test_accounts_under_another_model_keep_to_their_rate() -> None:
    clock = Clock()
    pace = Pace(clock, WorkerSettings(model_accounts_per_second=50.0, sweep_seconds=2.0))
    looked_at, began = 0, clock.now
    while clock.now < began + 60.0:
        while portion := pace.of_model:
            pace.looked_at(portion)
            looked_at += portion
        clock.now += 2.0
    assert looked_at == pytest.approx(50 * 60, rel=0.05)


def test_what_was_not_looked_at_is_not_saved_up_for_ever() -> None:
    clock = Clock()
    pace = Pace(clock, WorkerSettings(model_accounts_per_second=10.0, sweep_seconds=1.0))
    clock.now += 3_600.0
    assert pace.of_model == 10


def test_without_a_rate_another_model_has_the_whole_portion() -> None:
    pace = Pace(Clock(), WorkerSettings())
    assert pace.of_model == pace.portion


def test_a_portion_without_any_account_is_no_reason_to_rest() -> None:
    pace = Pace(Clock(), WorkerSettings())
    pace.took(0, 0.0)
    assert pace.wait_seconds == 0.0


def test_accounts_with_nothing_to_decide_leave_the_size_of_portions_as_it_is() -> None:
    """After a claim all accounts are looked at, and mostly there is nothing to do."""
    clock = Clock()
    pace = Pace(clock, WorkerSettings())
    size = after(pace, clock, 100e-6)
    for _ in range(100):
        pace.took(0, 0.002)
    assert pace.portion == size
    assert pace.wait_seconds > 0.0
