"""A Kafka broker for the tests: one node that is its own controller."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import socket
import struct
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from tests.services.base import (
    External,
    Probe,
    Service,
    ServiceError,
    UnavailableError,
    first_available,
    free_port,
)
from tests.services.cache import cached
from tests.services.container import Container, need_image
from tests.services.process import LocalProcess, new_home

VARIABLE = "STREAM_APP_TEST_KAFKA"
POM = Path(__file__).with_name("pom.xml")
LOG4J = Path(__file__).with_name("log4j2.properties")
MAVEN_TIMEOUT_SECONDS = 600.0
JAVA_AT_LEAST = 17
HEAP = "-Xmx512m"
JVM_OPTIONS = (
    HEAP,
    "-XX:+UseSerialGC",  # starts faster and leaves the other cores to the tests
    f"-Dlog4j2.configurationFile={LOG4J.as_uri()}",
)

SETTINGS = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(8 * 1024 * 1024),
    "replica.fetch.max.bytes": str(8 * 1024 * 1024),
    # Events keep their own, often old, times; none may be deleted for its age.
    "log.retention.ms": "-1",
    # One node: nothing to replicate, and few partitions for its own topics start faster.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    # Tests do not wait: groups form at once, and a dead member is noticed soon.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A broker that was killed may register again after this time.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
}
Configure = Callable[[dict[str, str], Path], list[str]]
"""Changes the settings of a broker whose files lie in the folder; returns further arguments for
preparing its storage."""
ADVICE = f"""Do one of these:
  - install Java {JAVA_AT_LEAST} and Maven: apt-get install openjdk-17-jre-headless maven
  - start Docker
  - set {VARIABLE}=host:port"""


def kafka(*, own: bool = False) -> Service:
    """A Kafka, not started yet.

    With `own` it is never the one named in the environment, so that it may be killed.
    Raises ServiceError if no way to get one works.
    """
    address = os.environ.get(VARIABLE)
    if address and not own:
        url = f"kafka://{address}"
        first = address.split(",")[0]
        return External("Kafka", variable=VARIABLE, address=address, url=url, probe=_probe(first))
    ways = [("Docker", _from_docker), ("Maven and Java", from_maven)]
    return first_available("Kafka", ways, advice=ADVICE)


def _probe(address: str) -> Probe:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ServiceError(f"{VARIABLE} must be host:port, but is {address!r}.")

    def answers() -> bool:
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            return _live_brokers(connection) > 0

    return answers


def _live_brokers(connection: socket.socket) -> int:
    """Ask for the cluster's metadata (API 3, version 1), about no topic, and count the brokers.

    An open port is not enough: a broker takes requests before the controller lets it serve any.
    """
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    connection.sendall(struct.pack(">i", len(request)) + request)
    with connection.makefile("rb") as reply:
        head = reply.read(12)  # length, correlation id, number of brokers
    return int(struct.unpack(">iii", head)[2]) if len(head) == 12 else 0


def _version() -> str:
    path = "{*}properties/{*}kafka.version"
    return ElementTree.parse(POM).getroot().findtext(path) or ""


def _node_settings(*, port: int, controller_port: int, listen_on: str) -> dict[str, str]:
    return {
        **SETTINGS,
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"BROKER://{listen_on}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BROKER://127.0.0.1:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
    }


def _from_docker() -> Service:
    image = f"apache/kafka:{_version()}"
    need_image(image)
    port = free_port()
    # The broker also reaches itself at the advertised address, so the port is the same inside.
    settings = _node_settings(port=port, controller_port=9093, listen_on="0.0.0.0")
    settings["controller.quorum.voters"] = "1@127.0.0.1:9093"
    environment = {f"KAFKA_{key.upper().replace('.', '_')}": v for key, v in settings.items()}
    environment["KAFKA_HEAP_OPTS"] = HEAP
    return Container(
        "Kafka",
        url=f"kafka://127.0.0.1:{port}",
        port=port,
        inner_port=port,
        probe=_probe(f"127.0.0.1:{port}"),
        image=image,
        environment=environment,
    )


def from_maven(configure: Configure | None = None) -> Service:
    """A Kafka in a process of its own, not started yet. Raises UnavailableError."""
    java = java_command()
    key = f"kafka-{_version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"
    jars = cached(key, _fetch_jars)
    home = new_home("Kafka")
    port, controller_port = free_port(), free_port()
    settings = _node_settings(port=port, controller_port=controller_port, listen_on="127.0.0.1")
    settings["controller.quorum.bootstrap.servers"] = f"127.0.0.1:{controller_port}"
    settings["log.dirs"] = str(home / "data")
    command = [java, *JVM_OPTIONS, "-cp", f"{jars}/*"]
    try:
        further = configure(settings, home) if configure else []
        config = _format(home, settings, further, java=command)
    except BaseException:
        shutil.rmtree(home)
        raise
    return LocalProcess(
        "Kafka",
        how=f"Maven and Java (Kafka {_version()})",
        address=f"127.0.0.1:{port}",
        url=f"kafka://127.0.0.1:{port}",
        probe=_probe(f"127.0.0.1:{port}"),
        command=[*command, "kafka.Kafka", str(config)],
        home=home,
    )


def _format(
    home: Path, settings: Mapping[str, str], further: list[str], *, java: list[str]
) -> Path:
    """Write the settings and prepare the data folder. Returns the settings' file."""
    config = home / "server.properties"
    config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    arguments = ["format", "--standalone", f"--cluster-id={cluster}", f"--config={config}"]
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", *arguments, *further],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError(f"Kafka could not prepare its data folder:\n{done.stdout}")
    return config


def java_command() -> str:
    """A Java that is new enough. Raises UnavailableError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise UnavailableError("there is no java command")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        raise UnavailableError(f"{java} is older than Java {JAVA_AT_LEAST}")
    return java


def _fetch_jars(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError("there is no mvn command")
    arguments = ["--quiet", "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    done = subprocess.run(
        [maven, *arguments, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAVEN_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(f"Maven could not fetch Kafka: {done.stdout.strip()}")
