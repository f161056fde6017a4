"""Kafka: reached, the topics, the workers' group, and how far behind it is."""

from __future__ import annotations

import time
from collections.abc import Mapping

from stream_app.cli.checks.base import NO_KAFKA, Check, failed, skipped, within_limit
from stream_app.cli.checks.positions import Lag, lag
from stream_app.cli.stored import Stored
from stream_app.errors import StreamAppError, Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.cluster import group_members
from stream_app.streams.kafka_admin import partition_counts
from stream_app.streams.partitioning import common_count
from stream_app.streams.topics import consumed, with_prefix


async def kafka_checks(settings: KafkaSettings) -> tuple[list[Check], Mapping[str, int] | None]:
    """The checks, and the partition counts of all topics; None: Kafka cannot be asked."""
    began = time.monotonic()
    try:
        counts = await within_limit(partition_counts(settings), "Kafka")
    except Unavailable as error:
        hint = "start Kafka, or correct STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"
        return [
            failed("kafka", error, error.hint or hint),
            *skipped(NO_KAFKA, "topics"),
        ], None
    except StreamAppError as error:
        return [failed("kafka", error), *skipped(NO_KAFKA, "topics")], None
    took_ms = 1_000 * (time.monotonic() - began)
    reached = Check("kafka", True, f"{settings.bootstrap_servers} answers in {took_ms:.0f} ms")
    return [reached, _topics(settings, counts)], counts


def _topics(settings: KafkaSettings, counts: Mapping[str, int]) -> Check:
    wanted = with_prefix(settings.topic_prefix)
    try:
        common_count([topic.name for topic in wanted], dict.fromkeys(counts, 1))
        count = common_count(consumed(settings.topic_prefix), counts)
    except StreamAppError as error:
        return failed("topics", error)
    for topic in wanted:
        if topic.partitions == 1 and counts[topic.name] != 1:
            return Check(
                "topics",
                False,
                f"{topic.name} has {counts[topic.name]} partitions and must have 1",
                f"delete {topic.name} and run `stream-app topics create`",
            )
    return Check("topics", True, f"all {len(wanted)}, the consumed ones with {count} partitions")


async def workers(settings: KafkaSettings, counts: Mapping[str, int] | None) -> Check:
    """How many there are."""
    if counts is None:
        return skipped(NO_KAFKA, "workers")[0]
    try:
        number = await within_limit(group_members(settings), "Kafka")
    except StreamAppError as error:
        return skipped(str(error), "workers")[0]
    if not number:
        detail = f"none in the group {settings.group}"
        return Check("workers", True, detail, "start `stream-app worker`")
    # The group forgets one that was killed only after this time.
    heard = f"heard from in the last {settings.session_timeout_ms / 1_000:g} s"
    return Check("workers", True, f"{number} in the group {settings.group}, {heard}")


async def backlog(
    found: Stored, settings: KafkaSettings, counts: Mapping[str, int] | None
) -> Check:
    """Records not yet applied, by the offsets in Redis."""
    names = consumed(settings.topic_prefix)
    if counts is None:
        return skipped(NO_KAFKA, "lag")[0]
    if any(counts.get(name) != found.partitions for name in names):
        return skipped("topics and state do not fit", "lag")[0]
    try:
        offsets = [await found.offsets(partition) for partition in range(found.partitions)]
        lags = await within_limit(lag(settings, names, offsets), "Kafka")
    except StreamAppError as error:
        return skipped(str(error), "lag")[0]
    return _judged(lags)


def _judged(lags: list[Lag]) -> Check:
    behind = sum(each.records for each in lags)
    parts = ", ".join(f"{p}: {each.records:,}" for p, each in enumerate(lags) if each.records)
    detail = f"{behind:,} records behind" + (f" (by partition: {parts})" if parts else "")
    if reset := [topic for each in lags for topic in each.reset]:
        return Check(
            "lag",
            False,
            f"{reset[0]} ends before the offset that was read last: it was deleted and made anew",
            "to start over, use a new Redis prefix and group",
        )
    if lost := sum(each.lost for each in lags):
        return Check(
            "lag",
            False,
            f"{detail}; retention removed {lost:,} records before they were read",
            "give the input topics a longer retention.ms, or run more workers",
        )
    return Check("lag", True, detail)
