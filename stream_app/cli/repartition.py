"""`stream-app repartition`: move a deployment to more partitions, while no worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import StreamAppError, UsageError

if TYPE_CHECKING:
    from stream_app.settings import Settings
    from stream_app.streams.repartition import Repartition
    from stream_app.streams.survey import Survey

_CLIENT = "stream-app-repartition"


def repartition(
    partitions: Annotated[
        int | None,
        typer.Argument(metavar="PARTITIONS", min=1, help="How many there shall be."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say how things stand and what is in the way; no more.")
    ] = False,
    allow_lag: Annotated[
        bool,
        typer.Option(
            "--allow-lag",
            help="Move although records are unread. None is lost, but of an account that moves "
            "they may be applied after newer ones.",
        ),
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Give up a move that was begun; go back.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove what is kept from before the last move.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Move all accounts to more partitions. Stop the workers first; docs/scaling.md says more.

    A call that was interrupted goes on when it is repeated. The old state is kept in Redis until
    --forget. Exit code 1: workers run, records are unread, or (--check) something is in the way.

    JSON: `partitions`, `before`, `accounts`, `published` (messages that waited in Redis), `changed`
    (false: it had that number already). With --check: `partitions`, `before`, `moving` (whether a
    move is under way), `members`, `topics` (partitions of each), `accounts` and `outbox` (by
    partition), `unread` (topic, partition, records), `obstacles` (type, message, hint). With
    --cancel: `given_up` (partitions; null: nothing was under way). With --forget: `forgotten`.
    """
    from stream_app.settings import load  # noqa: PLC0415

    _refuse_contradictions(partitions, check=check, cancel=cancel, forget=forget)
    settings = load()
    if cancel:
        report = asyncio.run(_cancel(settings))
    elif forget:
        report = asyncio.run(_forget(settings, yes=yes))
    else:
        assert partitions is not None
        report = asyncio.run(
            _look(settings, partitions, allow_lag=allow_lag)
            if check
            else _move(settings, partitions, allow_lag=allow_lag, yes=yes)
        )
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(report)
    else:
        from stream_app.cli.repartition_show import show  # noqa: PLC0415

        show(report)
    if report.get("obstacles"):
        raise typer.Exit(1)


def _refuse_contradictions(
    partitions: int | None, *, check: bool, cancel: bool, forget: bool
) -> None:
    wanted = [partitions is not None, cancel, forget]
    if sum(wanted) != 1:
        raise UsageError(
            "give either a number of partitions, or --cancel, or --forget",
            hint="e.g. stream-app repartition 16 --check",
        )
    if check and partitions is None:
        raise UsageError("--check needs a number of partitions")


async def _look(settings: Settings, partitions: int, *, allow_lag: bool) -> dict[str, Any]:
    from stream_app.cli.repartition_show import facts  # noqa: PLC0415

    async with _opened(settings) as opened:
        survey = await opened.survey(partitions)
        return facts(survey, survey.obstacles(allow_lag=allow_lag))


async def _move(
    settings: Settings, partitions: int, *, allow_lag: bool, yes: bool
) -> dict[str, Any]:
    from stream_app.cli.output import confirm  # noqa: PLC0415

    async with _opened(settings) as opened:
        survey = await opened.survey(partitions)
        for obstacle in survey.obstacles(allow_lag=allow_lag):
            raise obstacle
        if not (yes or survey.done):
            confirm(_question(survey))
        try:
            done = await opened.run(survey, allow_lag=allow_lag)
        except BaseException as error:  # Ctrl-C too
            if opened.begun:
                _say_how_far(error, partitions)
            raise
        return {
            "partitions": partitions,
            "before": survey.deployment.partitions,
            "accounts": done.accounts,
            "published": done.published,
            "changed": not survey.done,
        }


async def _cancel(settings: Settings) -> dict[str, Any]:
    async with _opened(settings) as opened:
        move = await opened.cancel()
        return {"given_up": move.partitions if move else None}


async def _forget(settings: Settings, *, yes: bool) -> dict[str, Any]:
    from stream_app.cli.output import confirm  # noqa: PLC0415

    async with _opened(settings) as opened:
        if not yes:
            confirm("Remove what is kept from before the last move?")
        former = await opened.forget()
        return {"forgotten": former.partitions if former else None}


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Repartition]:
    from stream_app.cli.output import remarks  # noqa: PLC0415
    from stream_app.cli.stored import registered  # noqa: PLC0415
    from stream_app.streams.clock import SystemClock  # noqa: PLC0415
    from stream_app.streams.cluster import KafkaCluster  # noqa: PLC0415
    from stream_app.streams.kafka_publisher import KafkaPublisher  # noqa: PLC0415
    from stream_app.streams.kafka_reader import KafkaReader  # noqa: PLC0415
    from stream_app.streams.redis_store import RedisStore  # noqa: PLC0415
    from stream_app.streams.repartition import Repartition  # noqa: PLC0415
    from stream_app.streams.topics import consumed  # noqa: PLC0415

    topics = consumed(settings.kafka.topic_prefix)
    store = RedisStore(settings.redis)
    reader = KafkaReader(settings.kafka, _CLIENT)
    publisher = KafkaPublisher(settings.kafka, _CLIENT)
    try:
        await store.start()
        await registered(store, settings)
        await reader.start()
        cluster = KafkaCluster(settings.kafka, topics)
        yield Repartition(store, cluster, reader, publisher, SystemClock(), topics, remarks().print)
    finally:
        await publisher.stop()
        await reader.stop()
        await store.stop()


def _question(survey: Survey) -> str:
    before, accounts = survey.deployment.partitions, sum(survey.accounts)
    return (
        f"Move {accounts:,} accounts from {before} to {survey.partitions} partitions? Redis needs "
        "room for a second copy, and Kafka cannot take partitions away again."
    )


def _say_how_far(error: BaseException, partitions: int) -> None:
    """Workers do not start until somebody decides."""
    said = (
        f"the move is not finished: `stream-app repartition {partitions}` goes on with it, "
        "`--cancel` gives it up"
    )
    if isinstance(error, StreamAppError):
        error.args = (f"{error}; {said}",)
    else:
        error.add_note(said)
