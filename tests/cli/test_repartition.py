"""`repartition`: what it asks, refuses and says. What it does: tests/worker, tests/integration."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest
from redis import Redis

from stream_app.cli.repartition_show import facts, show
from stream_app.features.table import LAYOUT
from stream_app.streams.deployment import Deployment, Former, Move
from stream_app.streams.ports import Position
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.survey import Survey
from tests.cli.conftest import NOWHERE, Cli
from tests.cli.stack import PARTITIONS, Stack

FOUR = Deployment(partitions=4, layout=LAYOUT)


def survey(partitions: int = 8, **changes: object) -> Survey:
    """Of a deployment with nothing in the way, but for what is named."""
    given = {
        "partitions": partitions,
        "deployment": FOUR,
        "members": 0,
        "topics": {"website-visits": 4, "engagement": 4},
        "positions": tuple(Position(1) for _ in range(4)),
        "accounts": (250_000, 1, 2, 3),
        "outbox": (0, 0, 7, 0),
        "unread": {},
    }
    return Survey(**{**given, **changes})  # type: ignore[arg-type]


def register(stack: Stack, layout: str = LAYOUT) -> None:
    """As the first start of a worker does it."""

    async def run() -> None:
        store = RedisStore(stack.redis)
        await store.register(PARTITIONS, layout)
        await store.stop()

    asyncio.run(run())


# Wrong calls


@pytest.mark.parametrize(
    "arguments",
    [(), ("8", "--cancel"), ("--cancel", "--forget"), ("--check",), ("8", "--forget"), ("0",)],
)
def test_a_call_that_makes_no_sense(cli: Cli, arguments: tuple[str, ...]) -> None:
    refused = cli("repartition", *arguments, "--json")
    assert refused.code == 2
    assert refused.out == ""


def test_nothing_is_done_without_a_confirmation(cli: Cli, stack: Stack) -> None:
    register(stack)
    for arguments in (("4",), ("--forget",)):
        refused = cli("repartition", *arguments, "--json", **stack.environment)
        assert refused.code == 2
        assert "--yes" in refused.error["hint"]
    assert cli("repartition", "--forget", "--yes", "--json", **stack.environment).json == {
        "forgotten": None
    }


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("", 1), ("yes\n", 0)])
def test_it_asks(
    cli: Cli, stack: Stack, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    register(stack)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    asked = cli("repartition", "4", **stack.environment)
    assert asked.code == code
    assert "from 2 to 4 partitions? Redis needs room for a second copy" in asked.err
    assert ("nothing was changed" in asked.err) == bool(code)
    if not code:
        assert "0 accounts are in 4 partitions; start the workers" in asked.out
        assert "4 partitions are in use" in asked.err


# What is not there, or is another program's


def test_nothing_is_stored(cli: Cli, stack: Stack) -> None:
    assert cli("repartition", "4", "--check", "--json", **stack.environment).code == 6


def test_another_layout_is_refused(cli: Cli, stack: Stack) -> None:
    register(stack, "another layout")
    for arguments in (("4", "--yes"), ("--cancel",), ("--forget", "--yes")):
        refused = cli("repartition", *arguments, "--json", **stack.environment)
        assert refused.code == 4
        assert "another layout" in refused.error["message"]


def test_servers_that_are_away(cli: Cli, stack: Stack) -> None:
    away = {**stack.environment, "STREAM_APP_REDIS__URL": f"redis://{NOWHERE}/0"}
    assert cli("repartition", "4", "--check", "--json", **away).code == 5
    register(stack)
    away = {**stack.environment, "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": NOWHERE}
    assert cli("repartition", "4", "--check", "--json", **away).code == 5


def test_an_interrupted_move_says_how_to_go_on(cli: Cli, stack: Stack) -> None:
    """Here because Redis has accounts of which one cannot be read."""
    register(stack)
    with Redis.from_url(stack.environment["STREAM_APP_REDIS__URL"]) as client:
        client.hset(f"{stack.redis.prefix}:{{1}}:state", "acme", b"damaged")
    failed = cli("repartition", "4", "--yes", "--json", **stack.environment)
    assert failed.code == 4
    assert "partition 1" in failed.error["message"]
    assert "`--cancel` gives it up" in failed.error["message"]
    looked = cli("repartition", "4", "--check", "--json", **stack.environment)
    assert (looked.code, looked.json["moving"]) == (0, True)
    given_up = cli("repartition", "--cancel", **stack.environment)
    assert "the move to 4 partitions was given up" in given_up.out


# What people see


def test_a_check_shows_where_everything_goes(capsys: pytest.CaptureFixture[str]) -> None:
    show(facts(survey(), []))
    shown = capsys.readouterr().out
    assert "from 4 to 8 partitions" in shown
    assert "250,000" in shown
    assert "2, 6" in shown
    assert "250,006 accounts to move" in shown
    assert "7 messages to publish" in shown
    assert "nothing is in the way" in shown


def test_a_check_shows_what_is_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    unread = {("website-visits", 1): 3_000, ("website-visits", 2): 5, ("engagement", 0): 1}
    former = Deployment(partitions=4, layout=LAYOUT, former=Former(partitions=2, generation=0))
    looked = survey(6, members=2, unread=unread, topics={"engagement": 9}, deployment=former)
    show(facts(looked, looked.obstacles()))
    shown = capsys.readouterr().out
    assert "workers are in the group: 2" in shown
    assert "3,006 records are not applied yet: website-visits 3,005, engagement 1" in shown
    assert "engagement has 9" in shown
    assert "2 partitions before the last move is still kept" in shown
    assert "all" in shown, "with 6 partitions, accounts of each go everywhere"
    assert "nothing is in the way" not in shown


def test_fewer_partitions_are_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    looked = survey(2)
    show(facts(looked, looked.obstacles()))
    assert "cannot take any away" in capsys.readouterr().out


def test_what_is_under_way_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    moving = FOUR.moving(Move(partitions=8, generation=1))
    show(facts(survey(deployment=moving), []))
    assert "which is under way" in capsys.readouterr().out
