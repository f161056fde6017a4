"""What is stored: the state, whether it fits the topics and this program, and the model."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.cli.checks.base import Check, failed, skipped
from stream_app.cli.checks.kafka import backlog, workers
from stream_app.cli.output import when
from stream_app.cli.stored import Stored, stored
from stream_app.errors import NotFound, StreamAppError
from stream_app.settings import Settings
from stream_app.streams.topics import consumed


async def stored_checks(settings: Settings, counts: Mapping[str, int] | None) -> list[Check]:
    """The checks; `counts` are the topics' partitions, None: not known."""
    try:
        async with stored(settings) as found:
            return [
                await _state(found, settings, counts),
                *await _model(found, settings),
                await workers(settings.kafka, counts),
                await backlog(found, settings.kafka, counts),
            ]
    except NotFound as error:
        *no_model, no_lag = skipped("nothing is stored", "model", "catalogue", "lag")
        nothing = Check("state", True, str(error), error.hint)
        return [nothing, *no_model, await workers(settings.kafka, counts), no_lag]
    except StreamAppError as error:
        return [
            failed("state", error),
            *skipped("see above", "model", "catalogue", "workers", "lag"),
        ]


async def _state(found: Stored, settings: Settings, counts: Mapping[str, int] | None) -> Check:
    accounts = sum(summary.accounts for summary in await found.summaries())
    if (move := found.deployment.move) is not None:
        return Check(
            "state",
            False,
            f"{accounts:,} accounts are being moved from {found.partitions} to {move.partitions} "
            "partitions, and no worker starts",
            f"go on with `stream-app repartition {move.partitions}`, or give it up with "
            "`stream-app repartition --cancel`",
        )
    detail = f"{accounts:,} accounts in {found.partitions} partitions, in this program's layout"
    names = consumed(settings.kafka.topic_prefix)
    present = {counts[name] for name in names if name in counts} if counts else set()
    if present - {found.partitions}:
        return Check(
            "state",
            False,
            f"made for {found.partitions} partitions, but topics have "
            f"{', '.join(str(count) for count in sorted(present))}",
            f"with the workers stopped, `stream-app repartition {max(present)}` moves the state"
            if max(present) > found.partitions
            else "bring the topics back to that count, or start under a new prefix and group",
        )
    if (former := found.deployment.former) is not None:
        hint = "remove it with `stream-app repartition --forget`, when all is well"
        return Check("state", True, f"{detail}; that of {former.partitions} is kept", hint)
    return Check("state", True, detail)


async def _model(found: Stored, settings: Settings) -> list[Check]:
    """Whether there is one, and whether it was trained on this program's features."""
    version = await found.model_version()
    if not version:
        first = settings.segments.warm_start_vectors
        hint = f"it comes after {first:,} training vectors, about one per account and day"
        nothing = Check("model", True, "none yet: all accounts are unsegmented", hint)
        return [nothing, *skipped("there is no model", "catalogue")]
    present = Check("model", True, f"version {version}")
    try:
        model = await found.model()
    except StreamAppError as error:
        return [present, failed("catalogue", error)]
    assert model is not None
    segments, until = len(model.segments), when(model.trained_until)
    present = Check("model", True, f"version {version}, {segments} segments, trained until {until}")
    return [present, Check("catalogue", True, "the model was trained on this program's features")]
