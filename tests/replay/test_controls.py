"""Control events in a file are carried out where they stand, as a worker does it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stream_app.events.instants import DAY, to_rfc3339
from stream_app.streams import topics
from stream_app.streams.partitioning import partition_of
from tests.engine.scenario import QUIET_OR_BUSY
from tests.replay.runs import line, read, replay, results, traffic
from tests.worker.model import RESTLESS
from tests.worker.outcome import outcome
from tests.worker.scenario import DAYS, EMAILS, START_US, VISITS, Line, event
from tests.worker.virtual import VirtualLoop
from tests.worker.world import GRACE_DAYS, PARTITIONS, SETTINGS, World

LINES = [line(one) for one in traffic(accounts=8, days=20)]
HALF = len(LINES) // 2
AT = "2025-01-16T00:00:00Z"


def control(kind: str, account: str, id_: str = "c-1", **more: Any) -> bytes:
    body = {"type": kind, "id": id_, "occurred_at": AT, "account_id": account}
    return json.dumps(body | more).encode()


def changes_of(folder: Path, account: str) -> list[dict[str, Any]]:
    return [c for c in read(folder, "segment-changes") if c["account_id"] == account]


def test_an_account_is_erased_where_the_line_stands(tmp_path: Path) -> None:
    erase = control("account.erase", "account-1")
    summary = replay(tmp_path, [[*LINES[:HALF], erase, *LINES[HALF:]]], QUIET_OR_BUSY)
    changes = changes_of(tmp_path, "account-1")
    assert [c["sequence"] for c in changes] == list(range(1, len(changes) + 1))
    at = [c["reason"] for c in changes].index("erased")
    assert changes[at]["decided_at"] == changes[at]["occurred_at"] == AT
    assert changes[at + 1]["reason"] == "first_seen"
    before = {json.loads(text)["account_id"] for text in LINES[:HALF]}
    assert "account-1" in before
    assert (summary.controls, summary.dead_letters) == (1, 0)
    assert summary.read == summary.applied + summary.controls + summary.duplicates


def test_the_rest_of_the_file_does_not_notice(tmp_path: Path) -> None:
    erase = control("account.erase", "account-1")
    replay(tmp_path / "with", [[*LINES[:HALF], erase, *LINES[HALF:]]], QUIET_OR_BUSY)
    replay(tmp_path / "without", [LINES], QUIET_OR_BUSY)
    for name in ("segment-changes", "intent-spikes", "accounts"):
        mine, expected = (others(results(tmp_path / run)[name]) for run in ("with", "without"))
        assert mine == expected


def others(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By account; where rows lie is nobody's business."""
    found = [one for one in payloads if one["account_id"] != "account-1"]
    return sorted(found, key=lambda one: str(one["account_id"]))


def test_at_the_end_the_account_is_gone(tmp_path: Path) -> None:
    replay(tmp_path, [[*LINES, control("account.erase", "account-1")]], QUIET_OR_BUSY)
    assert "account-1" not in {one["account_id"] for one in read(tmp_path, "accounts")}
    assert changes_of(tmp_path, "account-1")[-1]["current"] is None


@pytest.mark.parametrize("max_batch", [1, 7, 4_000])
def test_where_a_batch_is_cut_does_not_show(tmp_path: Path, max_batch: int) -> None:
    text = list(LINES)
    for i, at in enumerate((0, 40, 40, 90, len(LINES))):
        text.insert(at + i, control("account.erase", f"account-{at % 3}", f"c-{i}"))
    text.insert(60, control("contact.erase", "account-2", contact_id="2-1"))
    replay(tmp_path / "one", [text], QUIET_OR_BUSY)
    these = SETTINGS.model_copy(
        update={"worker": SETTINGS.worker.model_copy(update={"max_batch": max_batch})}
    )
    default = replay(tmp_path / "whole", [text], QUIET_OR_BUSY, SETTINGS)
    replay(tmp_path / "cut", [text], QUIET_OR_BUSY, these)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert default.controls == 6


def test_a_control_event_that_is_not_valid_is_a_dead_letter_with_its_own_reason(
    tmp_path: Path,
) -> None:
    bad = {
        control("account.erase", ""): "no_account",
        control("contact.erase", "account-1"): "missing_field",
        control("account.forget", "account-1"): "unknown_type",
        control("account.erase", "account-1", occurred_at="2999-01-01T00:00:00Z"): "in_the_future",
    }
    good = control("account.erase", "account-1")
    summary = replay(tmp_path, [[*bad, good]], QUIET_OR_BUSY)
    letters = {one["value"]: (one["reason"], one["line"]) for one in read(tmp_path, "dead-letters")}
    assert letters == {
        text.decode(): (reason, number)
        for number, (text, reason) in enumerate(bad.items(), start=1)
    }
    assert (summary.read, summary.controls, summary.dead_letters) == (5, 1, 4)


def test_the_same_request_twice_is_a_duplicate(tmp_path: Path) -> None:
    erase = control("account.erase", "account-1")
    summary = replay(tmp_path, [[erase, *LINES, erase]], QUIET_OR_BUSY)
    assert (summary.controls, summary.duplicates) == (1, 1)
    assert "account-1" in {one["account_id"] for one in read(tmp_path, "accounts")}


def test_a_structured_cloudevent_is_understood(tmp_path: Path) -> None:
    data = {"account_id": "account-1"}
    envelope = {"specversion": "1.0", "type": "com.example.account.erase", "id": "c-1", "time": AT}
    text = json.dumps({**envelope, "data": data}).encode()
    assert replay(tmp_path, [[*LINES, text]], QUIET_OR_BUSY).controls == 1


# Live and replay


def stream() -> list[Line]:
    """Visits and clicks of a few accounts, one topic each; in between they are erased."""
    lines: list[Line] = []
    for i in range(120):
        account = f"account-{i % 6}"
        topic = VISITS if i % 2 else EMAILS
        at_us = START_US + i * DAY // 12
        kind = "website.visit" if topic == VISITS else "email.engagement"
        value = event(topic, account, at_us, f"e-{i}", type=kind, contact_id=f"c-{i % 5}")
        lines.append(Line(topic, account.encode(), value))
        if i in (50, 51, 90):
            lines.append(_control("account.erase", account, at_us, f"x-{i}"))
        if i == 70:
            lines.append(_control("contact.erase", account, at_us, f"x-{i}", contact_id="c-0"))
    return lines


def _control(kind: str, account: str, at_us: int, id_: str, **more: str) -> Line:
    body = {"type": kind, "id": id_, "occurred_at": to_rfc3339(at_us), "account_id": account}
    return Line(topics.ACCOUNT_CONTROL.name, account.encode(), json.dumps(body | more).encode())


async def live(lines: Sequence[Line]) -> Any:
    """A worker that is given each part before and after a control event by itself, because there is
    no order between topics."""
    world = await World.create(model=RESTLESS)
    await world.node().start()
    for one in lines:
        if one.topic == topics.ACCOUNT_CONTROL.name:
            await world.settle()
        world.produce([one])
        if one.topic == topics.ACCOUNT_CONTROL.name:
            await world.settle()
    await world.finish()
    return outcome(world)


def test_live_and_replay_agree(tmp_path: Path) -> None:
    lines = stream()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found = runner.run(live(lines))
    until_us = START_US + (DAYS + GRACE_DAYS + 200) * DAY
    values = [one.value or b"" for one in lines]
    summary = replay(tmp_path, [values], RESTLESS, SETTINGS, to_rfc3339(until_us))
    assert summary.controls == 4
    replayed = {
        (one["account_id"], one["sequence"]): {
            k: v for k, v in one.items() if k not in {"decided_at", "lag_ms"}
        }
        for one in read(tmp_path, "segment-changes")
    }
    assert replayed == found.changes
    assert {one["account_id"] for one in read(tmp_path, "accounts")} == set(found.states)
    reasons = [change["reason"] for change in found.changes.values()]
    assert reasons.count("erased") == 3
    assert len({partition_of(one.key or b"", PARTITIONS) for one in lines}) > 1
