"""Log lines: text or JSON, on stderr, without secrets."""

from __future__ import annotations

import json
import logging

import pytest
from pydantic import SecretStr

from stream_app.cli import logs
from stream_app.settings import RedisSettings, Settings
from tests.cli.conftest import Cli

SECRET = "s3cr3t-enough"
REDIS = RedisSettings(url=SecretStr(f"redis://:{SECRET}@127.0.0.1:1/0"))

pytestmark = pytest.mark.usefixtures("cli")  # it puts logging back as it was


def say() -> None:
    log = logging.getLogger("stream_app.streams.worker")
    log.debug("too quiet")
    log.warning("waiting for %s", f"redis://:{SECRET}@host")
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Settings(redis=REDIS))
    say()
    out, err = capsys.readouterr()
    assert out == ""
    assert "WARNING stream_app.streams.worker: waiting for redis://:***@host\n" in err
    assert "ValueError: ***" in err
    assert SECRET not in err
    assert "too quiet" not in err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Settings(redis=REDIS, log_format="json", log_level="debug"))
    say()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["debug", "warning", "error"]
    assert lines[1]["message"] == "waiting for redis://:***@host"
    assert lines[1]["logger"] == "stream_app.streams.worker"
    assert lines[1]["time"].endswith("+00:00")
    assert lines[2]["traceback"].endswith("ValueError: ***")


def test_set_up_again_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        logs.set_up(Settings(), level="error")
    say()
    assert capsys.readouterr().err.count("failed") == 1


def test_libraries_have_their_own_level(capsys: pytest.CaptureFixture[str], cli: Cli) -> None:
    logs.set_up(Settings(), libraries="critical")
    logging.getLogger("aiokafka").error("noise")
    logging.getLogger("stream_app").info("news")
    err = capsys.readouterr().err
    assert "noise" not in err
    assert "news" in err
