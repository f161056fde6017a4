"""The view fits any terminal and says what is going on."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from stream_app.demo.picture import Picture, SegmentLine
from stream_app.demo.view import View, lines
from tests.demo.pictures import COLD, STARTING, WARM

SIZES = [(80, 24), (100, 30), (120, 40), (200, 60)]
ODD_SIZES = [(20, 5), (40, 10), (59, 13), (79, 8), (500, 100)]


def plain(picture: Picture, width: int, height: int) -> str:
    return "\n".join(line.plain for line in lines(picture, width, height))


@pytest.mark.parametrize("picture", [STARTING, COLD, WARM], ids=["starting", "cold", "warm"])
@pytest.mark.parametrize(("width", "height"), SIZES + ODD_SIZES)
def test_no_line_is_too_long_and_there_are_not_too_many(
    picture: Picture, width: int, height: int
) -> None:
    drawn = lines(picture, width, height)

    assert len(drawn) <= height
    assert max(line.cell_len for line in drawn) <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_shows_everything_that_matters(width: int, height: int) -> None:
    screen = plain(WARM, width, height)

    for expected in (
        "Thu 12 Feb 2026 14:20, day 39",
        "563,220 events, 14,210 per second",
        "8.4 ms, p99 61 ms",
        "2,000 accounts, 68 dead letters, 412 duplicates",
        "model version 12",
        "Content readers                ",
        "23.2%",
        "▲ 14",
        "▼ 37",
        "3,034 model, 1,945 first seen, 953 behaviour, 84 inactivity",
        "pinecrest-1395",
        "pricing pages 0.4 → 6.1",
        "days of silence 3 → 14",
        "new model, version 12",
        "4.2 times as usual, 4 people",
        "128 so far",
        "0.98 days per second",
        "Ctrl-C",
    ):
        assert expected in screen


def test_a_change_is_one_line_with_both_segments_and_the_reason() -> None:
    (line,) = [line for line in plain(WARM, 160, 40).splitlines() if "pinecrest-1395" in line]

    assert re.split("  +", line.strip()) == [
        "pinecrest-1395",
        "Occasional visitors",
        "→ Late-stage evaluators",
        "behaviour",
        "pricing pages 0.4 → 6.1, page views this week 2 → 9.3",
    ]


def test_where_there_is_little_room_the_numbers_of_a_reason_stay() -> None:
    (line,) = [line for line in plain(WARM, 80, 24).splitlines() if "quillmark-0040" in line]

    assert "introductory and" in line
    assert line.rstrip().endswith("… 0 → 2")


def test_cold_start_is_said_and_not_guessed() -> None:
    screen = plain(COLD, 80, 24)

    assert "Unsegmented: collecting vectors (219 of 500)" in screen
    assert "no model yet" in screen


def test_a_first_fit_that_takes_its_time_is_said() -> None:
    fitting = replace(COLD, model=replace(COLD.model, vectors=640))

    assert "Unsegmented: the first model is being fitted" in plain(fitting, 80, 24)


def test_segments_that_find_no_room_are_counted() -> None:
    many = tuple(SegmentLine(i, f"Segment {i}", 100 - i) for i in range(1, 21))

    screen = plain(replace(WARM, segments=many), 80, 24)

    shown = sum(f"Segment {i} " in screen for i in range(1, 21))
    assert 3 <= shown < 20
    assert f"and {20 - shown} more" in screen


def test_says_when_the_worker_sets_the_pace() -> None:
    assert "The worker sets the pace: 0.4 days" in plain(replace(WARM, days_per_second=0.4), 80, 24)
    assert "sets the pace" not in plain(WARM, 80, 24)


def test_a_warning_is_seen() -> None:
    assert "a snapshot was refused" in plain(
        replace(WARM, warning="a snapshot was refused"), 80, 24
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_draws_itself_for_the_size_of_the_terminal(width: int, height: int) -> None:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    with console.screen(hide_cursor=False) as screen:
        screen.update(View(WARM))

    assert isinstance(console.file, io.StringIO)
    assert "pricing pages 0.4 → 6.1" in console.file.getvalue()
