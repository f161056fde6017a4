"""What `doctor` looks at. Each check ends within seconds, and says what to do when it fails."""

from __future__ import annotations

import asyncio

from stream_app import native
from stream_app.cli.checks.access import access_checks
from stream_app.cli.checks.base import ANSWER_SECONDS, NO_REDIS, Check, skipped
from stream_app.cli.checks.kafka import kafka_checks, workers
from stream_app.cli.checks.redis import redis_checks
from stream_app.cli.checks.stored import stored_checks
from stream_app.settings import Settings

__all__ = ["Check", "run_checks"]


async def run_checks(settings: Settings) -> list[Check]:
    """All checks but the settings', in the order in which a person would mend them."""
    settings = _hasty(settings)
    (kafka, counts), (redis, reached) = await asyncio.gather(
        kafka_checks(settings.kafka), redis_checks(settings.redis)
    )
    checks = [_extension(), _contact_key(settings), *access_checks(settings), *kafka, *redis]
    if not reached:
        *state, no_lag = skipped(NO_REDIS, "state", "model", "catalogue", "lag")
        return [*checks, *state, await workers(settings.kafka, counts), no_lag]
    return checks + await stored_checks(settings, counts)


def _hasty(settings: Settings) -> Settings:
    """The same settings with less patience."""
    kafka, redis = settings.kafka, settings.redis
    timeout_ms = min(kafka.request_timeout_ms, int(ANSWER_SECONDS * 1_000))
    timeout_seconds = min(redis.timeout_seconds, ANSWER_SECONDS)
    return settings.model_copy(
        update={
            "kafka": kafka.model_copy(update={"request_timeout_ms": timeout_ms}),
            "redis": redis.model_copy(update={"timeout_seconds": timeout_seconds}),
        }
    )


def _extension() -> Check:
    return Check("extension", True, *native.path())


def _contact_key(settings: Settings) -> Check:
    if settings.input.contact_hash_key.get_secret_value():
        return Check("contact key", True, "addresses are hashed with a key of your own")
    return Check(
        "contact key",
        True,
        "addresses given as contact ids are hashed with a public key",
        "set STREAM_APP_INPUT__CONTACT_HASH_KEY, so that nobody can find them by trying",
    )
