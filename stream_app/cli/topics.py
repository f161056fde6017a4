"""`stream-app topics`: create the Kafka topics, let them grow, list them, or print who needs which
rights."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

topics = typer.Typer(
    add_completion=False, help="Create or list the Kafka topics, or print their ACLs."
)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@topics.command("create")
def create(
    replication_factor: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Copies of each partition. Default: 3, or as many as there are brokers.",
            show_default=False,
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of each topic but those that must have one. Once accounts have state it changes "
            "only by `stream-app repartition`. Default: 8, or what existing input topics have.",
            show_default=False,
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Create the topics that do not exist, with sensible settings; leave the others as they are.

    JSON: `created` (name, partitions), `existing` (names), `replication_factor`.
    """
    from stream_app.settings import load  # noqa: PLC0415
    from stream_app.streams.kafka_admin import create_topics  # noqa: PLC0415
    from stream_app.streams.topics import with_prefix  # noqa: PLC0415

    kafka = load().kafka
    done = asyncio.run(
        create_topics(
            kafka,
            with_prefix(kafka.topic_prefix),
            partitions=partitions,
            replication_factor=replication_factor,
        )
    )
    from stream_app.cli.output import console, print_json, row, table  # noqa: PLC0415

    if as_json:
        created = [{"name": topic.name, "partitions": topic.partitions} for topic in done.created]
        factor = done.replication_factor
        existing = list(done.existing)
        print_json({"created": created, "existing": existing, "replication_factor": factor})
        return
    rows = table("topic", "partitions", "", right=("partitions",))
    for topic in done.created:
        row(rows, topic.name, topic.partitions, "created")
    for name in done.existing:
        row(rows, name, "", "existed, left as it is", style="dim")
    console().print(rows)


@topics.command("grow")
def grow(
    partitions: Annotated[int, typer.Argument(min=1, help="How many each shall have.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Add partitions to the topics that workers read. A step of `stream-app repartition`.

    That command does it itself where its user of Kafka may. At any other time this stops all
    workers, and they start again only after a move of the state. JSON: `topics` (partitions of
    each).
    """
    from stream_app.cli.output import confirm  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415
    from stream_app.streams.cluster import KafkaCluster  # noqa: PLC0415
    from stream_app.streams.topics import consumed  # noqa: PLC0415

    kafka = load().kafka
    names = consumed(kafka.topic_prefix)
    if not yes:
        confirm(f"Give {len(names)} topics {partitions} partitions? Kafka cannot take them away.")

    async def run() -> dict[str, int]:
        cluster = KafkaCluster(kafka, names)
        await cluster.grow(partitions)
        return dict(await cluster.partitions())

    counts = asyncio.run(run())
    from stream_app.cli.output import console, print_json, row, table  # noqa: PLC0415

    if as_json:
        print_json({"topics": counts})
        return
    rows = table("topic", "partitions", right=("partitions",))
    for name, count in counts.items():
        row(rows, name, count)
    console().print(rows)


@topics.command("list")
def list_(as_json: _Json = False) -> None:
    """List the topics of this program: their role, and whether Kafka has them.

    JSON: `topics` (name, role, partitions; null where Kafka has no such topic, meaning).
    """
    from stream_app.settings import load  # noqa: PLC0415
    from stream_app.streams.kafka_admin import partition_counts  # noqa: PLC0415
    from stream_app.streams.topics import with_prefix  # noqa: PLC0415

    kafka = load().kafka
    wanted = with_prefix(kafka.topic_prefix)
    counts = asyncio.run(partition_counts(kafka, [topic.name for topic in wanted]))
    from stream_app.cli.output import console, print_json, row, table  # noqa: PLC0415

    if as_json:
        found = [
            {
                "name": topic.name,
                "role": topic.role,
                "partitions": counts.get(topic.name),
                "meaning": topic.meaning,
            }
            for topic in wanted
        ]
        print_json({"topics": found})
        return
    rows = table("topic", "role", "partitions", "", right=("partitions",))
    for topic in wanted:
        row(rows, topic.name, topic.role, counts.get(topic.name, "missing"), topic.meaning)
    screen = console()
    screen.print(rows)
    if len(counts) < len(wanted):
        screen.print("\ncreate what is missing with `stream-app topics create`")


@topics.command("acls")
def acls() -> None:
    """Print a shell script that grants each Kafka user just what it needs (kafka-acls.sh).

    Topic prefix and consumer group are those of the settings. Nothing is changed or reached.
    """
    from stream_app.settings import load  # noqa: PLC0415
    from stream_app.streams.access import commands  # noqa: PLC0415
    from stream_app.streams.topics import with_prefix  # noqa: PLC0415

    kafka = load().kafka
    print(commands(with_prefix(kafka.topic_prefix), kafka.group), end="")
