"""Every peer: where its packages come from, and how it is started."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender, Place, Start
from benchmarks.load import INPUTS
from benchmarks.section import LeftOut
from tests.services.base import UnavailableError
from tests.services.cache import cached
from tests.services.kafka import JAVA_AT_LEAST, java_command

HERE = Path(__file__).parent
_INSTALL_SECONDS = 600.0
_JVM = ("-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


@dataclass(frozen=True)
class Peer:
    """One framework."""

    name: str
    title: str
    events: int
    """Of the load that it drains in a full run: about ten seconds' worth."""
    install: Callable[[], Path]
    """Returns the folder with its packages. Raises LeftOut."""
    commands: Callable[[Path, Path], Sequence[Sequence[str]]]
    """Of (packages, state): what is run before, once for a new state, and the peer itself."""

    def contender(self, packages: Path, state: Path | None = None) -> Contender:
        """Ready to be measured. `state`: of an earlier run, to go on with."""

        @asynccontextmanager
        async def start(place: Place, prefix: str) -> AsyncIterator[Start]:
            group = state.name if state else f"{self.name}-{uuid.uuid4().hex[:8]}"
            folder = state or place.folder / group
            fresh = not folder.exists()
            folder.mkdir(exist_ok=True)
            output = f"{prefix}{group}-changes"
            environment = {
                "BENCH_KAFKA": place.broker.bootstrap,
                "BENCH_INPUTS": ",".join(prefix + topic for topic in INPUTS),
                "BENCH_OUTPUT": output,
                "BENCH_GROUP": group,
                "BENCH_JOB": str(place.job_file),
                "BENCH_STATE": str(folder),
                "BENCH_REDIS": place.redis_url,
                "PYTHONPATH": f"{HERE / 'shared'}:{HERE / self.name}",
                "PYTHONUNBUFFERED": "1",
            }
            *before, command = self.commands(packages, folder)
            if fresh:
                await place.broker.create(output)
                for each in before:
                    _run(each, f"preparing {self.title}")
            yield Start(command, environment, output, lambda _: _began(folder))
            if state is None:
                await place.broker.forget(group)
                place.clear_redis()
                shutil.rmtree(folder, ignore_errors=True)

        return Contender(self.name, start)


def _began(folder: Path) -> float:
    """When the peer had its first event."""
    return float((folder / "began").read_text())


def _venv(name: str) -> Callable[[], Path]:
    """Installs a peer's requirements into an environment of its own, once."""

    def install() -> Path:
        requirements = HERE / name / "requirements.txt"
        digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]

        def fill(folder: Path) -> None:
            _run([sys.executable, "-m", "venv", str(folder)], f"making an environment for {name}")
            pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
            _run([*pip, "install", "--quiet", "--requirement", str(requirements)],
                 f"installing {name}")  # fmt: skip

        return cached(f"bench-{name}-{digest}", fill)

    return install


def _jars() -> Path:
    """Builds the Java peer, once."""
    try:
        java_command()
    except UnavailableError as reason:
        raise LeftOut(f"{reason}; it needs Java {JAVA_AT_LEAST}") from None
    maven = shutil.which("mvn")
    if maven is None:
        raise LeftOut("there is no mvn command")
    source = HERE / "kafka_streams"
    digest = hashlib.sha256()
    for file in sorted([source / "pom.xml", *source.glob("src/**/*.java")]):
        digest.update(file.read_bytes())

    def fill(folder: Path) -> None:
        shutil.copy(source / "pom.xml", folder)
        shutil.copytree(source / "src", folder / "src")
        goals = ["package", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        where = f"-DoutputDirectory={folder / 'lib'}"
        _run([maven, "--quiet", "--batch-mode", "--file", str(folder / "pom.xml"), *goals, where],
             "building the Kafka Streams peer")  # fmt: skip

    return cached(f"bench-kafka-streams-{digest.hexdigest()[:8]}", fill)


def _run(command: Sequence[str], doing: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LeftOut(f"{doing} took more than {_INSTALL_SECONDS:.0f} s") from None
    if done.returncode:
        raise LeftOut(f"{doing} failed: {done.stdout.strip()[-500:]}")


def _python(packages: Path, *arguments: str) -> list[str]:
    return [str(packages / "bin/python"), *arguments]


PEERS = (
    Peer(
        "faust",
        "Faust",
        40_000,
        _venv("faust"),
        lambda packages, _: [
            _python(packages, str(HERE / "faust/agent.py"), "worker", "-l", "warn")
        ],
    ),
    Peer(
        "quix",
        "Quix Streams",
        60_000,
        _venv("quix"),
        lambda packages, _: [_python(packages, str(HERE / "quix/app.py"))],
    ),
    Peer(
        "bytewax",
        "Bytewax",
        90_000,
        _venv("bytewax"),
        lambda packages, state: [
            _python(packages, "-m", "bytewax.recovery", str(state), "1"),
            _python(packages, "-m", "bytewax.run", "flow", "-r", str(state), "-s", "1", "-b", "0"),
        ],
    ),
    Peer(
        "pathway",
        "Pathway",
        60_000,
        _venv("pathway"),
        lambda packages, _: [_python(packages, str(HERE / "pathway/app.py"))],
    ),
    Peer(
        "kafka_streams",
        "Kafka Streams",
        200_000,
        _jars,
        lambda packages, _: [
            [
                java_command(),
                *_JVM,
                "-cp",
                f"{packages}/target/kafka-streams-peer-1.jar:{packages}/lib/*",
                "bench.Main",
            ]
        ],
    ),
)
