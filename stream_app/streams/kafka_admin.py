"""How Kafka is reached: connection settings, its errors in our words, and the topics it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ssl import SSLError
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

from stream_app.errors import ConfigError, Incompatible, StreamAppError, Unavailable
from stream_app.settings import KafkaSettings
from stream_app.streams.partitioning import common_count
from stream_app.streams.tls import tls_context
from stream_app.streams.topics import Topic

_REFUSED = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.AuthenticationMethodNotSupported,
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.SecurityDisabled,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
)
_TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
_TOO_OLD = (
    kafka_errors.IncompatibleBrokerVersion,
    kafka_errors.UnrecognizedBrokerVersion,
    kafka_errors.UnsupportedVersionError,
)

KAFKA_FAILURES = (KafkaError, OSError, TimeoutError)
"""What calls of aiokafka raise when Kafka is away or says no."""


def connection(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Arguments that every aiokafka client takes, credentials included. Raises ConfigError."""
    try:
        collect_hosts(settings.bootstrap_servers)
    except ValueError as error:
        raise ConfigError(
            f"kafka.bootstrap_servers is not host:port[,host:port…]: {error}",
            hint="e.g. STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=localhost:9092",
        ) from None
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": client_id,
        "request_timeout_ms": settings.request_timeout_ms,
        "security_protocol": settings.security_protocol,
    }
    if settings.uses_tls:
        arguments["ssl_context"] = tls_context(settings, "kafka")
    if settings.uses_sasl:
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        arguments["sasl_plain_username"] = settings.sasl_username
        arguments["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return arguments


def translate(error: BaseException, doing: str) -> StreamAppError:
    """Kafka's error in our words. `doing` completes "Kafka failed while …"."""
    if isinstance(error, StreamAppError):
        return error
    message = f"Kafka failed while {doing}: {_reason(error)}"
    if isinstance(error, _REFUSED):
        return ConfigError(
            message,
            hint="check user and password in the settings kafka.sasl_…, and Kafka's ACLs, which "
            "`stream-app topics acls` lists",
        )
    if isinstance(error, _TOO_LARGE):
        return Incompatible(message, hint="raise max.message.bytes of the topic")
    if isinstance(error, _TOO_OLD):
        return Incompatible(message, hint="stream-app needs Kafka 2.1 or newer")
    if isinstance(error, kafka_errors.UnsupportedCodecError):
        return Incompatible(message, hint="install the codec: pip install cramjam")
    if isinstance(error, kafka_errors.InvalidTopicError):
        return ConfigError(message, hint="kafka.topic_prefix takes letters, digits, `.`, `_`, `-`")
    if isinstance(error, SSLError):
        return Unavailable(message, hint="check kafka.ssl_ca_file and the brokers' certificates")
    return Unavailable(
        message,
        hint="check that Kafka is up, and that kafka.bootstrap_servers and kafka.security_protocol "
        "are those of its listener; a running worker tries again by itself",
    )


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()


async def why_unreachable(settings: KafkaSettings, error: BaseException) -> StreamAppError:
    """`error`, or the reason behind it where aiokafka only logs that: it tells a refused
    password from a broker that is away in its log, but raises the same error for both."""
    if not isinstance(error, kafka_errors.KafkaConnectionError):
        return translate(error, f"connecting to {settings.bootstrap_servers}")
    arguments = connection(settings, "stream-app-probe")
    for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers")):
        try:
            probe = await create_conn(host, port, **arguments)
        except KAFKA_FAILURES as reason:
            error = reason
        else:
            await probe.close()
            break
    return translate(error, f"connecting to {settings.bootstrap_servers}")


@dataclass(frozen=True, slots=True)
class Creation:
    """What `create_topics` did."""

    created: tuple[Topic, ...]
    existing: tuple[str, ...]
    replication_factor: int


async def create_topics(
    settings: KafkaSettings,
    topics: Sequence[Topic],
    *,
    partitions: int | None = None,
    replication_factor: int | None = None,
) -> Creation:
    """Create those of `topics` (full names) that do not exist; leave the others as they are.

    Parameters
    ----------
    partitions
        For all topics but those that must have one. Default: as many as the consumed topics that
        exist have, else what each topic declares.
    replication_factor
        Default: 3, or the number of brokers if that is smaller. From 3 on, a write must reach two
        replicas (`min.insync.replicas`).

    Raises
    ------
    Incompatible
        Existing topics do not fit. Nothing was created.
    ConfigError, Unavailable
        Kafka refused, or did not answer.
    """
    async with admin_client(settings) as admin:
        existing = await counts_of(admin)
        planned = plan(topics, existing, partitions)
        brokers = len((await admin.describe_cluster())["brokers"])
        factor = replication_factor or min(3, brokers)
        if planned:
            response = await admin.create_topics([_new_topic(topic, factor) for topic in planned])
            _check_created(response.topic_errors)
            await _until_visible(admin, {topic.name for topic in planned}, settings)
    kept = tuple(topic.name for topic in topics if topic.name in existing)
    return Creation(created=planned, existing=kept, replication_factor=factor)


def plan(
    topics: Sequence[Topic], existing: Mapping[str, int], partitions: int | None = None
) -> tuple[Topic, ...]:
    """The topics to create, with their numbers of partitions. Raises Incompatible."""
    shared = [topic.name for topic in topics if topic.co_partitioned and topic.name in existing]
    found = common_count(shared, existing) if shared else None
    for topic in topics:
        if topic.partitions == 1 and existing.get(topic.name, 1) != 1:
            raise Incompatible(
                f"{topic.name} has {existing[topic.name]} partitions and must have 1",
                hint=f"delete {topic.name} and run `stream-app topics create` again",
            )
    if partitions and found and partitions != found:
        raise Incompatible(
            f"{', '.join(shared)} exist with {found} partitions, not {partitions}",
            hint=f"leave out the number, or give {found}; once accounts have state, only "
            "`stream-app repartition` can change it",
        )
    count = found or partitions
    return tuple(
        replace(topic, partitions=count) if count and topic.partitions != 1 else topic
        for topic in topics
        if topic.name not in existing
    )


async def partition_counts(
    settings: KafkaSettings, topics: Sequence[str] | None = None
) -> dict[str, int]:
    """Number of partitions of each of `topics` (default: all) that exists. Raises ConfigError or
    Unavailable. Never creates a topic, as asking Kafka about a single name may."""
    async with admin_client(settings) as admin:
        counts = await counts_of(admin)
    return counts if topics is None else {name: counts[name] for name in topics if name in counts}


@asynccontextmanager
async def admin_client(
    settings: KafkaSettings, doing: str = "reading or creating topics"
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client of Kafka's controller, whose errors come in our words; `doing` completes "Kafka
    failed while …"."""
    admin = AIOKafkaAdminClient(**connection(settings, "stream-app-admin"))
    try:
        await admin.start()
    except KAFKA_FAILURES as error:
        await admin.close()
        raise await why_unreachable(settings, error) from error
    try:
        yield admin
    except KAFKA_FAILURES as error:
        raise translate(error, doing) from error
    finally:
        await admin.close()


async def counts_of(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Number of partitions of every topic."""
    found = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in found if topic["error_code"] == 0}


async def _until_visible(
    admin: AIOKafkaAdminClient, names: set[str], settings: KafkaSettings
) -> None:
    """The controller answers a little before the brokers know of a topic."""
    async with asyncio.timeout(settings.request_timeout_ms / 1_000):
        while names - (await counts_of(admin)).keys():  # noqa: ASYNC110 - Kafka has no event for it
            await asyncio.sleep(0.05)


def _new_topic(topic: Topic, replication_factor: int) -> NewTopic:
    config = topic.config
    if replication_factor >= 3:
        config["min.insync.replicas"] = "2"
    return NewTopic(topic.name, topic.partitions, replication_factor, topic_configs=config)


def _check_created(outcomes: Sequence[tuple[str, int, str | None]]) -> None:
    """Raise the first error that is not "somebody else was faster"."""
    for name, code, text in outcomes:
        kind = kafka_errors.for_code(code)
        if kind is kafka_errors.InvalidReplicationFactorError:
            raise ConfigError(
                f"{name} was not created: {text}",
                hint="give a --replication-factor that is not above the number of brokers",
            )
        if kind not in {kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError}:
            raise translate(kind(text or ""), f"creating {name}")
