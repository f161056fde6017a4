"""Settings: where they come from, which are refused, and what is never shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stream_app.errors import ConfigError
from stream_app.secret_files import secret_fields, secrets_of
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
    assert settings.segments.margin == 0.15
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
        ("spikes", "prior_visits", 0),
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


# Connections


def test_what_is_named_like_a_secret_is_one() -> None:
    """A password that is not a SecretStr would be shown by `repr` and in docs/settings.md."""

    def named(model: type[BaseModel], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found |= named(field.annotation, (*path, name))
            elif re.search(r"(password|secret|token|url|_key)$", name):
                found.add((*path, name))
        return found

    assert named(Settings) == set(secret_fields(Settings))
    assert ("kafka", "sasl_password") in named(Settings)


SASL = {"security_protocol": "SASL_SSL", "sasl_username": "u", "sasl_password": "hunter2"}


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        ("kafka", SASL | {"sasl_password": ""}, "sasl_password is missing"),
        ("kafka", SASL | {"sasl_username": ""}, "sasl_username is missing"),
        ("kafka", {"sasl_password": "hunter2"}, "sasl_password is given"),
        ("kafka", SASL | {"security_protocol": "SSL"}, "sasl_username is given"),
        ("kafka", {"ssl_ca_file": "HERE"}, "not encrypted"),
        ("kafka", SASL | {"ssl_ca_file": "nowhere.pem"}, "ssl_ca_file names nowhere.pem"),
        ("kafka", SASL | {"ssl_cert_file": "HERE"}, "without ssl_key_file"),
        ("kafka", SASL | {"ssl_key_file": "HERE"}, "without ssl_cert_file"),
        ("kafka", SASL | {"ssl_key_password": "hunter2"}, "ssl_key_password is given without"),
        ("kafka", {"security_protocol": "TLS"}, r"kafka\.security_protocol"),
        ("kafka", SASL | {"sasl_mechanism": "GSSAPI"}, r"kafka\.sasl_mechanism"),
        ("redis", {"ssl_ca_file": "HERE"}, "rediss://"),
        ("redis", {"ssl_cert_file": "HERE", "url": "rediss://x"}, "without ssl_key_file"),
        ("web", {"host": "0.0.0.0"}, "STREAM_APP_WEB__TOKEN"),
        ("web", {"host": ""}, "token is needed"),
        ("web", {"host": "::"}, "token is needed"),
        ("web", {"host": "metrics.example"}, "token is needed"),
        ("web", {"token": "hunter2"}, "fewer than 16"),
        ("web", {"token": "hunter2 hunter2 hunter2"}, "a header cannot carry"),
        ("web", {"token": "hunter2-hunter2-hünter2"}, "a header cannot carry"),
    ],
)
def test_connections_that_make_no_sense_are_refused_without_a_value(
    elsewhere: Path, section: str, values: dict[str, str], says: str
) -> None:
    here = write(elsewhere / "file.pem", "content")
    values = {name: value.replace("HERE", str(here)) for name, value in values.items()}
    with pytest.raises(ConfigError, match=says) as raised:
        load(**{section: values})
    assert str(raised.value).startswith(f"the settings do not fit: {section}")
    assert "hunter2" not in str(raised.value) + raised.value.hint
    assert "Value error" not in str(raised.value)


@pytest.mark.parametrize(
    "web",
    [
        {"host": "127.0.0.1"},
        {"host": "127.8.8.8"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "port": 0},
        {"host": "0.0.0.0", "token": "0123456789abcdef"},
    ],
)
def test_a_port_that_only_this_machine_reaches_needs_no_token(web: dict[str, Any]) -> None:
    assert load(web=web).web.host == web["host"]


# Secrets from files


def variable(path: tuple[str, ...], suffix: str = "") -> str:
    return "STREAM_APP_" + "__".join(path).upper() + suffix


NEEDED: dict[tuple[str, ...], dict[str, str]] = {
    ("kafka", "sasl_password"): {
        "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "STREAM_APP_KAFKA__SASL_USERNAME": "u",
    },
    ("kafka", "ssl_key_password"): {
        "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SSL",
        "STREAM_APP_KAFKA__SSL_CERT_FILE": "HERE",
        "STREAM_APP_KAFKA__SSL_KEY_FILE": "HERE",
    },
    ("redis", "ssl_key_password"): {
        "STREAM_APP_REDIS__URL": "rediss://redis",
        "STREAM_APP_REDIS__SSL_CERT_FILE": "HERE",
        "STREAM_APP_REDIS__SSL_KEY_FILE": "HERE",
    },
}
"""What else must be set for a secret to make sense."""

each_secret = pytest.mark.parametrize("path", list(secret_fields(Settings)), ids=".".join)


@pytest.fixture
def around(
    path: tuple[str, ...], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    """A secret, and an environment in which it makes sense."""
    here = str(write(elsewhere / "file.pem", "content"))
    for name, value in NEEDED.get(path, {}).items():
        monkeypatch.setenv(name, value.replace("HERE", here))
    return path


@each_secret
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_every_secret_can_come_from_a_file(
    around: tuple[str, ...], end: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = elsewhere / "secret"
    file.write_bytes(f"hunter2-hunter2-hunter2{end}".encode())
    monkeypatch.setenv(variable(around, "_FILE"), str(file))
    settings = load()
    assert dict(secrets_of(settings))[around] == "hunter2-hunter2-hunter2"
    assert "hunter2" not in repr(settings) + settings.model_dump_json()


def test_a_toml_file_can_name_the_file_of_a_secret(elsewhere: Path) -> None:
    write(elsewhere / "secret", "hunter2\n\n")
    write(elsewhere / "stream-app.toml", '[redis]\npassword_file = "secret"\n')
    assert load().redis.password.get_secret_value() == "hunter2\n", "one line end, and no more"


@each_secret
def test_a_secret_that_is_given_twice_is_refused(
    around: tuple[str, ...], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(around), "hunter2-hunter2-hunter2")
    monkeypatch.setenv(variable(around, "_FILE"), str(write(elsewhere / "secret", "hunter2")))
    with pytest.raises(ConfigError, match=rf"{'.'.join(around)}_file are both given") as raised:
        load()
    assert "hunter2" not in str(raised.value)


def test_a_variable_that_is_set_to_nothing_names_no_file(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_APP_REDIS__PASSWORD_FILE", "")
    monkeypatch.setenv("STREAM_APP_REDIS__PASSWORD", "hunter2")
    assert load().redis.password.get_secret_value() == "hunter2"
    monkeypatch.setenv("STREAM_APP_REDIS__PASSWORD", "")
    monkeypatch.setenv("STREAM_APP_REDIS__PASSWORD_FILE", str(write(elsewhere / "secret", "other")))
    assert load().redis.password.get_secret_value() == "other"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8"),
     (b"hunter2" * 10_000, "larger")],
    ids=["missing", "empty", "blank", "not text", "huge"],
)  # fmt: skip
def test_a_file_that_holds_no_secret_is_named(
    elsewhere: Path, content: bytes | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (elsewhere / "secret").write_bytes(content)
    monkeypatch.setenv("STREAM_APP_KAFKA__SASL_PASSWORD_FILE", "secret")
    with pytest.raises(ConfigError, match=rf"kafka\.sasl_password_file names secret.*{why}") as got:
        load()
    assert "hunter2" not in str(got.value)


def test_only_secrets_have_files(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_KAFKA__GROUP_FILE", str(write(elsewhere / "group", "x")))
    with pytest.raises(ConfigError, match="group_file"):
        load()


def test_the_margin_that_decides_at_once_is_not_the_smaller_one() -> None:
    with pytest.raises(ConfigError, match="margin must not be above strong_margin"):
        load(segments={"margin": 0.5})
