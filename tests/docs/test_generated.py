"""The generated pages: in step with the program, and complete."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from docs import generate
from stream_app.events.decode import Reason
from stream_app.features.catalogue import DERIVED, MODEL_VECTOR, ROLLING
from stream_app.features.table import CONTACT_BUCKETS, RING
from stream_app.secret_files import secret_fields
from stream_app.settings import ScoreSettings, Settings, load
from tests.deploy.files import exposed, waited_for

PAGES = {name: page() for name, page in generate.PAGES.items()}
VARIABLES = re.findall(r"^\| `[\w.]+` \| `(STREAM_APP_\w+)` \|", PAGES["settings.md"], re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_the_repository_is_what_would_be_written(name: str) -> None:
    assert name not in generate.drifted(), f"docs/{name} is out of date: run `make docs`"


def test_everything_that_is_waited_for_is_explained() -> None:
    (row,) = re.findall(r"^\| `what` \| (.*) \|$", PAGES["metrics.md"], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`: ", row)) == waited_for()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound_markdown(name: str) -> None:
    lines = PAGES[name].splitlines()
    for before, line in pairwise(lines):
        if line.startswith("|") and before.startswith("|"):
            cells = [len(re.findall(r"(?<!\\)\|", row)) for row in (before, line)]
            assert cells[0] == cells[1], line
    assert "None" not in PAGES[name]


def test_every_setting_is_there_once_and_its_variable_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = [
        f"STREAM_APP_{name}" if not (section := generate._section(field)) else
        f"STREAM_APP_{name}__{inner}"
        for name, field in Settings.model_fields.items()
        for inner in (getattr(generate._section(field), "model_fields", {"": None}))
    ]  # fmt: skip
    assert sorted(VARIABLES) == sorted(name.upper() for name in wanted)
    defaults = Settings()
    for variable in VARIABLES:
        section, _, name = variable.removeprefix("STREAM_APP_").lower().partition("__")
        value = getattr(getattr(defaults, section), name) if name else getattr(defaults, section)
        if isinstance(value, str | int | float):
            monkeypatch.setenv(variable, str(value))
    assert load() == defaults


def test_lists_and_maps_are_read_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_SCORES__ENTER", "[20, 45, 71]")
    monkeypatch.setenv("STREAM_APP_SCORES__INTENT_POINTS", '{"visit": 2}')
    scores = load().scores
    assert scores.enter == (20, 45, 71)
    assert scores.intent_points == {**load_default("intent_points"), "visit": 2}


def load_default(name: str) -> dict[str, float]:
    """A map of the settings as it is when nothing is given."""
    default: dict[str, float] = ScoreSettings.model_fields[name].default
    return default


def test_the_example_of_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        line.removeprefix("    ")
        for line in PAGES["settings.md"].splitlines()
        if line.startswith("    ")
    ]
    (tmp_path / "stream-app.toml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert settings.log_format == "json"
    assert settings.kafka.bootstrap_servers == "kafka-1:9092,kafka-2:9092"


def test_secrets_are_called_so() -> None:
    secret = re.findall(r"^\| `([\w.]+)` \| `\w+` \| secret \|", PAGES["settings.md"], re.MULTILINE)
    assert sorted(secret) == sorted(".".join(path) for path in secret_fields(Settings))
    assert {"redis.url", "redis.password", "kafka.sasl_password", "web.token"} <= set(secret)


def test_every_feature_and_dimension_is_there() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGES["features.md"], re.MULTILINE))
    assert {item.name for group in (ROLLING, DERIVED, MODEL_VECTOR) for item in group} <= named


def test_the_price_of_the_ring_is_stated() -> None:
    assert RING == 64
    assert "64 / 2^32 ≈ 1.5e-08" in " ".join(PAGES["features.md"].split())


@pytest.mark.parametrize("people", [5, 20, 50, 100])
def test_the_error_of_the_number_of_people_is_as_stated(people: int) -> None:
    rng = np.random.default_rng(people)
    buckets = rng.integers(0, CONTACT_BUCKETS, (4_000, people))
    free = CONTACT_BUCKETS - np.array([len(set(row)) for row in buckets.tolist()])
    estimates = -CONTACT_BUCKETS * np.log(np.maximum(free, 0.5) / CONTACT_BUCKETS)
    stated = generate._linear_counting_error(people)
    assert np.sqrt(np.mean((estimates - people) ** 2)) == pytest.approx(stated, rel=0.15)


def test_every_metric_and_label_is_there() -> None:
    names, labels = exposed()
    named = set(re.findall(r"^\| `(\w+)` \|", PAGES["metrics.md"], re.MULTILINE))
    series = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in names}
    # A counter's own name ends in _total, and its creation time has the name without it.
    assert {name for name in series if f"{name}_total" not in series} <= named
    assert labels - {"job", "instance", "le"} <= named


def test_every_reason_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGES["dead-letters.md"], re.MULTILINE)
    explained = dict(rows)
    assert all(explained[reason.value].endswith(".") for reason in Reason)


def test_every_setting_and_reason_has_a_text() -> None:
    assert {reason.name for reason in Reason} == generate._texts_of_members(Reason).keys()
    for section in Settings.model_fields.values():
        owner = generate._section(section)
        for name, field in owner.model_fields.items() if owner else ():
            assert field.description, name


def test_the_check_names_the_command(tmp_path: Path) -> None:
    assert generate.drifted(tmp_path) == list(generate.PAGES)
    script = str(Path(generate.__file__))
    wrong = subprocess.run(
        [sys.executable, script, "--wrong"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "--check" in wrong.stderr
