"""Runs deploy/kafka/acls.sh and makes its entries in a broker.

`kafka-acls.sh` itself is not among what the tests fetch of Kafka. A stand-in prints what it was
called with, and the entries go to the broker by Kafka's own protocol.
"""

from __future__ import annotations

import asyncio
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from stream_app.streams.access import Grant

SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "acls.sh"
_STAND_IN = """#!/bin/sh
printf '%s\\t' "$@"
echo
"""
# Kafka's numbers.
_RESOURCES = {"topic": 2, "group": 3}
_PATTERNS = {"literal": 3, "prefixed": 4}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Alter": 7, "Describe": 8}
_ALLOW = 3


def printed() -> list[Grant]:
    """The entries that the script asks for."""
    with tempfile.TemporaryDirectory(prefix="stream-app-acls-") as folder:
        command = Path(folder) / "kafka-acls.sh"
        command.write_text(_STAND_IN)
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        environment = {"KAFKA_ACLS": str(command), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, check=True
        )
    assert not done.stderr
    return [grant for line in done.stdout.splitlines() for grant in _read(line.split("\t")[:-1])]


def _read(arguments: list[str]) -> Iterator[Grant]:
    assert arguments[:2] == ["--add", "--force"]
    options = list(zip(arguments[2::2], arguments[3::2], strict=True))
    fixed = dict(options)
    user = fixed["--allow-principal"].removeprefix("User:")
    for option, name in options:
        resource = option.removeprefix("--")
        if resource in _RESOURCES:
            yield Grant(
                user,
                resource,  # type: ignore[arg-type]
                name,
                fixed["--resource-pattern-type"],  # type: ignore[arg-type]
                fixed["--operation"],  # type: ignore[arg-type]
            )


async def install(bootstrap: str, grants: Iterable[Grant]) -> None:
    """Make the entries, as an administrator."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await asyncio.gather(*(_create(admin, grant) for grant in grants))
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, grant: Grant) -> None:
    request = CreateAclsRequest(
        _RESOURCES[grant.resource],
        grant.name,
        _PATTERNS[grant.pattern],
        f"User:{grant.principal}",
        "*",
        _OPERATIONS[grant.operation],
        _ALLOW,
    )
    response = await admin._send_request(request)
    for code, message in response.creation_responses:
        assert code == 0, (grant, message)
