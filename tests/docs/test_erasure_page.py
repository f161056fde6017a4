"""docs/erasure.md says of every topic how long it keeps what, as the program sets it."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.features.table import CONTACT_BUCKETS, digest_of
from stream_app.streams import partitioning
from stream_app.streams.topics import TOPICS, Topic

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "erasure.md").read_text()
ROWS = [row.split("|")[1:-1] for row in PAGE.splitlines() if row.startswith("| ")][1:]


def until(topic: Topic) -> str:
    if topic.cleanup == "compact":
        return "compaction"
    return f"{topic.retention_days} days" if topic.retention_days else "for ever"


def test_every_topic_is_in_the_table_with_its_retention() -> None:
    said = {name: row[2].strip() for row in ROWS for name in re.findall(r"`([a-z-]+)`", row[0])}
    assert said == {topic.name: until(topic) for topic in TOPICS}


def test_figures_are_the_programs() -> None:
    assert f"{len(digest_of('x')) * 4} bits of SHA-256" in PAGE
    assert f"one of {CONTACT_BUCKETS}\n" in PAGE
    assert f"caches of {partitioning._REMEMBERED_KEYS:,} entries" in PAGE


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / target).is_file(), target
