"""What a replay wrote, read back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from stream_app.errors import NotFound, SnapshotRefused, StreamAppError, UsageError
from stream_app.report import folder as reading
from stream_app.report.figures import figures_of
from stream_app.report.folder import read_folder
from stream_app.settings import SegmentSettings, Settings
from tests.replay.runs import line, read, replay, traffic

SMALL = Settings(segments=SegmentSettings(warm_start_vectors=100, snapshot_vectors=200))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    replay(folder, [[*map(line, traffic()), b"broken"]], settings=SMALL)
    return folder


@pytest.fixture
def copied(replayed: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for path in replayed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_figures_agree_with_the_summary(replayed: Path) -> None:
    found, summary = read_folder(replayed), json.loads((replayed / "summary.json").read_text())
    figures = figures_of(found)
    assert figures.totals.events == summary["read"]
    assert figures.totals.accounts == summary["accounts"] == len(found.accounts)
    assert dict(figures.totals.changes) == summary["segment_changes_by_reason"]
    assert figures.totals.spikes == summary["intent_spikes"]
    assert dict(figures.totals.letters) == {"not_json": 1}
    assert figures.model_version == summary["model_version"] == len(found.models)
    assert {row.id: row.accounts for row in figures.segments if row.accounts} == {
        segment["id"]: segment["accounts"] for segment in summary["segments"]
    }


def test_the_last_column_of_the_flows_is_where_accounts_stand(replayed: Path) -> None:
    figures = figures_of(read_folder(replayed))
    assert figures.flows is not None
    stand = Counter(one["segment"]["id"] for one in read(replayed, "accounts"))
    assert figures.flows.sizes(len(figures.flows.instants_us) - 1) == stand


def test_of_more_than_can_be_shown_a_bounded_part_is_read(
    replayed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_ACCOUNTS", 12)
    monkeypatch.setattr(reading, "MAX_CHANGES", 30)
    found = read_folder(replayed)
    assert len(found.accounts) == 10  # every fourth of 40
    assert (len(found.changes), found.changes_cut) == (30, True)
    assert found.changes[-1].sequence == read(replayed, "segment-changes")[-1]["sequence"]
    assert figures_of(found).totals.accounts == 40


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no folder"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["summary.json", "models.jsonl", "accounts.jsonl"])
def test_a_file_that_is_not_there(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(NotFound, match=name):
        read_folder(copied)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("summary.json", "is not a replay's summary"),
        ("segment-changes.jsonl", "line 1 of"),
        ("intent-spikes.jsonl", "line 1 of"),
        ("models.jsonl", "line 1 of"),
    ],
)
def test_a_file_that_no_replay_wrote(copied: Path, name: str, message: str) -> None:
    (copied / name).write_text('{"hello": 1, "read": "x"}\n')
    with pytest.raises(UsageError, match=message):
        read_folder(copied)


@pytest.mark.parametrize("name", ["summary.json", "accounts.jsonl"])
def test_a_file_that_cannot_be_read(copied: Path, name: str) -> None:
    (copied / name).unlink()
    (copied / name).mkdir()
    with pytest.raises(StreamAppError, match="cannot read"):
        read_folder(copied)


def test_a_model_of_other_features_is_refused(copied: Path) -> None:
    models = (copied / "models.jsonl").read_text()
    catalogue = json.loads(models.splitlines()[0])["catalogue"]
    (copied / "models.jsonl").write_text(models.replace(catalogue, "another"))
    with pytest.raises(SnapshotRefused, match="another"):
        read_folder(copied)


def test_a_replay_of_nothing_can_be_reported(tmp_path: Path) -> None:
    replay(tmp_path, [[]])
    figures = figures_of(read_folder(tmp_path))
    assert (figures.totals.accounts, figures.segments) == (0, ())
