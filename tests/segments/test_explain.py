"""A snapshot that is explained says who is in its segments, and nothing else of it changes."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from stream_app.segments.explain import explained
from stream_app.segments.renaming import rename
from stream_app.segments.snapshot import Lineage, Snapshot, read_snapshot, write_snapshot
from stream_app.settings import HealthSettings, SegmentSettings
from tests.segments.groups import WIDTH, accounts, found

GROUPS = (
    accounts(web_visits_28d=60.0, pricing_pages_28d=20.0),
    accounts(seed=1),
    accounts(seed=2, web_visits_28d=1.0, email_opens_28d=12.0),
)
CHECKS = ["differentiated", "manageable", "sustainable", "understandable", "no_overlap", "aligned"]


def explain(snapshot: Snapshot, recent: np.ndarray, parent: Snapshot | None = None) -> Snapshot:
    return explained(snapshot, recent, parent, SegmentSettings(), HealthSettings())


def test_everything_that_people_read_is_filled_in() -> None:
    bare, recent = found(*GROUPS)
    full = explain(bare, recent)
    assert [s.name for s in full.segments][::2] == ["Pricing researchers", "Newsletter readers"]
    assert all(s.description.endswith(".") for s in full.segments)
    assert full.segments[0].top[0].feature == "pricing_pages_28d"
    assert full.segments[0].top[0].value > 5 * full.segments[0].top[0].average
    assert any("Pricing researchers" in rule for rule in full.rules)
    assert [check.name for check in full.health] == CHECKS
    assert [check.passed for check in full.health] == [True, True, True, True, True, None]


def test_the_model_itself_stays_as_it_was() -> None:
    bare, recent = found(*GROUPS)
    full = explain(bare, recent)
    assert [s.centre for s in full.segments] == [s.centre for s in bare.segments]
    assert replace(full, segments=bare.segments, rules=[], health=[]) == bare


def test_it_is_deterministic_and_survives_its_json() -> None:
    bare, recent = found(*GROUPS)
    full = explain(bare, recent)
    assert explain(bare, recent.copy()) == full
    assert read_snapshot(write_snapshot(full)) == full


def test_a_segment_that_is_called_otherwise_than_in_the_parent_is_in_the_lineage() -> None:
    parent = explain(*found(*GROUPS))
    bare, recent = found(GROUPS[2], GROUPS[1], version=2)
    before = [Lineage(kind="retired", segment=3, name="Newsletter readers")]
    now = explain(replace(bare, lineage=before), recent, parent)
    assert now.lineage == [
        *before,
        Lineage(kind="renamed", segment=1, name="Newsletter readers", before="Pricing researchers"),
    ]


def test_a_persons_name_is_kept_whatever_the_accounts_do() -> None:
    parent = explain(*found(*GROUPS))
    first, *others = parent.segments
    parent = replace(parent, segments=[replace(first, name="Hot leads", named_by="user"), *others])
    now = explain(*found(GROUPS[2], GROUPS[1], version=2), parent)
    assert (now.segments[0].name, now.segments[0].named_by) == ("Hot leads", "user")
    assert now.segments[0].description.startswith("Read e-mails, with ")
    assert now.lineage == []


def test_without_recent_vectors_names_come_from_the_centres_and_health_is_unknown() -> None:
    bare, _ = found(*GROUPS)
    full = explain(bare, np.empty((0, WIDTH)))
    assert full.segments[0].name == "Pricing researchers"
    assert full.rules == []
    assert [check.passed for check in full.health] == [None, True, True, None, None, None]


def test_rules_follow_when_a_person_renames_a_segment() -> None:
    full = explain(*found(*GROUPS))
    renamed = rename(full, 1, "Hot: leads")
    told = [rule.replace(": Pricing researchers (", ": Hot: leads (") for rule in full.rules]
    assert renamed.rules == told != full.rules
