"""Who may do what on Kafka: least privilege, by the roles of the topics.

One table is the source of the list in `deploy/kafka/acls.sh`, of `stream-app topics acls` and of
the tests, which run a worker with exactly these rights.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal, get_args

from stream_app.streams.topics import Role, Topic

Operation = Literal["Read", "Write", "Create", "Describe", "Alter"]
"""Kafka's names. Read and Write include Describe; Write includes an idempotent producer."""
Resource = Literal["topic", "group"]
Pattern = Literal["literal", "prefixed"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A user of Kafka, and what it may do on topics of each role."""

    name: str
    meaning: str
    topics: Mapping[Role, tuple[Operation, ...]]
    groups: tuple[Operation, ...] = ()
    """On the workers' own groups."""
    own_groups: bool = False
    """Whether it may have groups of its own, whose names begin with its name."""


_EVERY: tuple[Role, ...] = get_args(Role)
_GROWING: tuple[Role, ...] = ("input", "forwarded", "control")
"""Roles of the topics that workers read, which may get more partitions."""

PRINCIPALS: tuple[Principal, ...] = (
    Principal(
        "stream-app-worker",
        "`stream-app worker`, the trainer in it included.",
        {
            "input": ("Read",),
            "forwarded": ("Read", "Write"),
            "control": ("Read", "Write"),
            "output": ("Write",),
            "refused": ("Write",),
            "training": ("Read", "Write"),
            "model": ("Write",),
        },
        groups=("Read",),
    ),
    Principal(
        "stream-app-producer",
        "Whoever sends events, and `stream-app traffic`.",
        {"input": ("Write",)},
    ),
    Principal(
        "stream-app-consumer",
        "Whoever acts on segments: reads what is published, but no dead letters, which hold what "
        "producers sent.",
        {"output": ("Read",), "model": ("Read",)},
        own_groups=True,
    ),
    Principal(
        "stream-app-operator",
        "Whoever looks after dead letters, puts them back where they came from, asks for erasure, "
        "reconciles, makes reports, and decides which model is in use.",
        {
            "refused": ("Read",),
            "input": ("Write",),
            "forwarded": ("Write",),
            "control": ("Write",),
            "output": ("Read",),
            "model": ("Read", "Write"),
        },
        own_groups=True,
    ),
    Principal(
        "stream-app-tools",
        "`stream-app doctor` and `stream-app topics list`: sees names, ends and groups, no record.",
        dict.fromkeys(_EVERY, ("Describe",)),
        groups=("Describe",),
    ),
    Principal(
        "stream-app-admin",
        "`stream-app topics create` and `grow`.",
        {
            role: ("Create", "Describe", "Alter") if role in _GROWING else ("Create", "Describe")
            for role in _EVERY
        },
    ),
)
"""All users, in the order in which data meets them."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One entry of Kafka's access control list; what is not granted is denied."""

    principal: str
    resource: Resource
    name: str
    pattern: Pattern
    operation: Operation


def trainer_group(group: str) -> str:
    """The consumer group of the trainer beside the workers' `group`."""
    return f"{group}-trainer"


def grants(topics: tuple[Topic, ...], group: str) -> Iterator[Grant]:
    """Every entry, for topics under their full names and the workers' consumer group."""
    for principal in PRINCIPALS:
        for topic in topics:
            for operation in principal.topics.get(topic.role, ()):
                yield Grant(principal.name, "topic", topic.name, "literal", operation)
        for operation in principal.groups:
            for name in (group, trainer_group(group)):
                yield Grant(principal.name, "group", name, "literal", operation)
        if principal.own_groups:
            yield Grant(principal.name, "group", principal.name, "prefixed", "Read")


def commands(topics: tuple[Topic, ...], group: str) -> str:
    """The entries as a shell script of calls of Kafka's own `kafka-acls.sh`."""
    found = list(grants(topics, group))
    lines = [_HEAD]
    for principal in PRINCIPALS:
        mine = [grant for grant in found if grant.principal == principal.name]
        calls = dict.fromkeys((g.resource, g.pattern, g.operation) for g in mine)
        lines.append(_broken(f"# {principal.name}: {principal.meaning}", start="# "))
        for resource, pattern, operation in calls:
            names = " ".join(
                f"--{g.resource} {shlex.quote(g.name)}"
                for g in mine
                if (g.resource, g.pattern, g.operation) == (resource, pattern, operation)
            )
            call = (
                f"allow {principal.name} --operation {operation} "
                f"--resource-pattern-type {pattern} {names}"
            )
            lines.append(_broken(call, end=" \\", start="    "))
        lines.append("")
    return "\n".join(lines)


def _broken(line: str, *, start: str, end: str = "") -> str:
    """A long line as several; `end` closes each but the last, `start` opens each but the first."""
    parts = wrap(line, 96, break_on_hyphens=False, break_long_words=False)
    return f"{end}\n{start}".join(parts)


_HEAD = """\
#!/bin/sh
# Least privilege on Kafka, for brokers with an authorizer that denies what is not allowed. Printed
# by `stream-app topics acls`, which takes topic prefix and group from the settings. Run it with a
# KAFKA_ACLS that reaches your brokers as somebody who may alter the list, for example
#
#   KAFKA_ACLS="kafka-acls.sh --bootstrap-server kafka:9093 --command-config admin.properties"
set -eu

allow() {
    user=$1
    shift
    ${KAFKA_ACLS:-kafka-acls.sh --bootstrap-server localhost:9092} \\
        --add --force --allow-principal "User:$user" "$@"
}
"""
