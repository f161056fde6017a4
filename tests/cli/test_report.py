"""`report`: one page from a replay's folder, and from a real Kafka and Redis."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from stream_app.events.decode import Pseudonyms
from stream_app.segments.snapshot import write_snapshot
from stream_app.streams import topics
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Message
from stream_app.streams.redis_store import RedisStore
from stream_app.traffic import Traffic, TrafficConfig
from tests.cli.conftest import NOWHERE, Cli
from tests.cli.stack import Stack, until, visit
from tests.engine.scenario import QUIET_OR_BUSY
from tests.models import save_model

VISITS = topics.WEBSITE_VISITS.name


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Events of three days."""
    return [r.value for r in Traffic(TrafficConfig(accounts=60, with_type=True)).records(days=3)]


@pytest.fixture
def replayed(cli: Cli, tmp_path: Path, lines: list[bytes]) -> Path:
    events, out = tmp_path / "events.jsonl", tmp_path / "results"
    events.write_bytes(b"\n".join(lines))
    train = {"STREAM_APP_SEGMENTS__WARM_START_VECTORS": "50"}
    assert cli("replay", str(events), "--out", str(out), **train).code == 0
    return out


def test_a_page_from_a_replay(cli: Cli, replayed: Path, tmp_path: Path) -> None:
    out, summary = tmp_path / "page.html", json.loads((replayed / "summary.json").read_text())
    done = cli("report", str(replayed), "--out", str(out), "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "path": str(out),
        "bytes": out.stat().st_size,
        "accounts": summary["accounts"],
        "changes": summary["segment_changes"],
        "model_version": summary["model_version"],
    }
    assert f"<b>{summary['read']:,}</b><span>events read" in out.read_text()
    shown = cli("report", str(replayed), "--out", str(out))
    assert f"{summary['accounts']} accounts and {summary['segment_changes']:,} changes" in shown.out


def test_a_page_from_what_is_live(cli: Cli, stack: Stack, tmp_path: Path) -> None:
    async def model() -> None:
        store = RedisStore(stack.redis)
        assert await save_model(store, 1, write_snapshot(QUIET_OR_BUSY), b"")
        await store.stop()

    asyncio.run(model())
    stack.publish(Messages("", Pseudonyms()).model(QUIET_OR_BUSY))
    accounts = [f"account-{n}" for n in range(12)]
    with stack.worker():
        stack.publish(
            *[visit(account, f"{account}-{n}") for account in accounts for n in range(3)],
            Message(VISITS, b"acme", b"{]"),
        )
        until(lambda: len(stack.read(topics.SEGMENT_CHANGES)) >= len(accounts), "the changes")
    out = tmp_path / "page.html"
    done = cli("report", "--out", str(out), "--json", **stack.environment)
    assert (done.code, done.err) == (0, "")
    assert done.json["accounts"] == len(accounts)
    assert done.json["changes"] == len(stack.read(topics.SEGMENT_CHANGES))
    assert done.json["model_version"] == 1
    page = out.read_text()
    assert "live state" in page
    assert "<b>37</b><span>events read" in page
    assert "<b>1</b><span>dead letters" in page
    assert all(account in page for account in accounts)  # on the map


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{folder}/nowhere"], 6, "there is no folder"),
        (["{folder}"], 6, "has no summary.json"),
        (["{results}", "--out", "{folder}"], 1, "cannot write"),
        (["{results}", "--out", "{folder}/no/such/folder.html"], 1, "cannot write"),
    ],
)
def test_wrong_use(
    cli: Cli, replayed: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [text.format(folder=tmp_path, results=replayed) for text in arguments]
    result = cli("report", *given, "--json")
    assert (result.code, result.out) == (code, "")
    assert message in result.error["message"]


def test_nobody_there(cli: Cli, redis_url: str, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    away = cli("report", "--out", str(out), "--json", STREAM_APP_REDIS__URL=f"redis://{NOWHERE}/0")
    assert away.error["exit_code"] == 5
    empty = cli("report", "--out", str(out), "--json", STREAM_APP_REDIS__URL=redis_url)
    assert "no worker has run" in empty.error["message"]
    assert not out.exists()


@pytest.mark.parametrize("missing", ["plotly", "jinja2"])
def test_what_is_not_installed_is_named_with_how_to_install_it(
    cli: Cli, replayed: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == missing or ".report." in n]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    result = cli("report", str(replayed), "--json")
    assert missing in result.error["message"]
    assert result.error["hint"] == 'pip install "stream-app[report]"'
    assert result.code == 3
