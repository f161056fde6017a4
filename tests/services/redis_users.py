"""The users of the test Redis: those of deploy/redis/users.acl, and an administrator."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis

FOLDER = Path(__file__).parents[2] / "deploy" / "redis"
ADMIN = "admin"
WORKER, READER, METRICS = "stream-app-worker", "stream-app-reader", "stream-app-metrics"
OPERATOR = "stream-app-operator"
USERS = (WORKER, READER, OPERATOR, METRICS)
PASSWORDS = {name: secrets.token_hex(16) for name in (ADMIN, *USERS)}
"""Of this run."""


def users(version: str = "7") -> str:
    """users.acl with the passwords of this run, made as an operator makes it for this Redis."""
    with tempfile.TemporaryDirectory(prefix="stream-app-passwords-") as folder:
        for name, password in PASSWORDS.items():
            (Path(folder) / name).write_text(f"{password}\n")
        made = subprocess.run(
            ["/bin/sh", str(FOLDER / "users.sh"), folder, "sa", version],
            env={"PATH": os.defpath},  # some tests have a PATH of their own
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    return made.stdout


def users_and_admin(version: str = "7") -> str:
    """The same, and somebody who may flush it and look into it."""
    digest = hashlib.sha256(PASSWORDS[ADMIN].encode()).hexdigest()
    return f"{users(version)}user {ADMIN} on #{digest} ~* &* +@all\n"


def rules(name: str, text: str) -> list[str]:
    """What the line of one user grants, in order."""
    found = re.search(rf"^user {name} (.*)$", text, re.MULTILINE)
    assert found is not None, name
    return found[1].split()


def as_user(url: str, name: str) -> str:
    """`url` for one of the users."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{name}:{PASSWORDS[name]}@{address}").geturl()


def install_users(admin: Redis) -> None:
    """Make the users on a Redis that was started by somebody else; `default` stays as it is."""
    text = users(admin.info("server")["redis_version"])
    for name in USERS:
        admin.execute_command("ACL", "SETUSER", name, "reset", *rules(name, text))  # type: ignore[no-untyped-call]
