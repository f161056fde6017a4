"""deploy/Dockerfile: what can be checked without building it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.deploy.files import DOCKERFILE, ROOT, environment_of, settings_from

TEXT = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
"""With long lines joined."""
FINAL = TEXT[TEXT.rindex("\nFROM") :]


def instruction(name: str) -> str:
    found = re.findall(rf"^{name} (.*)$", FINAL, re.MULTILINE)
    assert len(found) == 1, name
    return str(found[0])


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    user, group = instruction("USER").split(":")
    assert user.isdigit()
    assert group.isdigit()
    assert int(user) > 0


def test_it_starts_the_program_and_stops_it_in_order() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entry,) = json.loads(instruction("ENTRYPOINT"))
    assert entry in scripts
    assert json.loads(instruction("CMD")) == ["worker"]
    assert instruction("STOPSIGNAL") == "SIGTERM"


def test_nothing_is_installed_in_the_final_image() -> None:
    assert TEXT.count("\nFROM") == 3
    assert not re.search(r"apt-get|apk add|pip install|build-essential|gcc", FINAL)
    assert "COPY --from=build" in FINAL


def test_it_has_the_compiled_extension() -> None:
    native, build, _ = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]
    assert "COPY native native" in native
    assert "COPY --from=native /wheels /wheels" in build
    assert re.search(r"python /opt/stream-app/bin/python install .*/wheels/\*\.whl", build)


def test_versions_are_pinned() -> None:
    installs = [line for line in TEXT.splitlines() if " install " in line]
    assert installs
    assert all("--constraint constraints.txt" in line or "--no-deps" in line for line in installs)


def test_what_it_copies_is_there_and_not_ignored() -> None:
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in kept)


def test_its_settings_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_of(FINAL)
    assert environment
    assert settings_from(environment, monkeypatch).log_format == "json"


@contextmanager
def health(status: int) -> Iterator[int]:
    """A server whose /health/live answers `status`; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def check(port: int) -> int:
    """Exit code of the image's health check."""
    _, _, command = instruction("HEALTHCHECK").partition("CMD ")
    python, *arguments = json.loads(command)
    assert python == "python"
    return subprocess.run(
        [sys.executable, *arguments],
        env={"STREAM_APP_WEB__PORT": str(port)},
        check=False,
        capture_output=True,
        timeout=30,
    ).returncode


def test_the_health_check_follows_the_worker() -> None:
    with health(200) as port:
        assert check(port) == 0
    assert check(port) == 1, "nobody answers any more"
    with health(503) as port:
        assert check(port) == 1
