"""No secret is ever shown: every one is planted, things go wrong, and all output is searched."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from stream_app.cli.program import run
from stream_app.secret_files import secret_fields
from stream_app.settings import Settings, load
from tests.access.conftest import UNCLOSED
from tests.services import Service
from tests.services.certificates import KEY_PASSWORD, Certificates
from tests.services.redis_users import PASSWORDS, WORKER
from tests.services.secured_kafka import SecuredKafka

pytestmark = UNCLOSED

NOWHERE = "127.0.0.1:1"
"""Nobody listens there."""
Environment = dict[str, str]


def planted(path: tuple[str, ...]) -> str:
    """A secret that nothing else looks like, with signs that are written differently in a URL, in
    JSON and by `repr`."""
    return f"planted-{'-'.join(path)}-s3cr%3At'\\x"


SECRETS = {path: planted(path) for path in secret_fields(Settings)}
EXTRA = ("planted-in-the-url", "planted-in-a-file", "planted-key-password")
USER = "planted-user"


def forms(secret: str) -> set[str]:
    """How a secret may look in some output."""
    sasl = f"\0{USER}\0{secret}".encode()  # what SASL's PLAIN sends
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(sasl).decode(),
    }


def check_nothing_is_shown(text: str, *more: str) -> None:
    for secret in (*SECRETS.values(), *EXTRA, *more):
        for form in forms(secret):
            assert form not in text, f"{form} in {text}"


@pytest.fixture
def everything(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Environment:
    """Every secret setting has its planted secret, and the rest makes sense with it."""
    monkeypatch.chdir(tmp_path)
    tls = {
        "SSL_CA_FILE": str(certificates.ca),
        "SSL_CERT_FILE": str(certificates.client.certificate),
        "SSL_KEY_FILE": str(certificates.client.key),
    }
    planted_secrets = {"__".join(path).upper(): secret for path, secret in SECRETS.items()}
    given = {
        **planted_secrets,
        "KAFKA__BOOTSTRAP_SERVERS": NOWHERE,
        "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA__SASL_USERNAME": USER,
        "KAFKA__REQUEST_TIMEOUT_MS": "2000",
        "REDIS__URL": f"rediss://{NOWHERE}/0",
        "REDIS__USERNAME": USER,
        "REDIS__TIMEOUT_SECONDS": "2",
        "LOG_LEVEL": "debug",
        "WEB__PORT": "0",
        **{f"KAFKA__{name}": file for name, file in tls.items()},
        **{f"REDIS__{name}": file for name, file in tls.items()},
        # A wrong one would be an error before anything is reached.
        "KAFKA__SSL_KEY_PASSWORD": KEY_PASSWORD,
        "REDIS__SSL_KEY_PASSWORD": KEY_PASSWORD,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"STREAM_APP_{name}", value)
    return given


COMMANDS = [
    ["worker"],
    ["worker", "--json"],
    ["doctor", "--json"],
    ["account", "acme", "--json"],
    ["topics", "list"],
    ["topics", "acls"],
]
"""What runs unattended, what checks, what asks Redis, what asks Kafka, and what asks nobody."""


def all_output(capfd: pytest.CaptureFixture[str], commands: list[list[str]] = COMMANDS) -> str:
    """What all commands write, with the traceback of every error."""
    codes = [run(["--debug", *command]) for command in commands]
    assert any(codes), "nothing went wrong"
    out, err = capfd.readouterr()
    return out + err


Failure = Callable[[Environment, SecuredKafka, Service, Certificates], Mapping[str, str]]

FAILURES: dict[str, tuple[Failure, str]] = {
    "nobody is there": (lambda *_: {}, "cannot be reached"),
    "Kafka: wrong password": (
        lambda _, kafka, __, ___: {"KAFKA__BOOTSTRAP_SERVERS": kafka.listeners["SASL_SSL"]},
        "SaslAuthenticationFailed",
    ),
    "Kafka: wrong password, PLAIN": (
        lambda _, kafka, __, ___: {
            "KAFKA__BOOTSTRAP_SERVERS": kafka.listeners["SASL_SSL"],
            "KAFKA__SASL_MECHANISM": "PLAIN",
        },
        "Invalid username or password",
    ),
    "Kafka: its authority is not believed": (
        lambda _, kafka, __, certificates: {
            "KAFKA__BOOTSTRAP_SERVERS": kafka.listeners["SASL_SSL"],
            "KAFKA__SSL_CA_FILE": str(certificates.other_ca),
        },
        "CERTIFICATE_VERIFY_FAILED",
    ),
    "Kafka: not the right listener": (
        lambda _, kafka, __, ___: {"KAFKA__BOOTSTRAP_SERVERS": kafka.service.address},
        "kafka.s",
    ),
    "Kafka: not an address": (
        lambda *_: {"KAFKA__BOOTSTRAP_SERVERS": "kafka:port"},
        "kafka.bootstrap_servers",
    ),
    "Redis: wrong password": (
        lambda _, __, redis, ___: {"REDIS__URL": f"rediss://{redis.address}/0"},
        "invalid username-password pair",
    ),
    "Redis: wrong password in the URL": (
        lambda _, __, redis, ___: {
            "REDIS__URL": f"rediss://{USER}:planted-in-the-url@{redis.address}/0",
            "REDIS__USERNAME": "",
            "REDIS__PASSWORD": "",
        },
        "invalid username-password pair",
    ),
    "Redis: its authority is not believed": (
        lambda _, __, redis, certificates: {
            "REDIS__URL": f"rediss://{redis.address}/0",
            "REDIS__SSL_CA_FILE": str(certificates.other_ca),
        },
        "redis.ssl_ca_file",
    ),
    "Redis: a URL that cannot be read": (
        lambda *_: {"REDIS__URL": f"rediss://:1/planted-in-the-url@{NOWHERE}/0"},
        "STREAM_APP_REDIS__URL",
    ),
    "Redis: the password in two places": (
        lambda *_: {"REDIS__URL": f"rediss://:planted-in-the-url@{NOWHERE}/0"},
        "redis.password is given",
    ),
    "the key's password is wrong": (
        lambda *_: {
            "KAFKA__SSL_KEY_PASSWORD": "planted-key-password",
            "REDIS__SSL_KEY_PASSWORD": "planted-key-password",
        },
        "ssl_key_password",
    ),
    "another setting is wrong": (lambda *_: {"WEB__PORT": "http"}, "web.port"),
    "a secret is wrong": (
        lambda *_: {"WEB__TOKEN": "planted-in-the-url "},
        "web: token has signs",
    ),
    "a section is wrong": (
        lambda *_: {"KAFKA": '{"sasl_password": "planted-in-the-url", }'},
        "kafka",
    ),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_shows_no_secret(
    name: str,
    everything: Environment,
    secured: SecuredKafka,
    tls_redis: Service,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    failure, said = FAILURES[name]
    for variable, value in failure(everything, secured, tls_redis, certificates).items():
        monkeypatch.setenv(f"STREAM_APP_{variable}", value)
    text = all_output(capfd)
    assert said in text
    check_nothing_is_shown(text, KEY_PASSWORD)


@pytest.mark.integration
def test_a_right_password_is_shown_no_more_than_a_wrong_one(
    everything: Environment,
    tls_redis: Service,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STREAM_APP_REDIS__URL", f"rediss://{tls_redis.address}/0")
    monkeypatch.setenv("STREAM_APP_REDIS__USERNAME", WORKER)
    monkeypatch.setenv("STREAM_APP_REDIS__PASSWORD", PASSWORDS[WORKER])
    text = all_output(capfd)
    assert "all commands that a worker needs are allowed" in text
    check_nothing_is_shown(text, PASSWORDS[WORKER], KEY_PASSWORD)


def test_a_secret_in_a_file_is_shown_no_more_than_one_in_a_variable(
    everything: Environment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "secret").write_text("planted-in-a-file\n")
    for path in SECRETS:
        if path != ("redis", "url") and path[-1] != "ssl_key_password":
            name = f"STREAM_APP_{'__'.join(path).upper()}"
            monkeypatch.delenv(name)
            monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    check_nothing_is_shown(all_output(capfd))
    assert load().kafka.sasl_password.get_secret_value() == "planted-in-a-file"


def test_settings_show_none(everything: Environment) -> None:
    settings = load()
    shown = [repr(settings), str(settings), f"{settings!s}", settings.model_dump_json()]
    shown += [repr(getattr(settings, name)) for name in type(settings).model_fields]
    check_nothing_is_shown("\n".join(shown), KEY_PASSWORD)


@pytest.mark.parametrize("path", SECRETS, ids=".".join)
def test_a_secret_that_is_mentioned_all_the_same_is_hidden(
    path: tuple[str, ...], everything: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second lock: whatever a library says, the command line does not repeat it."""
    from stream_app.cli import hiding  # noqa: PLC0415

    secret = dict(SECRETS)[path] if path[-1] not in {"url", "ssl_key_password"} else KEY_PASSWORD
    hiding.learn(load())
    for form in (secret, repr(secret), quote(secret, safe="")):
        assert hiding.hide(f"before {form} after").startswith("before ")
        assert secret not in hiding.hide(f"before {form} after")
        assert "***" in hiding.hide(form)
