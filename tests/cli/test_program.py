"""What all commands have in common: how they start, how they fail, how they end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer

import stream_app
from stream_app.cli import ending, schema
from stream_app.cli.program import ENTRIES
from stream_app.errors import ConfigError, NotFound, StreamAppError, Unavailable
from tests.cli.conftest import Cli, finished, started

HEAVY = {
    "faust",
    "sklearn",
    "scipy",
    "river",
    "aiokafka",
    "redis",
    "numpy",
    "pydantic",
    "rich.table",
}
SECRET = "s3cr3t-enough"


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from stream_app.cli import main; import stream_app.cli.program as p; "
        "assert p.run(['--version']) == 0; print(sorted(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert not HEAVY & set(eval(shown.splitlines()[-1]))


def test_help_starts_quickly() -> None:
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert finished(started("--help")).code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # 0.2 s; on the wall clock it is more when other tests keep the machine busy.
    assert min(cpu_seconds() for _ in range(5)) < 0.4


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"stream-app {stream_app.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(cli: Cli, arguments: tuple[str, ...]) -> None:
    shown = cli(*arguments)
    assert shown.code == 0
    assert all(f" {entry.name} " in shown.out for entry in ENTRIES)


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_every_command_has_help(cli: Cli, name: str) -> None:
    shown = cli(name, "--help")
    assert shown.code == 0
    assert shown.err == ""
    assert f"Usage: stream-app {name}" in shown.out


def test_unknown_command(cli: Cli) -> None:
    wrong = cli("segmnets")
    assert wrong.code == 2
    assert wrong.out == ""
    assert wrong.err == (
        "error: No such command 'segmnets'. Did you mean 'segments'?\n"
        "hint: see `stream-app --help`\n"
    )


def test_wrong_option_as_json(cli: Cli) -> None:
    wrong = cli("segments", "--json", "--nope")
    assert wrong.code == wrong.error["exit_code"] == 2
    assert wrong.error["hint"] == "see `stream-app segments --help`"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `stream-app schema` raise this."""

    def fail(error: BaseException) -> None:
        def command(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
            raise error

        monkeypatch.setattr(schema, "schema", command)

    return fail


@pytest.mark.parametrize("kind", [StreamAppError, ConfigError, Unavailable, NotFound])
def test_errors_of_ours(
    cli: Cli, failing: Callable[[BaseException], None], kind: type[StreamAppError]
) -> None:
    failing(kind("it broke", hint="mend it"))
    failed = cli("schema")
    assert failed.code == kind.exit_code
    assert (failed.out, failed.err) == ("", "error: it broke\nhint: mend it\n")


def test_error_with_traceback(cli: Cli, failing: Callable[[BaseException], None]) -> None:
    failing(NotFound("it broke", hint="mend it"))
    for failed in (cli("--debug", "schema"), cli("schema", "--debug")):
        assert failed.code == 6
        assert "Traceback" in failed.err
        assert failed.err.endswith("error: it broke\nhint: mend it\n")


def test_a_bug(cli: Cli, failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError("oops"))
    failed = cli("schema")
    assert failed.code == 70
    assert "Traceback" in failed.err
    assert "error: this is a bug in stream-app: ZeroDivisionError: oops" in failed.err


def test_a_bug_as_json(cli: Cli, failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError("oops"))
    failed = cli("schema", "--json")
    assert failed.code == 70
    assert failed.error["type"] == "Bug"


def test_interrupted(cli: Cli, failing: Callable[[BaseException], None]) -> None:
    stop = KeyboardInterrupt()
    stop.add_note("half is done")
    failing(stop)
    assert cli("schema").code == 130
    assert cli("schema").err == "interrupted; half is done\n"
    failing(ending.Terminated())
    assert cli("schema").code == 143


def test_broken_pipe_is_quiet() -> None:
    process = subprocess.run(
        f"{sys.executable} -m stream_app schema website.visit | true; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        check=True,
        capture_output=True,
        text=True,
    )
    assert process.stdout.strip() in {"141", "0"}  # 0: written before the reader had gone
    assert process.stderr == ""


def test_a_table_into_a_broken_pipe_is_quiet(tmp_path: Path) -> None:
    event = {"type": "website.visit", "id": "1", "occurred_at": "2026-01-05T08:00:00Z"}
    lines = tmp_path / "events.jsonl"
    lines.write_text(json.dumps({**event, "account_id": "a", "url": "https://x.example/"}))
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "replay", str(lines)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 141


def test_wrong_settings(cli: Cli) -> None:
    wrong = cli("segments", "--json", STREAM_APP_WEB__PORT="http")
    assert wrong.code == 3
    assert "web.port" in wrong.error["message"]


def test_no_colour_where_there_is_no_terminal(cli: Cli) -> None:
    assert "\x1b" not in cli("--help").out + cli("nope").err


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@127.0.0.1:1/0",
        f"redis://user:{SECRET}@127.0.0.1:1/0",
        f"redis://:{SECRET}#@127.0.0.1:1/0",
        f"redis://:{SECRET}@127.0.0.1:port/0",
        f"redis://127.0.0.1:1/0?password={SECRET}",
        f"http://:{SECRET}@127.0.0.1/",
        f"{SECRET}",
    ],
)
@pytest.mark.parametrize("command", ["segments", "doctor"])
def test_secrets_stay_secret(cli: Cli, command: str, url: str) -> None:
    failed = cli(
        *("--debug", command, "--json"),
        STREAM_APP_REDIS__URL=url,
        STREAM_APP_INPUT__CONTACT_HASH_KEY=SECRET,
        STREAM_APP_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
    )
    assert failed.code in {1, 3, 5}
    assert SECRET not in failed.out + failed.err


def test_a_secret_in_a_bug(
    cli: Cli, failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_APP_REDIS__URL", f"redis://:{SECRET}%40@127.0.0.1:1/0")
    failing(RuntimeError(f"could not use {SECRET}@ nor {SECRET}%40"))
    failed = cli("schema")
    assert "could not use *** nor ***" in failed.err
    assert SECRET not in failed.err


def test_nothing_after_a_double_dash_is_an_option(cli: Cli) -> None:
    away = cli("account", "--", "--json", STREAM_APP_REDIS__URL="redis://127.0.0.1:1/0")
    assert away.code == 5
    assert away.err.startswith("error: ")
