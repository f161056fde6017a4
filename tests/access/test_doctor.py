"""`doctor` says which protection is in force, and where there is less than it seems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.checks.access import access_checks
from stream_app.cli.checks.base import Check
from stream_app.settings import Settings, load


def found(check: str, **sections: dict[str, Any]) -> Check:
    (one,) = [each for each in access_checks(load(**sections)) if each.check == check]
    return one


SASL = {"sasl_username": "u", "sasl_password": "hunter2"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.pem").write_text("content")


@pytest.mark.parametrize(
    ("kafka", "detail", "hint"),
    [
        ({}, "PLAINTEXT, no login, not encrypted", ""),
        (
            SASL | {"security_protocol": "SASL_SSL"},
            (
                "SASL_SSL, user u by SCRAM-SHA-512, encrypted, certificates of the system's "
                "authorities"
            ),
            "",
        ),
        (
            SASL | {"security_protocol": "SASL_PLAINTEXT"},
            "SASL_PLAINTEXT, user u by SCRAM-SHA-512, not encrypted",
            "use SASL_SSL",
        ),
        (
            SASL | {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"},
            "SASL_PLAINTEXT, user u by PLAIN, not encrypted",
            "the password crosses it as it is",
        ),
        (
            {
                "security_protocol": "SSL",
                "ssl_ca_file": "file.pem",
                "ssl_cert_file": "file.pem",
                "ssl_key_file": "file.pem",
                "ssl_check_hostname": False,
            },
            (
                "SSL, known by its certificate, encrypted, certificates of file.pem, with a client "
                "certificate"
            ),
            "ssl_check_hostname",
        ),
    ],
)
def test_kafka(kafka: dict[str, Any], detail: str, hint: str) -> None:
    check = found("kafka access", kafka=kafka)
    assert (check.ok, check.detail) == (True, detail)
    assert hint in check.hint
    assert bool(hint) == bool(check.hint)


@pytest.mark.parametrize(
    ("redis", "detail", "hint"),
    [
        ({}, "no login, not encrypted", ""),
        ({"url": "redis://u:hunter2@x"}, "user u, not encrypted", "rediss://"),
        ({"password": "hunter2"}, "user default, not encrypted", "rediss://"),
        (
            {"url": "rediss://x", "username": "u", "password": "hunter2"},
            "user u, encrypted, certificates of the system's authorities",
            "",
        ),
    ],
)
def test_redis(redis: dict[str, Any], detail: str, hint: str) -> None:
    check = found("redis access", redis=redis)
    assert (check.ok, check.detail) == (True, detail)
    assert hint in check.hint
    assert bool(hint) == bool(check.hint)


@pytest.mark.parametrize(
    ("redis", "says"),
    [
        ({"url": "redis://u:hunter2@x", "username": "v"}, "redis.username is given"),
        ({"url": "redis://u:hunter2@x", "password": "hunter2"}, "redis.password is given"),
        ({"url": "rediss://x?ssl_cert_reqs=none"}, "settings of their own"),
        ({"url": "rediss://x", "ssl_ca_file": "file.pem"}, "redis.ssl_ca_file"),
    ],
)
def test_what_redis_cannot_be_reached_with(redis: dict[str, Any], says: str) -> None:
    check = found("redis access", redis=redis)
    assert check.ok is False
    assert says in check.detail
    assert check.hint
    assert "hunter2" not in check.detail + check.hint


@pytest.mark.parametrize(
    ("web", "detail"),
    [
        ({}, "127.0.0.1:8080, reached by this machine only; no token"),
        (
            {"host": "0.0.0.0", "token": "hunter2-hunter2-hunter2"},
            "0.0.0.0:8080, reached by others, too; /metrics asks for the token",
        ),
        ({"port": 0}, "none"),
    ],
)
def test_the_http_port(web: dict[str, Any], detail: str) -> None:
    assert found("http port", web=web).detail == detail


def test_it_is_part_of_what_doctor_checks() -> None:
    names = [check.check for check in access_checks(Settings())]
    assert names == ["kafka access", "redis access", "http port"]
