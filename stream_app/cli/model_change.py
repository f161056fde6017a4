"""How `stream-app model` carries out a decision, and what it says about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from getpass import getuser
from typing import Any

from stream_app.cli.output import console, remarks
from stream_app.cli.stored import registered
from stream_app.events.decode import Pseudonyms
from stream_app.settings import Settings
from stream_app.streams.clock import SystemClock
from stream_app.streams.kafka_publisher import KafkaPublisher
from stream_app.streams.messages import Messages
from stream_app.streams.operating import Operating, Outcome
from stream_app.streams.redis_store import RedisStore


async def carry_out(
    settings: Settings, decision: Callable[[Operating], Awaitable[Outcome]]
) -> Outcome:
    """Open Redis and Kafka as the settings have them, and decide.

    Raises
    ------
    NotFound, Incompatible
        As `registered`, and what the decision raises.
    ConfigError, Unavailable
        Redis refuses, or does not answer.
    """
    store = RedisStore(settings.redis)
    publisher = KafkaPublisher(settings.kafka, "stream-app-model")
    messages = Messages(settings.kafka.topic_prefix, Pseudonyms())
    try:
        await registered(store, settings)
        return await decision(Operating(store, publisher, messages, SystemClock(), _who()))
    finally:
        await publisher.stop()
        await store.stop()


def _who() -> str:
    """Who decides: the name at login, where the system knows it."""
    try:
        return getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return "operator"


def facts_of(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    registry = outcome.registry
    return {
        "active": registry.active,
        "previous": outcome.previous,
        "pinned": registry.pinned,
        "waiting": list(registry.waiting),
        "refit_asked": registry.refit_asked,
        "announced": outcome.unannounced is None,
    }


def show_outcome(outcome: Outcome) -> None:
    """For people."""
    registry, screen = outcome.registry, console()
    if outcome.changed:
        screen.print(f"model version {registry.active} is in use, {outcome.previous} was before")
    else:
        screen.print(f"model version {registry.active} is in use, as before")
    if registry.pinned:
        screen.print("it is pinned: nothing else is activated until `model pin --release`")
    if registry.waiting:
        listed = ", ".join(map(str, registry.waiting))
        screen.print(f"versions that wait: {listed}")
    if registry.refit_asked:
        screen.print("the trainer chooses the segments anew with the next vectors that it learns")
    if outcome.unannounced is not None:
        remarks().print(
            f"segment-models does not have it yet: {outcome.unannounced}; the trainer publishes it"
        )
