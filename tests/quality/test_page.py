"""Tables are written where their marks are, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quality.__main__ import PARTS
from tests.quality.page import write_table
from tests.quality.section import Section

PAGE = Path(__file__).parents[2] / "docs" / "segment-quality.md"


def test_a_table_takes_the_place_of_the_former_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- one -->\nold\n<!-- end of one -->\nafter\n")
    section = Section("One")
    section.add("share", 0.98765, at_least=0.99, note="a|b")
    section.add("count", 3.0)
    write_table(page, "one", section)
    assert page.read_text() == (
        "before\n<!-- one -->\n| figure | value | target | |\n|---|---|---|---|\n"
        "| share | 0.9877 | >= 0.99 | **missed**; a\\|b |\n| count | 3 |  |  |\n"
        "<!-- end of one -->\nafter\n"
    )


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- one -->\n")
    with pytest.raises(ValueError, match="no place for one"):
        write_table(page, "one", Section("One"))
    assert page.read_text() == "<!-- one -->\n"


@pytest.mark.parametrize("part", PARTS)
def test_the_page_has_a_table_of_each_part(part: str) -> None:
    text = PAGE.read_text()
    between = text.split(f"<!-- {part} -->\n", 1)[1].split(f"<!-- end of {part} -->", 1)[0]
    assert between.startswith("| figure | value | target | |")
