"""`stream-app reconcile`: compare Redis with what is published, and publish the truth once more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from stream_app.settings import Settings
    from stream_app.streams.comparing import Difference
    from stream_app.streams.reconcile import Report


def reconcile(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Have the workers publish once more what is wrong."),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Show so many differences; all are counted.")
    ] = 20,
    wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="How long to wait for a worker."),
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the accounts in Redis with account-segments and segment-changes.

    Works while workers run. Exit code 1: something differs, or could not be decided.

    JSON: `clean`, `accounts` (in Redis), `records` (accounts on account-segments), `changes`
    (records still on segment-changes), `counts` (topic, kind, accounts), `differences` (topic,
    kind, account, stored and published sequence, missing: first and last of each gap,
    repairable), `repaired`, `unrepaired` (accounts by partition that a repair left wrong),
    `undecided`, `waiting` (outbox entries by partition).
    """
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    report = asyncio.run(_run(settings, repair=repair, limit=limit, wait=wait))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(_facts(report))
    else:
        _show(report, repair=repair)
    if not report.clean:
        raise typer.Exit(1)


async def _run(settings: Settings, *, repair: bool, limit: int, wait: float) -> Report:
    from stream_app.cli.stored import registered  # noqa: PLC0415
    from stream_app.streams.clock import SystemClock  # noqa: PLC0415
    from stream_app.streams.kafka_publisher import KafkaPublisher  # noqa: PLC0415
    from stream_app.streams.kafka_reader import KafkaReader  # noqa: PLC0415
    from stream_app.streams.processor import Pipeline  # noqa: PLC0415
    from stream_app.streams.reconcile import Reconciler  # noqa: PLC0415
    from stream_app.streams.redis_store import RedisStore  # noqa: PLC0415

    store = RedisStore(settings.redis)
    reader = KafkaReader(settings.kafka, "stream-app-reconcile")
    publisher = KafkaPublisher(settings.kafka, "stream-app-reconcile")
    try:
        partitions = await registered(store, settings)
        await reader.start()
        reconciler = Reconciler(
            store,
            reader,
            publisher,
            Pipeline(settings).messages,
            SystemClock(),
            topic_prefix=settings.kafka.topic_prefix,
            partitions=partitions,
            patience_seconds=wait,
            limit=limit,
        )
        return await reconciler.run(repair=repair)
    finally:
        await publisher.stop()
        await reader.stop()
        await store.stop()


def _facts(report: Report) -> dict[str, Any]:
    """For JSON."""
    return {
        "clean": report.clean,
        "accounts": report.accounts,
        "records": report.records,
        "changes": report.changes,
        "counts": [
            {"topic": topic, "kind": kind.value, "accounts": accounts}
            for (topic, kind), accounts in report.counts.most_common()
        ],
        "differences": [_fact(each) for each in report.differences],
        "repaired": report.repaired,
        "unrepaired": {str(partition): n for partition, n in report.unrepaired.items()},
        "undecided": report.undecided,
        "waiting": {str(partition): entries for partition, entries in report.waiting.items()},
    }


def _fact(difference: Difference) -> dict[str, Any]:
    return {
        "topic": difference.topic,
        "kind": difference.kind.value,
        "account": difference.account,
        "stored": difference.stored,
        "published": difference.published,
        "missing": difference.missing,
        "repairable": difference.repairable,
    }


def _show(report: Report, *, repair: bool) -> None:
    from stream_app.cli.output import console  # noqa: PLC0415

    screen = console()
    screen.print(
        f"{report.accounts:,} accounts in Redis, {report.records:,} on account-segments, "
        f"{report.changes:,} changes kept"
    )
    if repair:
        screen.print(f"accounts repaired: {report.repaired:,}")
    for partition, entries in report.waiting.items():
        screen.print(f"partition {partition}: {entries:,} messages wait; is a worker running?")
    if report.undecided:
        screen.print(f"{report.undecided:,} accounts could not be decided")
    if report.clean:
        screen.print("no differences", style="bold")
    elif report.counts:
        _show_differences(screen, report)
        for advice in _advice(report, repair=repair):
            screen.print(f"\n{advice}")


def _show_differences(screen: Console, report: Report) -> None:
    from stream_app.cli.output import row, table  # noqa: PLC0415

    counts = table("topic", "difference", "accounts", right=("accounts",))
    for (topic, kind), accounts in report.counts.most_common():
        row(counts, topic, kind.value, accounts)
    rows = table(
        "account", "topic", "difference", "Redis", "Kafka", "missing", right=("Redis", "Kafka")
    )
    for each in report.differences:
        gaps = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in each.missing)
        sequences = ("-" if n is None else n for n in (each.stored, each.published))
        row(rows, each.account, each.topic, each.kind.value, *sequences, gaps)
    for shown in (counts, rows):
        if shown.row_count:
            screen.print()
            screen.print(shown)


def _advice(report: Report, *, repair: bool) -> Iterator[str]:
    """What to do about what differs; docs/operations.md says more."""
    from stream_app.streams.comparing import Kind  # noqa: PLC0415

    kinds = {kind for _, kind in report.counts}
    records = {kind for topic, kind in report.counts if topic == "account-segments"}
    if records - {Kind.UNREADABLE} and not repair:
        yield "`stream-app reconcile --repair` publishes account-segments once more"
    for partition, accounts in report.unrepaired.items():
        yield (
            f"restart the worker that owns partition {partition}, and repair again: of "
            f"{accounts:,} accounts it has something else in memory than Redis has"
        )
    if Kind.UNREADABLE in kinds:
        yield (
            "what Redis has of `unreadable` accounts cannot be read, and no worker starts with "
            "it: see docs/operations.md"
        )
    if Kind.GAP in kinds:
        yield "what segment-changes lacks cannot be made up: see docs/operations.md"
