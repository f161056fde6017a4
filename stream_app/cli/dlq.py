"""`stream-app dlq`: look at dead letters, and put them back on their topics after a fix."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import NotFound, UsageError

if TYPE_CHECKING:
    from stream_app.settings import Settings
    from stream_app.streams.dead_letters import Selection
    from stream_app.streams.letterbox import Found
    from stream_app.streams.redelivery import Tally

dlq = typer.Typer(add_completion=False, help="List, show and replay dead letters.")

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="R", help="Only this reason. Repeatable.")
]
_Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", metavar="T", help="Only from this source topic. Repeatable."),
]
_Account = Annotated[
    str, typer.Option("--account", metavar="ID", help="Only of this account.", show_default=False)
]
_Since = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="2h|INSTANT",
        help="Only those refused since: so many s, m, h or d ago, or an RFC 3339 instant.",
        show_default=False,
    ),
]


@dlq.command("list")
def list_(
    reason: _Reasons = None,
    topic: _Topics = None,
    account: _Account = "",
    since: _Since = "",
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="So many of the newest.")] = 20,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also those that were replayed, and those of erased accounts."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Count dead letters by reason and topic, and list the newest.

    JSON: `total`, `counts` (reason, topic, letters), `letters` (id, at, reason, detail, topic,
    account, fate: open, replayed, uncertain or erased), `hidden` (letters by fate), `unreadable`
    (records that are no dead letters).
    """
    from stream_app.cli.dlq_list import listing, show_listing  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    selection = _selection(settings, (), reason, topic, account, since)
    report = asyncio.run(listing(settings, selection, limit, everything=everything))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(report)
    else:
        show_listing(report)


@dlq.command("show")
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `dlq list` has it.")],
    erased: Annotated[
        bool, typer.Option("--erased", help="Also if its account was erased since.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Show all that is known of one letter: facts, original headers, key and value.

    JSON: `id`, `at`, `reason`, `detail`, `topic`, `stored` (partition, offset of the letter),
    `accounts`, `fate`, `fate_at`, `headers`, `original_headers`, `key`, `value`. Bytes come as
    {"text": …}, or {"base64": …} where they are not UTF-8; null: there is none.
    """
    from stream_app.cli.dlq_show import facts_of, show_letter  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415
    from stream_app.streams.letterbox import Fate  # noqa: PLC0415

    settings = load()
    found = asyncio.run(_find(settings, _selection(settings, (letter_id,))))
    if found is None:
        raise _not_found([letter_id])
    if found.fate is Fate.ERASED and not erased:
        raise NotFound(
            f"the account of {letter_id} was erased after this letter was written",
            hint="its letters are part of its past; --erased shows them while they are kept",
        )
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(facts_of(found))
    else:
        show_letter(found)


@dlq.command("replay")
def replay(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Just these letters.")
    ] = None,
    reason: _Reasons = None,
    topic: _Topics = None,
    account: _Account = "",
    since: _Since = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All letters, but those of account-control.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Send also those of which it is uncertain whether they were."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Send also those that would be refused again.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Put letters back on the topics that they came from, with key, value and headers.

    A letter is sent once, whoever asks how often. Left alone are letters that would be refused
    again, those of accounts erased since, and those of which an earlier replay did not come to its
    end; also those of account-control, which may erase, unless an id or --topic names them. Exit
    code 1: letters were left because they are uncertain or would be refused.

    JSON: `ready`, `sent`, `forced` (of `ready`, would be refused again), `erasures` (of `ready`),
    `control_left` (letters of account-control), `left` (letters by fate), `refused` (letters by
    reason), `refusals` (the first 20: id, reason, detail), `uncertain` (the first 20 ids),
    `dry_run`.
    """
    from stream_app.cli.dlq_replay import report_of, show_tally  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    filters = bool(reason or topic or account or since)
    if bool(ids) + filters + everything != 1:
        raise UsageError(
            "nothing says which letters to replay"
            if not (ids or filters or everything)
            else "ids, filters and --all do not go together",
            hint="give ids, or filters such as --reason, or --all",
        )
    settings = load()
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError("nobody is there to be asked", hint="give --yes, or --dry-run")
    selection = _selection(settings, ids or (), reason, topic, account, since)
    tally = asyncio.run(
        _replay(settings, selection, again=again, force=force, dry_run=dry_run, yes=yes)
    )
    if missing := sorted(set(ids or ()) - tally.found):
        raise _not_found(missing)
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(report_of(tally, dry_run=dry_run))
    else:
        show_tally(tally, dry_run=dry_run)
    if tally.refused or tally.uncertain_left:
        raise typer.Exit(1)


def _selection(
    settings: Settings,
    ids: list[str] | tuple[str, ...],
    reasons: list[str] | None = None,
    topics: list[str] | None = None,
    account: str = "",
    since: str = "",
) -> Selection:
    """What the options mean. Topics may be named without their prefix. Raises UsageError."""
    import time  # noqa: PLC0415

    from stream_app.cli.instants import since_us  # noqa: PLC0415
    from stream_app.events.decode import Reason  # noqa: PLC0415
    from stream_app.streams.dead_letters import Selection  # noqa: PLC0415

    prefix = settings.kafka.topic_prefix
    known = {reason.value for reason in Reason}
    if unknown := [reason for reason in reasons or () if reason not in known]:
        raise UsageError(
            f"there is no reason {unknown[0]!r}", hint=f"it is one of {', '.join(sorted(known))}"
        )
    return Selection(
        ids=frozenset(ids),
        reasons=frozenset(reasons or ()),
        topics=frozenset(t if t.startswith(prefix) else prefix + t for t in topics or ()),
        account=account,
        since_us=since_us(since, time.time_ns() // 1_000) if since else None,
    )


def _not_found(ids: list[str]) -> NotFound:
    return NotFound(
        f"there is no dead letter {', '.join(ids)}",
        hint="`stream-app dlq list --all` has their ids; they are kept for 30 days",
    )


async def _find(settings: Settings, selection: Selection) -> Found | None:
    from stream_app.cli.desk import desk  # noqa: PLC0415

    async with desk(settings) as opened:
        stretches = await opened.letterbox.stretches(selection)
        async for batch in opened.letterbox.read(selection, stretches):
            return batch[0]
    return None


async def _replay(
    settings: Settings, selection: Selection, *, again: bool, force: bool, dry_run: bool, yes: bool
) -> Tally:
    from stream_app.cli.desk import desk  # noqa: PLC0415

    async with desk(settings) as opened:
        redelivery = opened.redelivery(settings, again=again, force=force)
        # Both passes read the same stretches: what a replay leads to is not replayed with it.
        stretches = await opened.letterbox.stretches(selection)
        plan = await redelivery.plan(selection, stretches)
        found = set(selection.ids) <= plan.found
        if dry_run or not plan.ready or not found or not (yes or _confirmed(plan)):
            return plan
        return await redelivery.send(selection, stretches)


def _confirmed(plan: Tally) -> bool:
    from stream_app.cli.dlq_replay import back_on_topics, erasing  # noqa: PLC0415

    question = "Put {} {}?".format(*back_on_topics(plan.ready))
    if plan.erasures:
        question += f" {erasing(plan.erasures)}, and there is no way back."
    return typer.confirm(question, err=True)
