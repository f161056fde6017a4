"""`dlq` beside a real worker: what it refused is found, shown, and put back after a fix."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.streams import topics
from stream_app.streams.ports import Message
from tests.cli.conftest import NOWHERE, Cli
from tests.cli.stack import Stack, until, visit
from tests.services.redis_users import READER, as_user

VISITS = topics.WEBSITE_VISITS.name
CONTROL = topics.ACCOUNT_CONTROL.name


def listed(cli: Cli, stack: Stack, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = cli("dlq", "list", "--json", *options, **stack.environment).json
    return found


def pages(cli: Cli, stack: Stack, category: str) -> float:
    """How many pages of a category acme has seen. Decays within weeks, not within this test."""
    shown = cli("account", "acme", "--json", **stack.environment)
    seen: float = shown.json["now"]["features"][f"{category}_pages_28d"]
    return seen


def test_a_letter_is_replayed_after_a_fix_and_counts_once(cli: Cli, stack: Stack) -> None:
    environment = stack.environment
    large = visit("acme", "e-2", page_category="pricing", padding="x" * 2_000)
    with stack.worker(STREAM_APP_INPUT__MAX_RECORD_BYTES="1024"):
        stack.publish(
            visit("acme", "e-1", page_category="pricing"),
            Message(large.topic, large.key, large.value, (("trace", b"7"), ("trace", b"\xff"))),
            Message(VISITS, b"acme", b"{]\x1b[31m"),
            Message(CONTROL, b"acme", b'{"type":"account.forget"}'),
        )
        until(lambda: listed(cli, stack)["total"] == 3, "three letters")

        report = listed(cli, stack)
        prefix = stack.kafka.topic_prefix
        counted = [(each["reason"], each["topic"], each["letters"]) for each in report["counts"]]
        assert sorted(counted) == [
            ("not_json", f"{prefix}{VISITS}", 1),
            ("too_large", f"{prefix}{VISITS}", 1),
            ("unknown_type", f"{prefix}{CONTROL}", 1),
        ]
        only = listed(cli, stack, "--reason", "too_large", "--topic", VISITS, "--since", "1h")
        (letter,) = only["letters"]
        assert (letter["account"], letter["fate"]) == ("acme", "open")
        assert listed(cli, stack, "--since", "2099-01-01")["total"] == 0
        assert listed(cli, stack, "--account", "globex")["total"] == 0
        assert len(listed(cli, stack, "--limit", "1")["letters"]) == 1

        shown = cli("dlq", "show", letter["id"], "--json", **environment).json
        assert json.loads(shown["value"]["text"]) == json.loads(large.value or b"")
        assert shown["key"] == {"text": "acme"}
        assert shown["original_headers"] == [
            {"name": "trace", "text": "7"},
            {"name": "trace", "base64": "/w=="},
        ]
        # The worker refuses it still, and this program knows, if it has the same settings.
        small = {**environment, "STREAM_APP_INPUT__MAX_RECORD_BYTES": "1024"}
        again = cli("dlq", "replay", letter["id"], "--yes", "--json", **small)
        assert again.code == 1
        assert again.json["refused"] == {"too_large": 1}

    # Named, because what `cli` sets stays in the environment of the processes that follow.
    fixed = {**environment, "STREAM_APP_INPUT__MAX_RECORD_BYTES": "262144"}
    with stack.worker(STREAM_APP_INPUT__MAX_RECORD_BYTES="262144"):
        one = pages(cli, stack, "pricing")
        planned = cli("dlq", "replay", letter["id"], "--dry-run", "--json", **fixed).json
        assert (planned["ready"], planned["sent"], planned["dry_run"]) == (1, 0, True)
        done = cli("dlq", "replay", letter["id"], "--yes", "--json", **fixed)
        assert (done.code, done.json["sent"]) == (0, 1)
        until(lambda: pages(cli, stack, "pricing") > 1.5 * one, "the event is applied")

        # Whatever comes again: the account has had it.
        assert cli("dlq", "replay", letter["id"], "--yes", "--json", **fixed).json["sent"] == 0
        stack.publish(large, visit("acme", "e-3", page_category="product"))
        until(lambda: pages(cli, stack, "product") > 0, "the marker is applied")
        assert pages(cli, stack, "pricing") == pytest.approx(2 * one, rel=1e-3)
    assert letter["id"] not in {each["id"] for each in listed(cli, stack)["letters"]}
    assert listed(cli, stack)["hidden"] == {"replayed": 1, "erased": 0}
    fates = {each["id"]: each["fate"] for each in listed(cli, stack, "--all")["letters"]}
    assert (len(fates), fates[letter["id"]]) == (3, "replayed")


def test_letters_of_an_erased_account_are_out_of_sight(cli: Cli, stack: Stack) -> None:
    environment = stack.environment
    with stack.worker():
        stack.publish(visit("acme", "e-1"), Message(VISITS, b"acme", b"{]"))
        until(lambda: listed(cli, stack)["total"] == 1, "the letter")
        (letter,) = listed(cli, stack)["letters"]
        erase = {"type": "account.erase", "id": "c-1", "occurred_at": "2026-09-02T12:00:00Z"}
        value = json.dumps({**erase, "account_id": "acme"}).encode()
        stack.publish(Message(CONTROL, b"acme", value))
        until(lambda: listed(cli, stack)["hidden"]["erased"] == 1, "the erasure")
    assert listed(cli, stack)["letters"] == []
    assert cli("dlq", "show", letter["id"], **environment).code == 6
    assert "{]" in cli("dlq", "show", letter["id"], "--erased", **environment).out
    forced = cli("dlq", "replay", letter["id"], "--yes", "--force", "--json", **environment)
    assert (forced.json["sent"], forced.json["left"]["erased"]) == (0, 1)


def test_a_refused_erasure_is_replayed_only_when_it_is_named(cli: Cli, stack: Stack) -> None:
    erase = {"type": "account.erase", "id": "c-1", "account_id": "acme", "padding": "x" * 2_000}
    value = json.dumps({**erase, "occurred_at": "2026-09-02T12:00:00Z"}).encode()
    fixed = {**stack.environment, "STREAM_APP_INPUT__MAX_RECORD_BYTES": "262144"}
    with stack.worker(STREAM_APP_INPUT__MAX_RECORD_BYTES="1024"):
        stack.publish(visit("acme", "e-1"), Message(CONTROL, b"acme", value))
        until(lambda: listed(cli, stack)["total"] == 1, "the letter")
    swept = cli("dlq", "replay", "--all", "--yes", "--json", **fixed)
    assert (swept.code, swept.json["sent"], swept.json["control_left"]) == (0, 0, 1)
    assert len(stack.read(topics.ACCOUNT_CONTROL)) == 1
    planned = cli("dlq", "replay", "--topic", CONTROL, "--dry-run", **fixed)
    assert "1 of them erases an account or a contact" in planned.out
    named = cli("dlq", "replay", "--topic", CONTROL, "--yes", "--json", **fixed)
    assert (named.json["sent"], named.json["erasures"]) == (1, 1)
    assert len(stack.read(topics.ACCOUNT_CONTROL)) == 2


def test_nothing_in_a_letter_reaches_the_terminal_as_it_is(cli: Cli, stack: Stack) -> None:
    evil = "\x1b]0;owned\x07[bold]\u202e"
    event = json.dumps({"account_id": evil, "x": evil}, ensure_ascii=False).encode()
    with stack.worker():
        stack.publish(
            Message(VISITS, evil.encode(), b"{]" + evil.encode(), ((evil, evil.encode()),)),
            Message(VISITS, b"\xff", event),
        )
        until(lambda: listed(cli, stack)["total"] == 2, "the letters")
    shown = cli("dlq", "list", **stack.environment)
    text = shown.out
    for letter in listed(cli, stack)["letters"]:
        text += cli("dlq", "show", letter["id"], **stack.environment).out
    assert text.isascii() or not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "owned" in text
    assert "[bold]" in text
    assert "base64 /w==" in text


def test_who_only_reads_may_look(cli: Cli, stack: Stack, redis_url: str) -> None:
    with stack.worker():
        stack.publish(Message(VISITS, b"acme", b"{]"))
        until(lambda: listed(cli, stack)["total"] == 1, "the letter")
    reader = {**stack.environment, "STREAM_APP_REDIS__URL": as_user(redis_url, READER)}
    (letter,) = cli("dlq", "list", "--json", **reader).json["letters"]
    assert cli("dlq", "show", letter["id"], **reader).code == 0
    assert cli("dlq", "replay", "--all", "--dry-run", "--json", **reader).json["refused"]


def test_what_is_asked_for_is_missing(cli: Cli, stack: Stack) -> None:
    environment = stack.environment
    nobody = cli("dlq", "list", **environment)
    assert nobody.code == 6
    assert "no worker has run" in nobody.err
    with stack.worker():
        pass
    empty = cli("dlq", "list", **environment)
    assert (empty.code, empty.out) == (0, "0 dead letters\n")
    for command in (("show", "a:1:2"), ("replay", "a:1:2", "--yes")):
        missing = cli("dlq", *command, **environment)
        assert (missing.code, missing.out) == (6, "")
        assert "a:1:2" in missing.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "--yes"), "which letters"),
        (("replay", "--yes", "--all", "a:1:2"), "do not go together"),
        (("replay", "--yes", "--all", "--reason", "empty"), "do not go together"),
        (("replay", "--yes", "a:1:2", "--topic", "x"), "do not go together"),
        (("replay", "--all"), "--yes"),
        (("list", "--reason", "sadness"), "sadness"),
        (("list", "--since", "yesterday"), "2h"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_reached(
    cli: Cli, arguments: tuple[str, ...], said: str
) -> None:
    wrong = cli("dlq", *arguments, STREAM_APP_REDIS__URL=f"redis://{NOWHERE}/0")
    assert wrong.code == 2
    assert said in wrong.err


def test_kafka_away(cli: Cli, stack: Stack) -> None:
    with stack.worker():
        pass
    environment = {**stack.environment, "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": NOWHERE}
    away = cli("dlq", "list", "--json", **environment)
    assert away.code == 5
    assert away.error["type"] == "Unavailable"
