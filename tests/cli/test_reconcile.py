"""`reconcile` beside a real worker: what is wrong on Kafka is named, and repaired."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from redis import Redis

from stream_app.changes.types import AccountSegment
from stream_app.cli.reconcile import _show
from stream_app.streams import topics
from stream_app.streams.comparing import Difference, Kind
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message
from stream_app.streams.reconcile import Report
from tests.cli.conftest import NOWHERE, Cli, Result
from tests.cli.stack import PARTITIONS, Stack, until, visit
from tests.integration.test_real_input import worker_process

SEGMENTS = topics.ACCOUNT_SEGMENTS.name
CHANGES = topics.SEGMENT_CHANGES.name
ACCOUNTS = [f"account-{n}" for n in range(12)]


def reconcile(cli: Cli, stack: Stack, *options: str) -> Result:
    return cli("reconcile", "--json", *options, **stack.environment)


def newest(stack: Stack) -> dict[str, bytes | None]:
    return {record.key.decode(): record.value for record in stack.read(topics.ACCOUNT_SEGMENTS)}


def differences(result: Result) -> list[tuple[str, str, str, int | None, int | None]]:
    keys = ("account", "topic", "kind", "stored", "published")
    found: list[dict[str, Any]] = result.json["differences"]
    return sorted(tuple(each[key] for key in keys) for each in found)  # type: ignore[misc]


def test_what_is_wrong_is_named_and_repaired(cli: Cli, stack: Stack) -> None:
    with stack.worker():
        stack.publish(*[visit(account, f"e-{account}") for account in ACCOUNTS])
        until(lambda: len(newest(stack)) == len(ACCOUNTS), "every account is published")
        clean = reconcile(cli, stack)
        assert (clean.code, clean.json["clean"]) == (0, True)
        assert [clean.json[name] for name in ("accounts", "records", "changes")] == [12] * 3

        late, none, ghost, skips = "account-1", "account-2", "nobody", "account-3"
        standing = newest(stack)[late]
        assert standing is not None
        (change,) = [r for r in stack.read(topics.SEGMENT_CHANGES) if r.key == skips.encode()]
        stack.publish(
            Message(SEGMENTS, late.encode(), standing.replace(b'"sequence":1', b'"sequence":0')),
            Message(SEGMENTS, none.encode(), None),
            Message(SEGMENTS, ghost.encode(), standing),
            Message(
                CHANGES,
                change.key,
                change.value.replace(b'"sequence":1', b'"sequence":3'),
                change.headers,
            ),
        )
        wrong = reconcile(cli, stack)
        assert wrong.code == 1
        lasting = [(skips, CHANGES, "ahead", 1, 3), (skips, CHANGES, "gap", 1, 3)]
        assert differences(wrong) == [
            (late, SEGMENTS, "stale", 1, 0),
            (none, SEGMENTS, "missing", 1, None),
            *lasting,
            (ghost, SEGMENTS, "ghost", None, 1),
        ]
        shown = cli("reconcile", **stack.environment)
        assert shown.code == 1
        assert "--repair" in shown.out
        assert max(map(len, shown.out.splitlines())) <= 120

        repaired = reconcile(cli, stack, "--repair")
        assert (repaired.code, repaired.json["repaired"]) == (1, 3)
        assert differences(repaired) == lasting
        assert [each["missing"] for each in repaired.json["differences"]] == [[[2, 2]], []]
    last = newest(stack)
    assert last[ghost] is None
    for account in (late, none):
        assert msgspec.json.decode(last[account] or b"", type=AccountSegment).sequence == 1
    # Nothing of it needs a worker, but the repair.
    assert differences(reconcile(cli, stack)) == lasting
    stack.publish(Message(SEGMENTS, ghost.encode(), standing))
    nobody = reconcile(cli, stack, "--repair", "--wait", "1")
    assert nobody.code == 5
    assert "no worker has taken" in nobody.error["message"]


def shown(capsys: pytest.CaptureFixture[str], *kinds: tuple[str, Kind], **facts: Any) -> str:
    """What is printed of a report, in one line."""
    report = Report(
        counts=Counter(kinds),
        differences=[Difference(topic, kind, "acme", 1, 2) for topic, kind in kinds],
        **facts,
    )
    _show(report, repair="repaired" in facts)
    return " ".join(capsys.readouterr().out.split())


LACKS, ASK, RESTART, LOOK = "cannot be made up", "--repair", "restart the worker", "cannot be read"


@pytest.mark.parametrize(
    ("kinds", "facts", "advice"),
    [
        ([(CHANGES, Kind.GAP)], {}, {LACKS}),
        ([(CHANGES, Kind.AHEAD)], {}, set()),
        ([(CHANGES, Kind.DIFFERS)], {}, set()),
        ([(SEGMENTS, Kind.GHOST), (CHANGES, Kind.AHEAD)], {}, {ASK}),
        ([(SEGMENTS, Kind.GHOST)], {"repaired": 0, "unrepaired": {3: 1}}, {RESTART}),
        ([(SEGMENTS, Kind.GHOST)], {"repaired": 1}, set()),
        ([(SEGMENTS, Kind.UNREADABLE)], {}, {LOOK}),
        ([(SEGMENTS, Kind.UNREADABLE)], {"repaired": 0}, {LOOK}),
        ([(SEGMENTS, Kind.UNREADABLE), (SEGMENTS, Kind.STALE)], {}, {LOOK, ASK}),
    ],
)
def test_the_advice_fits_what_differs(
    capsys: pytest.CaptureFixture[str],
    kinds: list[tuple[str, Kind]],
    facts: dict[str, Any],
    advice: set[str],
) -> None:
    text = shown(capsys, *kinds, **facts)
    assert {each for each in (LACKS, ASK, RESTART, LOOK) if each in text} == advice
    if RESTART in advice:
        assert "restart the worker that owns partition 3" in text


def test_an_unreadable_state_by_hand(cli: Cli, stack: Stack) -> None:
    """By way of Redis and a worker process; the worker that owns it has it in memory."""
    with stack.worker():
        stack.publish(visit("acme", "e-1"))
        until(lambda: "acme" in newest(stack), "the account is published")
        clean = reconcile(cli, stack)
        assert clean.code == 0
    partition = partition_of(b"badone", PARTITIONS)
    key = f"{stack.redis.prefix}:{{{partition}}}:state"
    with Redis.from_url(stack.redis.url.get_secret_value()) as client:
        client.hset(key, "badone", "xx")
    wrong = reconcile(cli, stack)
    assert wrong.code == 1
    assert differences(wrong) == [("badone", SEGMENTS, "unreadable", None, None)]
    log = stack.folder / "refused.log"
    with worker_process(stack.environment, log) as process:
        assert process.wait(60) == 4, log.read_text()
    assert f"partition {partition}: the state of account 'badone' has 2 bytes" in log.read_text()


def test_nobody_to_compare_with(cli: Cli, stack: Stack) -> None:
    nobody = reconcile(cli, stack)
    assert (nobody.code, nobody.error["type"]) == (6, "NotFound")
    with stack.worker():
        pass
    empty = cli("reconcile", **stack.environment)
    assert (empty.code, empty.out.splitlines()[-1]) == (0, "no differences")
    away = {**stack.environment, "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": NOWHERE}
    assert cli("reconcile", "--json", **away).error["type"] == "Unavailable"
    other = {**stack.environment, "STREAM_APP_KAFKA__TOPIC_PREFIX": "missing."}
    missing = cli("reconcile", "--json", **other)
    assert (missing.code, json.loads(missing.err)["error"]["type"]) == (4, "Incompatible")
