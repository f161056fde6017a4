"""`stream-app schema` lists, prints, writes and checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from stream_app.cli.schema import schema
from stream_app.errors import NotFound, StreamAppError, UsageError
from stream_app.schemas import documents, drift, write

REPOSITORY = Path(__file__).parents[2]


def run(*args: str) -> Result:
    app = typer.Typer()
    app.command()(schema)
    return CliRunner().invoke(app, args)


def failure(*args: str) -> StreamAppError:
    error = run(*args).exception
    assert isinstance(error, StreamAppError)
    return error


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with freshly written schemas, as the current one."""
    write(tmp_path / "schemas")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "schemas"


def test_the_files_in_the_repository_match_the_types() -> None:
    assert drift(REPOSITORY / "schemas") == {}


def test_the_list() -> None:
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(documents())
    listed = json.loads(run("--json").stdout)
    assert [item["name"] for item in listed] == list(documents())


@pytest.mark.parametrize("name", ["segment.change", "asyncapi"])
def test_one(name: str) -> None:
    assert json.loads(run(name).stdout) == documents()[name].content
    assert run(name).stdout.encode() == documents()[name].data


def test_an_unknown_one() -> None:
    error = failure("segment.chnage")
    assert isinstance(error, NotFound)
    assert "segment.change" in error.hint


def test_writing(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    written = json.loads(run("--write", str(folder), "--json").stdout)
    assert {Path(path) for path in written} == set(folder.iterdir())
    assert drift(folder) == {}
    for path in folder.iterdir():
        text = path.read_text()
        assert text.endswith("}\n")
        assert json.loads(text)


def test_writing_where_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert isinstance(failure("--write", str(tmp_path / "file")), UsageError)


@pytest.mark.usefixtures("checkout")
def test_a_check_that_passes() -> None:
    assert run("--check").exit_code == 0
    assert json.loads(run("--check", "--json").stdout) == {}


def test_a_check_names_each_file_that_drifted(checkout: Path) -> None:
    change = checkout / "segment.change.schema.json"
    change.write_text(change.read_text().replace('"minimum": 1', '"minimum": 0'))
    (checkout / "asyncapi.json").unlink()
    (checkout / "old.event.schema.json").write_text("{}\n")
    error = failure("--check")
    assert error.exit_code == 1
    assert str(error) == (
        "schemas do not match the types: schemas/asyncapi.json (missing), "
        "schemas/old.event.schema.json (not generated any more), "
        "schemas/segment.change.schema.json (differs)"
    )
    assert json.loads(run("--check", "--json").stdout) == {
        "asyncapi.json": "missing",
        "old.event.schema.json": "not generated any more",
        "segment.change.schema.json": "differs",
    }


def test_even_a_space_is_drift(checkout: Path) -> None:
    path = checkout / "intent.spike.schema.json"
    path.write_text(path.read_text() + " ")
    assert drift(checkout) == {path.name: "differs"}


def test_a_check_outside_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(failure("--check"), UsageError)


def test_two_things_at_once(tmp_path: Path) -> None:
    assert isinstance(failure("segment.change", "--check"), UsageError)
    assert isinstance(failure("--check", "--write", str(tmp_path)), UsageError)
