"""What the tests of the deployment share: reading its files, and what the program really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from stream_app.settings import Settings, load
from stream_app.streams.metrics import Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = DEPLOY / "Dockerfile"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def read_compose() -> dict[str, Any]:
    """The compose file with every `${NAME:-default}` replaced by its default."""

    def default(match: re.Match[str]) -> str:
        assert match[2] is not None, f"{match[1]} has no default"
        return match[2]

    content: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(default, COMPOSE.read_text()))
    return content


def environment_of(text: str) -> dict[str, str]:
    """The `NAME=value` pairs of this program in a Dockerfile."""
    return dict(re.findall(r"\b(STREAM_APP_\w+)=(\S+)", text))


STAND_IN = "stands-for-a-secret"
"""In every file that an environment names."""


def settings_from(
    environment: Mapping[str, str], patch: pytest.MonkeyPatch, folder: Path | None = None
) -> Settings:
    """What the program makes of an environment; fails where a name or a value is wrong. Files that
    it names are made in `folder`."""
    for name, value in environment.items():
        assert isinstance(value, str), f"{name} is not a string: {value!r}"
        if name.startswith("STREAM_APP_"):
            if name.endswith("_FILE"):
                assert folder is not None, f"{name} names a file"
                value = str(folder / Path(value).name)  # noqa: PLW2901
                Path(value).write_text(f"{STAND_IN}\n")
            patch.setenv(name, value)
    return load()


def exposed() -> tuple[set[str], set[str]]:
    """Names of all series that /metrics has, and of their labels, the scraper's included."""
    metrics = Metrics()
    labels = {"job", "instance", "le"}
    for metric in vars(metrics).values():
        if names := getattr(metric, "_labelnames", ()):
            labels.update(names)
            metric.labels(*names)  # a metric with labels has no series before the first
    text = generate_latest(metrics.registry).decode()
    return set(re.findall(r"^(stream_app_\w+)", text, re.MULTILINE)), labels


def waited_for() -> set[str]:
    """Values of the label `what` that the program counts waits under."""
    source = "".join(path.read_text() for path in (ROOT / "stream_app").rglob("*.py"))
    return set(re.findall(r"\bwaits\.labels\(\s*\"(\w+)\"", source))


def metrics_in(expression: str) -> set[str]:
    """Names of this program's series in a PromQL expression."""
    return set(re.findall(r"\bstream_app_\w+", expression))


def labels_in(expression: str) -> set[str]:
    """Labels that a PromQL expression groups by or selects on."""
    grouped = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", expression)
    selected = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression)
    return {name.strip() for group in grouped for name in group.split(",")} | set(selected)


def panels() -> Iterator[dict[str, Any]]:
    """All panels of all dashboards, rows left out."""
    for path in DASHBOARDS:
        yield from (
            panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"
        )


def run_tool(command: Iterable[str], probe: Iterable[str]) -> str:
    """Output of a tool of others, which must succeed. Skips where `probe` does not work."""
    probe = list(probe)
    if shutil.which(probe[0]) is None or _run(probe).returncode:
        pytest.skip(f"`{' '.join(probe)}` does not work here, so this was not checked")
    done = _run(command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _run(command: Iterable[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command), check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
