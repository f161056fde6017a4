"""Settings: where they come from, which are refused, and what is never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from stream_app.errors import ConfigError
from stream_app.settings import Settings, load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a settings file, and a clean environment."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_everything_has_a_default() -> None:
    settings = load()
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.segments.margin == 0.2
    assert settings.input.future_tolerance_seconds == 600.0


def test_every_setting_says_what_it_means() -> None:
    """A setting without a description cannot be looked up."""

    def undescribed(model: type[BaseModel], path: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found += undescribed(field.annotation, f"{path}{name}.")
            elif not field.description:
                found.append(path + name)
        return found

    assert undescribed(Settings, "") == []


def test_the_environment_goes_before_the_file_and_arguments_before_both(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        elsewhere / "stream-app.toml",
        '[kafka]\ngroup = "file"\ntopic_prefix = "file."\n[segments]\nmargin = 0.1\n',
    )
    monkeypatch.setenv("STREAM_APP_KAFKA__GROUP", "environment")
    monkeypatch.setenv("STREAM_APP_SEGMENTS__MARGIN", "0.3")
    settings = load(segments={"margin": 0.4})
    assert settings.kafka.topic_prefix == "file."
    assert settings.kafka.group == "environment"
    assert settings.segments.margin == 0.4


def test_a_file_can_be_named(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = write(elsewhere / "other.toml", 'log_level = "debug"\n')
    write(elsewhere / "stream-app.toml", 'log_level = "error"\n')
    assert load().log_level == "error"
    monkeypatch.setenv("STREAM_APP_CONFIG", str(named))
    assert load().log_level == "debug"


def test_lists_and_tables_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_SCORES__ENTER", "[10, 20, 30]")
    monkeypatch.setenv("STREAM_APP_SCORES__LEAVE", "[5, 15, 25]")
    monkeypatch.setenv("STREAM_APP_SCORES__INTENT_POINTS", '{"visit_pricing": 9}')
    scores = load().scores
    assert scores.enter == (10.0, 20.0, 30.0)
    assert scores.intent_points["visit_pricing"] == 9.0


def test_kinds_of_events_that_are_not_given_points_keep_theirs() -> None:
    usual, changed = load().scores, load(scores={"intent_points": {"visit_pricing": 9}}).scores
    assert changed.intent_points == usual.intent_points | {"visit_pricing": 9.0}
    assert changed.engagement_points == usual.engagement_points


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_CONFIG", "nowhere.toml")
    with pytest.raises(ConfigError, match=r"nowhere\.toml") as raised:
        load()
    assert raised.value.hint


def test_a_file_that_is_not_toml_is_an_error(elsewhere: Path) -> None:
    write(elsewhere / "stream-app.toml", "kafka: {group: x}")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load()


@pytest.mark.parametrize(
    ("name", "value"), [("SCORES__ENTER", "[1, 2"), ("KAFKA", "localhost"), ("SCORES__ENTER", "")]
)
def test_a_variable_that_is_not_json_is_not_blamed_on_the_file(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"STREAM_APP_{name}", value)
    with pytest.raises(ConfigError) as raised:
        load()
    assert "TOML" not in str(raised.value)
    assert name.split("__", maxsplit=1)[0].lower() in str(raised.value).lower()


@pytest.mark.parametrize(
    "name", ["STREAM_APP_KAFKA__GRUOP", "STREAM_APP_KAFKA_GROUP", "STREAM_APP_NOPE"]
)
def test_an_unknown_variable_is_a_typing_mistake(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError) as raised:
        load()
    assert raised.value.hint


@pytest.mark.parametrize("text", ["[kafka]\ngruop = 'x'\n", "[kakfa]\ngroup = 'x'\n", "nope = 1\n"])
def test_an_unknown_name_in_the_file_is_a_typing_mistake(elsewhere: Path, text: str) -> None:
    write(elsewhere / "stream-app.toml", text)
    with pytest.raises(ConfigError, match=r"gruop|kakfa|nope"):
        load()


@pytest.mark.parametrize("name", ["STREAM_APP_TEST_ROWS", "STREAM_APP_TEST_KAFKA"])
def test_variables_of_the_tests_are_not_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    load()


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("kafka", "session_timeout_ms", 10),
        ("kafka", "linger_ms", -1),
        ("redis", "timeout_seconds", 0),
        ("redis", "load_chunk", 9_000),
        ("input", "max_record_bytes", 1),
        ("input", "max_record_bytes", 10**9),
        ("input", "future_tolerance_seconds", -1),
        ("scores", "contact_points", -0.1),
        ("scores", "engagement_scale", 0),
        ("scores", "enter", (10, 20)),
        ("scores", "enter", (10, 20, 101)),
        ("scores", "engagement_points", {"visits": 1}),
        ("spikes", "min_contacts", 0),
        ("spikes", "min_contacts", 33),
        ("spikes", "baseline_floor", 0),
        ("segments", "margin", 1.0),
        ("segments", "margin", -0.1),
        ("segments", "margin", "much"),
        ("segments", "warm_start_vectors", 10),
        ("segments", "max_segments", 51),
        ("worker", "max_batch", 0),
        ("web", "port", 65_536),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(section: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{section}\.{name}") as raised:
        load(**{section: {name: value}})
    assert raised.value.hint


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        ("scores", {"enter": (45, 20, 70)}, "rise"),
        ("scores", {"leave": (38, 15, 62)}, "rise"),
        ("scores", {"leave": (21, 38, 62)}, "above enter"),
        ("segments", {"min_segments": 9, "max_segments": 8}, "above max_segments"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    section: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load(**{section: values})


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load(segments={"margin": 2}, web={"port": -1})
    assert "segments.margin" in str(raised.value)
    assert "web.port" in str(raised.value)


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.kafka.group = "x"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.log_level = "debug"  # type: ignore[misc]


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_REDIS__URL", "redis://user:hunter2@redis:6379/0")
    monkeypatch.setenv("STREAM_APP_INPUT__CONTACT_HASH_KEY", "hunter2")
    settings = load()
    assert settings.redis.url.get_secret_value().startswith("redis://user:hunter2@")
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in text


def test_a_refusal_does_not_show_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as raised:
        load(redis={"url": ["hunter2"], "timeout_seconds": "hunter2"})
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("STREAM_APP_REDIS", '{"url": "redis://:hunter2@x", "prefix": }')
    with pytest.raises(ConfigError) as raised:
        load()
    assert "hunter2" not in str(raised.value)


def test_what_may_be_secret_is_a_secret() -> None:
    settings = load()
    assert isinstance(settings.redis.url, SecretStr)
    assert isinstance(settings.input.contact_hash_key, SecretStr)
