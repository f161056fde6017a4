"""What the README tells a reader to type exists."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.traffic import Traffic

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_account_is_one_of_the_default_traffic() -> None:
    (account,) = re.findall(r"stream-app account (\S+)", README)
    assert account in Traffic().truth.accounts


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parents[2] / target).is_file(), target
