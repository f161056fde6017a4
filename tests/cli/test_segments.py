"""`segments`, `segments show` and `segments rules` against a Redis that a worker has filled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.test_stored import ACCOUNTS

CHECKS = ["differentiated", "manageable", "sustainable", "understandable", "no_overlap", "aligned"]


def test_every_segment_is_explained(cli: Cli, filled: Mapping[str, str]) -> None:
    report = cli("segments", "--json", **filled).json
    *segments, unsegmented = report["segments"]
    assert len({segment["name"] for segment in segments}) == len(segments)
    for segment in segments:
        assert segment["description"].endswith(".")
        assert segment["named_by"] == "model"
        assert {"feature", "label", "unit", "value", "average"} == set(segment["top"][0])
    assert unsegmented["top"] == []
    assert report["rules"]


def test_gained_accounts_add_up(cli: Cli, filled: Mapping[str, str]) -> None:
    """All were seen for the first time since the count that is compared with."""
    report = cli("segments", "--json", **filled).json
    assert sum(segment["gained"] for segment in report["segments"]) == report["accounts"]
    assert report["compared_with"] <= report["updated_at"]


def test_health_is_told_check_by_check(cli: Cli, filled: Mapping[str, str]) -> None:
    checks = cli("segments", "--json", **filled).json["health"]
    assert [check["name"] for check in checks] == CHECKS
    for check in checks[:-1]:
        assert check["passed"] is not None
        assert check["value"] is not None
        assert check["says"].endswith(".")
    assert checks[-1]["passed"] is None
    shown = cli("segments", **filled).out
    assert all(check.replace("_", " ") in shown for check in CHECKS)
    assert "pass" in shown


def test_limits_of_health_are_the_users(cli: Cli, filled: Mapping[str, str]) -> None:
    strict = cli("segments", "--json", **filled, STREAM_APP_HEALTH__MIN_SHARE="0.9").json
    (check,) = [check for check in strict["health"] if check["name"] == "sustainable"]
    assert check["passed"] is False
    assert "at least 90 %" in check["threshold"]


def test_target_accounts_are_compared_with_all(
    cli: Cli, filled: Mapping[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "targets"
    file.write_text("\n".join([*ACCOUNTS[:30], "an account that was never seen"]))
    report = cli("segments", "--json", **filled, STREAM_APP_HEALTH__TARGET_FILE=str(file)).json
    assert report["health"][-1]["value"] is not None
    missing = cli("segments", **filled, STREAM_APP_HEALTH__TARGET_FILE=str(tmp_path / "no"))
    assert missing.code == 3
    assert "target_file" in missing.err


def test_one_segment_in_detail(cli: Cli, filled: Mapping[str, str]) -> None:
    first = cli("segments", "--json", **filled).json["segments"][0]
    report = cli("segments", "show", str(first["id"]), "--json", **filled).json
    assert report["name"] == first["name"]
    assert all(f": {first['name']} (" in rule for rule in report["rules"])
    shown = cli("segments", "show", str(first["id"]), **filled)
    assert shown.code == 0
    for expected in (first["name"], "average account", first["top"][0]["label"]):
        assert expected in shown.out


def test_unsegmented_has_no_features_to_show(cli: Cli, filled: Mapping[str, str]) -> None:
    shown = cli("segments", "show", "0", **filled)
    assert shown.code == 0
    assert "Not yet assigned by a model." in shown.out


def test_a_segment_that_does_not_exist(cli: Cli, filled: Mapping[str, str]) -> None:
    missing = cli("segments", "show", "999", **filled)
    assert missing.code == 6
    assert "there is no segment 999" in missing.err
    assert "hint: there are " in missing.err


def test_rules_are_shown_as_sentences(cli: Cli, filled: Mapping[str, str]) -> None:
    rules = cli("segments", "rules", "--json", **filled).json["rules"]
    assert 1 <= len(rules) <= 8
    shown = cli("segments", "rules", **filled)
    assert shown.code == 0
    assert shown.out.count("\n- ") == len(rules)
