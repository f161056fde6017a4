"""What `stream-app repartition` says, for programs and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_app.cli.output import console, counted, row, table
from stream_app.errors import StreamAppError
from stream_app.streams.rerouting import homes_of
from stream_app.streams.survey import Survey


def facts(survey: Survey, obstacles: Sequence[StreamAppError]) -> dict[str, Any]:
    """Of --check, for JSON."""
    return {
        "partitions": survey.partitions,
        "before": survey.deployment.partitions,
        "moving": survey.deployment.move is not None,
        "members": survey.members,
        "topics": dict(survey.topics),
        "accounts": list(survey.accounts),
        "outbox": list(survey.outbox),
        "unread": [
            {"topic": topic, "partition": partition, "records": records}
            for (topic, partition), records in survey.unread.items()
        ],
        "obstacles": [
            {"type": type(error).__name__, "message": str(error), "hint": error.hint}
            for error in obstacles
        ],
    }


def show(report: Mapping[str, Any]) -> None:
    """Any report, for people."""
    if "obstacles" in report:
        _show_check(report)
    else:
        console().print(_outcome(report), soft_wrap=True)


def _outcome(report: Mapping[str, Any]) -> str:
    if "given_up" in report:
        number = report["given_up"]
        if number is None:
            return "no move was under way; every partition can be claimed"
        return f"the move to {number} partitions was given up; workers can be started as before"
    if "forgotten" in report:
        number = report["forgotten"]
        if number is None:
            return "nothing is kept from before a move"
        return f"what was kept in {number} partitions from before the last move is removed"
    after = report["partitions"]
    if not report["changed"]:
        return f"there are {after} partitions already"
    return (
        f"{report['accounts']:,} accounts are in {after} partitions; start the workers. What was "
        f"in {report['before']} is kept until `stream-app repartition --forget`"
    )


def _show_check(report: Mapping[str, Any]) -> None:
    screen, before, after = console(), report["before"], report["partitions"]
    under_way = ", which is under way" if report["moving"] else ""
    screen.print(f"from {before} to {after} partitions{under_way}\n")
    unread: dict[str, int] = {}
    for each in report["unread"]:
        unread[each["topic"]] = unread.get(each["topic"], 0) + each["records"]
    topics = table("topic", "partitions", "unread", right=("partitions", "unread"))
    for topic, count in report["topics"].items():
        row(topics, topic, count, unread.get(topic, 0))
    screen.print(topics)
    screen.print()
    if before <= after:
        screen.print(_partitions(report, before, after))
        screen.print()
    total, waiting = sum(report["accounts"]), sum(report["outbox"])
    screen.print(f"{counted(total, 'account')} to move; Redis needs room for a second copy")
    if waiting:
        screen.print(f"{counted(waiting, 'message')} to publish that Redis still has")
    for obstacle in report["obstacles"]:
        screen.print(f"\nin the way: {obstacle['message']}\n  {obstacle['hint']}", soft_wrap=True)
    if not report["obstacles"]:
        screen.print("nothing is in the way", style="bold")


def _partitions(report: Mapping[str, Any], before: int, after: int) -> Any:
    rows = table("partition", "accounts", "outbox", "goes to", right=("accounts", "outbox"))
    everywhere = after % before != 0
    for source, (accounts, outbox) in enumerate(
        zip(report["accounts"], report["outbox"], strict=True)
    ):
        homes = "all" if everywhere else ", ".join(map(str, homes_of(source, before, after)))
        row(rows, str(source), accounts, outbox, homes)
    return rows
