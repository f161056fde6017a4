"""Medians, spreads and ratios; rows and their verdicts; the page."""

from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.measurement import Measurement
from benchmarks.section import Row, Section


def test_the_median_counts_and_the_spread_is_told() -> None:
    measured = Measurement.of([3.0, 1.0, 2.0])
    assert measured.median == 2.0
    assert measured.spread == (1.0, 3.0)
    assert measured.text(".1f") == "2.0 (1.0 to 3.0)"


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that is half as fast in one round is so for both."""
    ours, theirs = Measurement.of([100.0, 50.0, 110.0]), Measurement.of([200.0, 100.0, 200.0])
    assert ours.over(theirs).values == (0.5, 0.5, 0.55)


def test_a_measurement_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a value"):
        Measurement.of([])


def test_measurements_of_different_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        Measurement.of([1.0]).over(Measurement.of([1.0, 2.0]))


@pytest.mark.parametrize(
    ("limits", "target", "met"),
    [
        ({"at_least": 2.0}, ">= 2", True),
        ({"at_least": 2.1}, ">= 2.1", False),
        ({"at_most": 2.0}, "<= 2", True),
        ({"at_most": 1.9}, "<= 1.9", False),
        ({}, "", None),
    ],
)
def test_the_median_meets_a_target_or_does_not(
    limits: dict[str, float], target: str, met: bool | None
) -> None:
    row = Row("figure", Measurement.of([9.0, 2.0, 1.0]), "s", **limits)
    assert (row.target, row.met) == (target, met)


def test_the_page_has_every_figure_what_was_left_out_and_the_command() -> None:
    section = Section("Speed", "How it is measured.", left_out={"Java": "there is no\njava"})
    section.add("rate", Measurement.of([1_000.0, 1_200.0, 1_100.0]), "events/s", at_least=5_000.0)
    page = report.page([section], "make bench", "What it means.")
    assert "| rate | 1,100 (1,000 to 1,200) | events/s | >= 5000 | missed |  |" in page
    assert "- Java: there is no java" in page
    assert "`make bench`" in page
    assert page.endswith("What it means.\n")
    assert "/" not in report.machine().replace("GiB", "")
