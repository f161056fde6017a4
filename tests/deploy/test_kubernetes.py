"""The Kubernetes manifests: they refer to each other, to the image and to the program rightly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stream_app.app.web import PATHS
from stream_app.secret_files import secrets_of
from stream_app.streams.access import PRINCIPALS
from tests.deploy.files import (
    DEPLOY,
    DOCKERFILE,
    MANIFESTS,
    STAND_IN,
    read_yaml,
    run_tool,
    settings_from,
)

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATION = read_yaml(FOLDER / "kustomization.yaml")
OBJECTS: dict[str, dict[str, Any]] = {
    item["kind"]: item for path in MANIFESTS if (item := read_yaml(path)) != KUSTOMIZATION
}
DEPLOYMENT = OBJECTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(WORKER,) = POD["containers"]
PROBES = {name: WORKER[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}


def test_kubectl_accepts_it() -> None:
    made = run_tool(["kubectl", "kustomize", str(FOLDER)], probe=["kubectl", "version", "--client"])
    assert made.count("\nkind: ") == len(OBJECTS)


def test_every_file_is_listed_and_there() -> None:
    files = {path.name for path in MANIFESTS} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    versions = {kind: item["apiVersion"] for kind, item in OBJECTS.items()}
    assert versions == {
        "ConfigMap": "v1", "Deployment": "apps/v1", "PodDisruptionBudget": "policy/v1",
    }  # fmt: skip


def test_selectors_find_the_pods() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    selectors = [
        DEPLOYMENT["selector"],
        OBJECTS["PodDisruptionBudget"]["spec"]["selector"],
        *(spread["labelSelector"] for spread in POD["topologySpreadConstraints"]),
    ]
    assert all(selector["matchLabels"] == labels for selector in selectors)


def test_settings_come_from_the_map_and_secrets_from_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = OBJECTS["ConfigMap"]
    assert WORKER["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    settings = settings_from(config["data"], monkeypatch, tmp_path)
    assert settings.web.host == "0.0.0.0"
    assert WORKER["ports"] == [{"name": "http", "containerPort": settings.web.port}]
    annotations = DEPLOYMENT["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(settings.web.port)
    given = {".".join(path): secret for path, secret in secrets_of(settings)}
    assert given == {
        "kafka.sasl_password": STAND_IN,
        "redis.url": "rediss://redis:6379/0",
        "redis.password": STAND_IN,
        "input.contact_hash_key": STAND_IN,
        "web.token": STAND_IN,
    }


def test_everything_is_encrypted_and_has_a_user_that_is_granted_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_from(OBJECTS["ConfigMap"]["data"], monkeypatch, tmp_path)
    assert settings.kafka.uses_tls
    assert settings.redis.uses_tls
    assert settings.kafka.sasl_username in {principal.name for principal in PRINCIPALS}
    users = (DEPLOY / "redis" / "users.acl").read_text()
    assert f"\nuser {settings.redis.username} on " in users


def test_the_secret_that_is_asked_for_has_every_file() -> None:
    text = (FOLDER / "kustomization.yaml").read_text()
    (volume,) = [volume for volume in POD["volumes"] if "secret" in volume]
    assert f"create secret generic {volume['secret']['secretName']} " in text
    given = set(re.findall(r"--from-(?:literal|file)=([\w.-]+)", text))
    (mount,) = [mount for mount in WORKER["volumeMounts"] if mount["name"] == volume["name"]]
    assert mount["readOnly"] is True
    data = OBJECTS["ConfigMap"]["data"]
    named = {value for name, value in data.items() if name.endswith("_FILE")}
    assert named == {f"{mount['mountPath']}/{name}" for name in given}
    assert POD["securityContext"]["fsGroup"] == POD["securityContext"]["runAsGroup"]


def test_a_worker_has_time_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = settings_from(OBJECTS["ConfigMap"]["data"], monkeypatch, tmp_path)
    assert POD["terminationGracePeriodSeconds"] >= settings.worker.shutdown_seconds + 20


def test_probes_ask_for_pages_that_exist() -> None:
    paths = {name: probe["httpGet"]["path"] for name, probe in PROBES.items()}
    assert paths == {
        "startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready",
    }  # fmt: skip
    assert not any(PATHS[path] for path in paths.values()), "a probe has no token"
    assert {probe["httpGet"]["port"] for probe in PROBES.values()} == {"http"}


def test_a_worker_has_no_privileges() -> None:
    pod, container = POD["securityContext"], WORKER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}\n" in DOCKERFILE.read_text()
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False


def test_services_of_the_namespace_do_not_look_like_settings() -> None:
    assert POD["enableServiceLinks"] is False


def test_what_it_may_write_to_is_mounted() -> None:
    volumes = {volume["name"] for volume in POD["volumes"]}
    assert {mount["name"] for mount in WORKER["volumeMounts"]} == volumes
    writable = [mount for mount in WORKER["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]
    assert "HOME=/tmp" in DOCKERFILE.read_text()


def test_resources_are_asked_for_and_limited() -> None:
    resources = WORKER["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert "memory" in resources["limits"]
    assert WORKER["image"] in {image["name"] for image in KUSTOMIZATION["images"]}
