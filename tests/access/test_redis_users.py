"""deploy/redis/users.acl: the user of workers can do its work, and needs each right that it has."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from stream_app.cli.checks.redis import redis_checks
from stream_app.errors import ConfigError
from stream_app.features.table import LAYOUT
from stream_app.settings import RedisSettings
from stream_app.streams.deployment import Move
from stream_app.streams.ports import Commit, StateStore
from stream_app.streams.redis_store import RedisStore
from tests.models import save_model
from tests.services import Service
from tests.services.redis_users import FOLDER, METRICS, OPERATOR, READER, WORKER, as_user, rules

TEMPLATE = (FOLDER / "users.acl").read_text()
EVERYWHERE = re.sub(r"\(.*\)", "", TEMPLATE)
"""Without the rights on some keys alone."""
USERS = re.findall(r"^user (\S+) on ", TEMPLATE, re.MULTILINE)
REFUSED = r"(?i)perm|can't run|can't access"
P = 3
MARKS = "(~sa:{dlq}:* +set)"
MODELS = "(~sa:{model}:registry ~sa:{model}:snapshots +hset +hdel)"
"""What an operator may write."""


def commands(name: str) -> list[str]:
    """What a user may do on all its keys, e.g. `hset`."""
    return [rule[1:] for rule in rules(name, EVERYWHERE) if rule.startswith("+")]


# The file


def test_nobody_has_more_than_it_needs() -> None:
    assert USERS == [WORKER, READER, OPERATOR, METRICS]
    for name in USERS:
        given = rules(name, EVERYWHERE)
        assert "-@all" in given
        assert "resetchannels" in given
        assert not [rule for rule in given if rule.startswith("+@") or "nopass" in rule]
        keys = [rule for rule in given if rule.startswith(("~", "%", "allkeys"))]
        assert keys == ([] if name == METRICS else ["~sa:*"])
    writing = {"set", "hset", "hdel", "rpush", "ltrim"}
    assert not writing & {*commands(READER), *commands(OPERATOR), *commands(METRICS)}
    assert re.findall(r"^user (\S+) .*?(\(.*)", TEMPLATE, re.MULTILINE) == [
        (OPERATOR, f"{MARKS} {MODELS}")
    ]


def test_the_default_user_is_off() -> None:
    (line,) = re.findall(r"^user default (.*)$", TEMPLATE, re.MULTILINE)
    assert line.split()[0] == "off"


@pytest.mark.integration
def test_redis_does_not_start_with_the_template(own_redis: Service, admin: Redis) -> None:
    """So nobody runs it with passwords that everybody knows."""
    hashes = set(re.findall(r"#(\S+)", TEMPLATE))
    assert len(hashes) == len(USERS)
    for placeholder in hashes:
        with pytest.raises(Exception, match=r"(?i)hash"):
            admin.execute_command("ACL", "SETUSER", "x", f"#{placeholder}")


def test_the_script_takes_another_prefix_and_refuses_an_empty_password(tmp_path: Any) -> None:
    for name in USERS:
        (tmp_path / name).write_text(f"secret-of-{name}\n")
    call = ["/bin/sh", str(FOLDER / "users.sh"), str(tmp_path), "staging"]
    made = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert "~staging:*" in made
    ours = f" {MARKS} {MODELS}".replace("sa:", "staging:")
    assert ours in made
    old = subprocess.run([*call, "6.2.5"], capture_output=True, text=True, check=True).stdout
    assert old == made.replace(ours, ""), "6.2 knows no selectors"
    assert "~sa:" not in made
    assert "secret-of" not in made
    assert "SHA256_OF" not in made
    (tmp_path / USERS[0]).write_text("\n")
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{USERS[0]} is empty" in done.stderr


# The worker


async def everything(store: RedisStore) -> None:
    """Every call that a store has, each with something in it."""
    await store.start()
    await store.register(8, LAYOUT)
    assert await store.deployment() == (8, LAYOUT)
    at = (await store.claim(P, "owner")).position
    full = Commit(
        at,
        {"a": 1},
        model_version=0,
        outbox_first=0,
        states=[("acme", b"x"), ("globex", b"y")],
        profiles=[("acme", b"{}")],
        removed=["initech"],
        outbox=[b"1", b"2"],
        names=[(7, "pricing")],
        erased=[("digest", b"{}")],
        summary=b"{}",
    )
    at = await store.commit(P, full)
    assert (await store.claim(P, "other")).outbox == (b"1", b"2")
    at = await store.position(P)
    await store.trim(P, at.epoch, 1)
    assert await store.outbox_length(P) == 1
    assert [pair async for chunk in store.load(P) for pair in chunk]
    assert await store.account(P, "acme") == (b"x", b"{}")
    assert await store.profiles(P, ["acme"]) == [b"{}"]
    assert await store.names(P) == {7: "pricing"}
    assert await store.erased(P, "digest") == b"{}"
    assert await store.summaries(8)
    assert await save_model(store, 1, b"{}", b"{}")
    assert (await store.registry()).newest == 1
    assert await store.snapshot() == (1, b"{}")
    await store.save_trainer_checkpoint(b"{}")
    assert await store.trainer_checkpoint() == b"{}"
    await store.stop()


async def test_everything_is_every_call_of_the_port(
    own_redis: Service, admin: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is added to the port must be added above, or its rights are not tested."""
    called: set[str] = set()

    class Recorded(RedisStore):
        def __getattribute__(self, name: str) -> Any:
            called.add(name)
            return super().__getattribute__(name)

    await everything(Recorded(settings(own_redis)))
    port = {name for name, _ in inspect.getmembers(StateStore, inspect.isfunction)}
    assert {name for name in port if not name.startswith("_")} <= called


def settings(service: Service, name: str = WORKER) -> RedisSettings:
    return RedisSettings(url=SecretStr(as_user(service.url, name)))


@pytest.mark.integration
async def test_the_worker_can_do_all_its_work(own_redis: Service, admin: Redis) -> None:
    admin.execute_command("ACL", "LOG", "RESET")
    await everything(RedisStore(settings(own_redis)))
    checks, reached = await redis_checks(settings(own_redis))
    assert reached
    assert [check for check in checks if check.ok is not True] == []
    assert admin.execute_command("ACL", "LOG") == [], "it never asked for what it may not"


async def test_the_worker_can_move_a_deployment(own_redis: Service, admin: Redis) -> None:
    """`stream-app repartition` needs nobody else."""
    admin.execute_command("ACL", "LOG", "RESET")
    await everything(RedisStore(settings(own_redis)))
    store = RedisStore(settings(own_redis))
    before = await store.deployed()
    assert before is not None
    assert await store.redeploy(before, before.moving(Move(partitions=16, generation=1)))
    assert (await store.close(P, "repartition")).erased
    await store.reopen(P)
    assert await store.size(P) == 2
    await store.generation(1).claim(P, "repartition")
    await store.clear(P)
    assert await store.size(P) == 0
    await store.stop()
    assert admin.execute_command("ACL", "LOG") == []


@pytest.mark.integration
@pytest.mark.parametrize("command", commands(WORKER))
async def test_the_worker_needs_each_of_its_commands(
    own_redis: Service, admin: Redis, command: str
) -> None:
    # `time` is asked for by `doctor` and by a script, scripts by EVALSHA and, once, by EVAL.
    admin.script_flush()
    admin.execute_command("ACL", "SETUSER", WORKER, f"-{command}")
    store = RedisStore(settings(own_redis))
    try:
        with pytest.raises(ConfigError, match=REFUSED):
            await everything(store)
    finally:
        await store.stop()
        admin.execute_command("ACL", "SETUSER", WORKER, f"+{command}")


@pytest.mark.integration
@pytest.mark.parametrize("command", [c for c in commands(WORKER) if c not in {"ping", "info"}])
async def test_no_command_is_needed_by_the_check_at_the_start_alone(
    own_redis: Service, admin: Redis, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisStore, "start", _nothing)
    await test_the_worker_needs_each_of_its_commands(own_redis, admin, command)


async def _nothing(_: RedisStore) -> None: ...


# What a disabled default user costs


@pytest.mark.integration
async def test_commits_survive_a_restart(own_redis: Service, admin: Redis) -> None:
    """Redis 7 reads the append-only file as the user `default`, and drops transactions that
    this user may not do, without an error: all of ours."""
    store = RedisStore(settings(own_redis))
    at = (await store.claim(P, "owner")).position
    commit = Commit(at, {"a": 1}, 0, 0, states=[("acme", b"x")], outbox=[b"1"], summary=b"{}")
    at = await store.commit(P, commit)
    await asyncio.to_thread(own_redis.stop)
    await asyncio.to_thread(own_redis.start)
    assert await store.position(P) == at
    assert await store.account(P, "acme") == (b"x", None)
    await store.stop()
