"""deploy/redis/users.acl: what its other users can do, and what nobody can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from stream_app.cli.program import run
from stream_app.features.table import ACCOUNT, LAYOUT, states_of
from stream_app.segments.snapshot import write_snapshot
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Commit
from stream_app.streams.redis_store import RedisStore
from tests.access.test_redis_users import REFUSED, USERS, commands, settings
from tests.engine.scenario import QUIET_OR_BUSY
from tests.models import save_model
from tests.services import Service
from tests.services.redis_users import METRICS, READER, as_user


@pytest.mark.integration
@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "KEYS *",
        "SCAN 0",
        "DEL sa:{3}:state",
        "GET other:key",
        "SET other:key x",
        "HGETALL other:{3}:state",
        "EVAL return(redis.call('GET','other:key')) 0",
        "EVAL return(redis.call('KEYS','*')) 0",
        "ACL WHOAMI",
        "ACL LIST",
        "CLIENT LIST",
        "MONITOR",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "SAVE",
        "MODULE LIST",
        "SCRIPT FLUSH",
        "PUBLISH sa:channel x",
    ],
)
@pytest.mark.parametrize("name", USERS)
def test_nobody_can_do_anything_else(
    own_redis: Service, admin: Redis, name: str, command: str
) -> None:
    with (
        Redis.from_url(as_user(own_redis.url, name)) as client,
        pytest.raises(Exception, match=REFUSED),
    ):
        client.execute_command(*command.split())


@pytest.mark.integration
def test_nobody_gets_in_without_a_password(own_redis: Service, admin: Redis) -> None:
    url = own_redis.url.replace(own_redis.url.split("//")[1].rpartition("@")[0] + "@", "")
    with Redis.from_url(url) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    with (
        Redis.from_url(url, username="default", password="") as default,
        pytest.raises(AuthenticationError),
    ):
        default.ping()


# Reading


@pytest.fixture
async def reader(
    own_redis: Service, admin: Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The settings of the reader, for a Redis with a model and one account in it, which is a
    target."""
    store = RedisStore(settings(own_redis))
    await store.register(8, LAYOUT)
    partition = partition_of(b"acme", 8)
    at = (await store.claim(partition, "owner")).position
    (state,) = states_of(np.zeros(1, ACCOUNT))
    await store.commit(partition, Commit(at, {}, 0, 0, states=[("acme", state)]))
    await save_model(store, QUIET_OR_BUSY.version, write_snapshot(QUIET_OR_BUSY), b"")
    await store.stop()
    admin.script_flush()
    (tmp_path / "targets").write_text("acme", encoding="utf-8")
    monkeypatch.setenv("STREAM_APP_HEALTH__TARGET_FILE", str(tmp_path / "targets"))
    monkeypatch.setenv("STREAM_APP_REDIS__URL", as_user(own_redis.url, READER))


def asked() -> list[int]:
    """Exit codes of what a person asks with."""
    return [run(["segments", "--json"]), run(["account", "acme", "--json"])]


@pytest.mark.integration
@pytest.mark.usefixtures("reader")
def test_the_reader_can_ask(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked() == [0, 0], capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("command", commands(READER))
def test_the_reader_needs_each_of_its_commands(
    admin: Redis, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    admin.execute_command("ACL", "SETUSER", READER, f"-{command}")
    try:
        assert 3 in asked()
    finally:
        admin.execute_command("ACL", "SETUSER", READER, f"+{command}")
    assert "deploy/redis/users.acl" in capsys.readouterr().err


@pytest.mark.integration
def test_metrics_see_numbers_and_no_data(own_redis: Service, admin: Redis) -> None:
    admin.set("sa:deployment", "{}")
    with Redis.from_url(as_user(own_redis.url, METRICS)) as client:
        assert client.ping()
        assert client.info()["redis_version"]
        with pytest.raises(NoPermissionError):
            client.get("sa:deployment")
