"""Erasure through real Kafka and Redis, with the command line and worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from stream_app.events.decode import Pseudonyms
from stream_app.features.table import LAYOUT
from stream_app.streams import topics
from stream_app.streams.redis_store import RedisStore
from tests.cli.stack import Stack, until, visit

ADDRESS = "Somebody@Example.com"
ACCOUNTS = ("acme-inc", "globex-corp", "initech-llc")
_SECONDS = 60


@pytest.fixture
def stack(kafka_bootstrap: str, topic_prefix: str, redis_url: str, tmp_path: Path) -> Stack:
    return Stack.create(kafka_bootstrap, topic_prefix, redis_url, tmp_path)


_AHEAD = """
from datetime import UTC, datetime, timedelta
from stream_app.cli import erase, main
erase._now = lambda: datetime.now(UTC) + timedelta(hours=2)
main()
"""


def erase(stack: Stack, *arguments: str, ahead: bool = False) -> tuple[int, Any]:
    """Exit code, and the JSON on stdout, or the error on stderr. `ahead`: on a machine whose clock
    is two hours fast."""
    done = subprocess.run(
        [
            sys.executable,
            *(("-c", _AHEAD) if ahead else ("-m", "stream_app")),
            *("erase", *arguments, "--yes", "--json"),
        ],
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        return done.returncode, json.loads(done.stderr.splitlines()[-1])["error"]
    return 0, json.loads(done.stdout)


def content(stack: Stack, *kinds: str) -> bytes:
    """Everything in Redis of these kinds, names of fields included."""
    found = b""
    with Redis.from_url(stack.environment["STREAM_APP_REDIS__URL"]) as client:
        for key in client.keys("*"):
            if key.decode().rsplit(":", 1)[-1] in kinds:
                is_list = client.type(key) == b"list"
                found += repr(
                    client.lrange(key, 0, -1) if is_list else client.hgetall(key)
                ).encode()
    return found


def changes(stack: Stack, account: str) -> list[dict[str, Any]]:
    bodies = [json.loads(record.value) for record in stack.read(topics.SEGMENT_CHANGES)]
    return [body for body in bodies if body["account_id"] == account]


def last_stated(stack: Stack, account: str) -> bytes | None:
    """The last record of a key is all that compaction keeps."""
    records = stack.read(topics.ACCOUNT_SEGMENTS)
    return [record.value for record in records if record.key == account.encode()][-1]


def applied(stack: Stack, account: str) -> Callable[[], bool]:
    return lambda: account.encode() in content(stack, "state")


def test_an_account_is_erased_everywhere_at_once(stack: Stack) -> None:
    with stack.worker():
        stack.publish(
            *(visit(a, f"{a}-{i}", contact_id=f"c-{i}") for a in ACCOUNTS for i in range(3))
        )
        for account in ACCOUNTS:
            until(applied(stack, account), f"{account} in Redis")
        until(lambda: changes(stack, "acme-inc"), "the first change")

        code, said = erase(stack, "acme-inc")
        assert code == 0
        until(lambda: len(changes(stack, "acme-inc")) == 2, "the last change")
        first, last = changes(stack, "acme-inc")
        assert (first["reason"], last["reason"], last["current"]) == ("first_seen", "erased", None)
        assert said["done"]
        assert said["known"]
        assert (said["sequence"], said["erased_at"]) == (last["sequence"], last["decided_at"])
        until(lambda: last_stated(stack, "acme-inc") is None, "the tombstone")
        until(lambda: b"acme-inc" not in content(stack, "outbox"), "the outbox is trimmed")
        everything = content(stack, "meta", "state", "profile", "outbox", "names", "erased")
        assert b"acme-inc" not in everything
        assert b"globex-corp" in everything
        assert last_stated(stack, "globex-corp") is not None

        again = erase(stack, "acme-inc")[1]
        assert (again["done"], again["known"]) == (True, False)
        assert again["sequence"] == said["sequence"]
        assert again["erased_before"] == said["erased_at"]
        code, nobody = erase(stack, "nobody-gmbh")
        assert (code, nobody["known"], nobody["sequence"]) == (0, False, None)

        stack.publish(visit("acme-inc", "late"))
        until(lambda: len(changes(stack, "acme-inc")) == 3, "a new life")
        born = changes(stack, "acme-inc")[-1]
        assert (born["reason"], born["sequence"]) == ("first_seen", last["sequence"] + 1)


def test_a_request_waits_for_a_worker_and_outlives_it(stack: Stack) -> None:
    asyncio.run(_register(stack))
    code, error = erase(stack, "acme-inc", "--timeout", "0.2")
    assert (code, error["type"]) == (7, "NotDoneYet")
    with stack.worker():
        until(lambda: content(stack, "erased"), "the request is carried out")
        stack.publish(visit("acme-inc", "e-1"))
        until(applied(stack, "acme-inc"), "a life after it")
    with stack.worker():  # the next one remembers
        assert erase(stack, "acme-inc")[1]["sequence"] == 2


async def _register(stack: Stack) -> None:
    store = RedisStore(stack.redis)
    await store.register(2, LAYOUT)
    await store.stop()


def test_a_contact_is_forgotten_and_its_address_is_nowhere(stack: Stack) -> None:
    with stack.worker():
        stack.publish(visit("acme-inc", "e-1", contact_id=ADDRESS))
        until(applied(stack, "acme-inc"), "the account in Redis")
        code, said = erase(stack, "acme-inc", "--contact", ADDRESS)
        assert (code, said["known"]) == (0, True)
        assert said["contact_id"] == Pseudonyms()(ADDRESS)
        (request,) = stack.read(topics.ACCOUNT_CONTROL)
        assert b"@" not in request.value

        def forgotten() -> bool:
            stated = json.loads(last_stated(stack, "acme-inc") or b"{}")
            return bool(stated and stated["features"]["contacts_28d"] == 0)

        until(forgotten, "it is stated anew")
        stored = content(stack, "state", "profile", "outbox")
        assert b"acme-inc" in stored
        assert b"example.com" not in stored.lower()
        code, nobody = erase(stack, "nobody-gmbh", "--contact", ADDRESS)
        assert (code, nobody["known"]) == (0, False)


@pytest.mark.parametrize("contact", [(), ("--contact", ADDRESS)], ids=["account", "contact"])
def test_a_request_that_the_worker_refused_is_not_done(
    stack: Stack, contact: tuple[str, ...]
) -> None:
    with stack.worker():
        stack.publish(visit("acme-inc", "e-1", contact_id=ADDRESS))
        until(applied(stack, "acme-inc"), "the account in Redis")
        code, error = erase(stack, "acme-inc", *contact, ahead=True)
        assert code == 1, error
        assert "in_the_future" in error["message"]
        assert "was sent" not in error["message"], "nobody shall wait for it"
        (letter,) = stack.read(topics.DEAD_LETTERS)
        name = dict(letter.headers)["ce_id"].decode()
        assert name in error["hint"]
        assert applied(stack, "acme-inc")()
