"""`account` and `segments` against a Redis that a worker has filled."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from redis import Redis

from stream_app.changes.types import AccountSegment
from stream_app.features.catalogue import DERIVED, ROLLING
from stream_app.traffic import Traffic, TrafficConfig
from tests.cli.conftest import NOWHERE, PARTITIONS, Cli

ACCOUNTS = Traffic(TrafficConfig(accounts=150)).truth.accounts


@pytest.fixture
def known(filled: Mapping[str, str]) -> str:
    """An account that was published."""
    with Redis.from_url(filled["STREAM_APP_REDIS__URL"], decode_responses=True) as client:
        prefix = filled["STREAM_APP_REDIS__PREFIX"]
        for partition in range(PARTITIONS):
            for account_id in sorted(client.hkeys(f"{prefix}:{{{partition}}}:profile")):
                return account_id
    raise AssertionError("nothing was published")


def test_segments_add_up(cli: Cli, filled: Mapping[str, str]) -> None:
    report = cli("segments", "--json", **filled).json
    segments = report["segments"]
    assert report["model"]["version"] >= 1
    assert report["model"]["trained_from"] < report["model"]["trained_until"]
    assert sum(segment["accounts"] for segment in segments) == report["accounts"] > 100
    assert sum(segment["share"] for segment in segments) == pytest.approx(1.0, abs=1e-4)
    assert {"id": 0, "name": "Unsegmented"}.items() <= segments[-1].items()
    assert len({segment["id"] for segment in segments}) == len(segments) >= 3


def test_segments_for_people(cli: Cli, filled: Mapping[str, str]) -> None:
    names = [s["name"] for s in cli("segments", "--json", **filled).json["segments"]]
    shown = cli("segments", **filled)
    assert shown.code == 0
    assert all(name in shown.out for name in names)
    assert "model version" in shown.out
    assert shown.err == ""


def test_account_now_and_published(cli: Cli, filled: Mapping[str, str], known: str) -> None:
    report = cli("account", known, "--json", **filled).json
    now = msgspec.convert(report["now"], AccountSegment)
    published = msgspec.convert(report["published"], AccountSegment)
    assert report["account_id"] == now.account_id == published.account_id == known
    assert now.sequence >= published.sequence >= 1
    assert now.as_of >= published.as_of
    assert set(report["units"]) == set(now.features) == {f.name for f in (*ROLLING, *DERIVED)}
    if now.sequence == published.sequence:
        assert now.segment.id == published.segment.id  # names may change
        assert now.since == published.since


def test_every_interest_has_its_name(cli: Cli, filled: Mapping[str, str]) -> None:
    topics = set()
    for account_id in ACCOUNTS[:20]:
        found = cli("account", account_id, "--json", **filled)
        if found.code == 0:
            topics |= {interest["topic"] for interest in found.json["now"]["interests"]}
    assert topics
    assert "(other)" not in topics


def test_account_for_people(cli: Cli, filled: Mapping[str, str], known: str) -> None:
    shown = cli("account", known, **filled)
    assert shown.code == 0
    for expected in (known, "engagement", "silence_days", "days", "partition"):
        assert expected in shown.out


def test_unknown_account(cli: Cli, filled: Mapping[str, str]) -> None:
    missing = cli("account", "nobody", **filled)
    assert missing.code == 6
    assert missing.out == ""
    assert "there is no account 'nobody'" in missing.err
    assert "hint:" in missing.err


def test_unknown_account_as_json(cli: Cli, filled: Mapping[str, str]) -> None:
    missing = cli("account", "nobody", "--json", **filled)
    assert missing.error["type"] == "NotFound"
    assert missing.out == ""


@pytest.mark.parametrize("command", [("account", "x"), ("segments",)])
def test_no_worker_has_run(cli: Cli, filled: Mapping[str, str], command: tuple[str, ...]) -> None:
    nothing = cli(*command, **{**filled, "STREAM_APP_REDIS__PREFIX": "unused"})
    assert nothing.code == 6
    assert "no worker has run with the Redis prefix 'unused'" in nothing.err


@pytest.mark.parametrize("command", [("account", "x"), ("segments",)])
def test_redis_away(cli: Cli, command: tuple[str, ...]) -> None:
    away = cli(*command, "--json", STREAM_APP_REDIS__URL=f"redis://:pssst@{NOWHERE}/0")
    assert away.code == 5
    assert away.error["type"] == "Unavailable"
    assert "pssst" not in away.out + away.err


def test_an_id_that_is_no_text(cli: Cli, filled: Mapping[str, str]) -> None:
    assert cli("account", "caf\udce9", **filled).code == 2


def test_state_of_another_version(cli: Cli, filled: Mapping[str, str]) -> None:
    url = filled["STREAM_APP_REDIS__URL"]
    with Redis.from_url(url) as client:
        client.set("other:deployment", '{"partitions":4,"layout":"0123456789abcdef"}')
    other = cli("segments", **{**filled, "STREAM_APP_REDIS__PREFIX": "other"})
    assert other.code == 4
    assert "layout" in other.err
