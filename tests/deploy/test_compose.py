"""docker-compose.yml: sound, closed to the outside, and in step with the program."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli import program
from stream_app.streams.topics import TOPICS
from tests.deploy.files import (
    COMPOSE,
    DEPLOY,
    ROOT,
    STAND_IN,
    read_compose,
    read_yaml,
    run_tool,
    settings_from,
)
from tests.services.redis import OPTIONS

CONTENT = read_compose()
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]

each_service = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


def test_docker_compose_accepts_it() -> None:
    shown = run_tool(
        ["docker", "compose", "--file", str(COMPOSE), "config", "--quiet"],
        probe=["docker", "compose", "version"],
    )
    assert shown == ""


def test_it_has_the_whole_stack() -> None:
    assert set(SERVICES) == {
        "kafka", "redis", "topics", "web-token", "worker", "traffic", "prometheus", "grafana",
    }  # fmt: skip
    assert set(OURS) == {"topics", "worker", "traffic"}


@each_service
def test_a_service_is_limited_and_says_when_it_restarts(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= limits.keys()
    assert service["restart"] in {"no", "unless-stopped"}
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}


@each_service
def test_a_service_has_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"}
    # Kafka's image writes its configuration into its own folders.
    assert service.get("read_only", False) == (name != "kafka")


@each_service
def test_published_ports_are_for_this_machine_only(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    # An internal network has no ports to publish, and leads nowhere.
    assert ("published" in SERVICES[name]["networks"]) == bool(ports)
    assert CONTENT["networks"]["backend"]["internal"] is True


@each_service
def test_an_image_has_a_fixed_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert image
    assert tag not in {"", "latest"}


@each_service
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        needed = SERVICES[other]
        if wait["condition"] == "service_healthy":
            assert other in OURS or "test" in needed["healthcheck"]
            assert needed.get("healthcheck", {}) != {"disable": True}
        if wait["condition"] == "service_completed_successfully":
            assert needed["restart"] == "no"


@each_service
def test_no_secret_is_written_down(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        secret = re.search(r"PASSWORD|SECRET_|TOKEN|_KEY$", variable)
        assert not secret or value in {"", None} or variable.endswith("_FILE"), variable
        assert not re.search(r"://[^/@]*:[^/@]+@", str(value)), f"{variable} has a password"


@each_of_ours
def test_every_setting_exists(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = {key: value or "" for key, value in SERVICES[name]["environment"].items()}
    settings = settings_from(environment, monkeypatch, tmp_path)
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.redis.url.get_secret_value().startswith("redis://redis:6379")


@each_of_ours
def test_every_command_exists_with_its_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run([*map(str, SERVICES[name]["command"]), "--help"]) == 0, capsys.readouterr()


def test_commands_that_are_recommended_exist() -> None:
    named = re.findall(r"exec worker stream-app ([a-z]+)", COMPOSE.read_text())
    assert named
    assert set(named) <= {entry.name for entry in program.ENTRIES}


def test_the_worker_can_be_scaled_and_scraped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = SERVICES["worker"]
    assert not worker.keys() & {"ports", "container_name", "hostname"}
    environment = {k: v or "" for k, v in worker["environment"].items()}
    settings = settings_from(environment, monkeypatch, tmp_path)
    assert settings.web.host == "0.0.0.0"
    assert settings.web.token.get_secret_value() == STAND_IN
    assert worker["expose"] == [str(settings.web.port)]


def test_the_token_is_made_once_and_is_long_enough(tmp_path: Path) -> None:
    service = SERVICES["web-token"]
    (command,) = service["command"]
    (_, folder) = service["volumes"][0].split(":")
    made = []
    for _ in range(2):
        subprocess.run(["sh", "-c", command.replace(folder, str(tmp_path))], check=True)
        made.append((tmp_path / "web-token").read_text())
    assert re.fullmatch(r"[0-9a-f]{64}\n", made[0])
    assert made[0] == made[1]


def test_the_token_is_read_by_workers_and_prometheus_only() -> None:
    volumes = {name: service.get("volumes", []) for name, service in SERVICES.items()}
    readers = {name for name, used in volumes.items() if "web-token:/run/stream-app:ro" in used}
    assert readers == {"worker", "prometheus"}
    assert [n for n, used in volumes.items() if "web-token:/run/stream-app" in used] == [
        "web-token"
    ]
    file = SERVICES["worker"]["environment"]["STREAM_APP_WEB__TOKEN_FILE"]
    (job, _) = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert job["authorization"] == {"type": "Bearer", "credentials_file": file}
    assert file.startswith("/run/stream-app/")


def test_the_worker_has_time_to_stop() -> None:
    grace = SERVICES["worker"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > 20 + 10
    assert SERVICES["traffic"]["restart"] == "no", "its history would count twice"


def test_kafka_takes_the_largest_record_of_any_topic() -> None:
    largest = max(topic.max_message_bytes for topic in TOPICS)
    assert int(SERVICES["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) >= largest


def test_redis_never_drops_state_and_is_the_one_of_the_tests() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert {f"--{name}": value for name, value in OPTIONS.items()}.items() <= options.items()


@each_service
def test_what_is_mounted_from_here_exists_and_is_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert Path(ROOT, source).exists()
            assert mode == ["ro"]
        else:
            assert source in CONTENT["volumes"]
