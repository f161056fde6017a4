"""Every Kafka topic of this system, once: what it is for and how it is set up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["input", "forwarded", "control", "output", "training", "model", "refused"]
"""input: producers write, workers read. forwarded: workers write and read. control: operators
write, workers read (and write: what has the wrong key). training: workers write,
the trainer reads. model: the trainer and operators write. output and refused: workers write,
others read."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and its settings in Kafka."""

    name: str
    role: Role
    meaning: str
    """What its records are, one sentence."""
    partitions: int = 8
    cleanup: Literal["delete", "compact"] = "delete"
    retention_days: int | None = None
    """How long records stay. None: for ever, or in a compacted topic until a newer one."""
    max_message_bytes: int = _MIB

    def with_prefix(self, prefix: str) -> Topic:
        """The same topic under the name that Kafka knows (`KafkaSettings.topic_prefix`)."""
        return replace(self, name=prefix + self.name)

    @property
    def co_partitioned(self) -> bool:
        """Whether a worker consumes it: these must all have the same number of partitions."""
        return self.role in {"input", "forwarded", "control"}

    @property
    def config(self) -> dict[str, str]:
        """Its settings by Kafka's names."""
        days = self.retention_days
        config = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(-1 if days is None else days * 86_400_000),
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.co_partitioned:
            # Retention counts from arrival. By the producer's time, a backfill of old events
            # would be deleted before it is read.
            config["message.timestamp.type"] = "LogAppendTime"
        return config


# Inputs take far more than `InputSettings.max_record_bytes` lets pass (256 KiB by default), so that
# a record that is too large ends as a dead letter, with a reason that somebody sees, and not as an
# error in a producer that perhaps drops it. Each further topic on a record's way takes a little
# more, because a forwarded record and a dead letter carry extra headers: what was once accepted
# can always be passed on.
_INPUT_BYTES = 4 * _MIB
_FORWARDED_BYTES = 5 * _MIB
_DEAD_LETTER_BYTES = 8 * _MIB

WEBSITE_VISITS = Topic(
    "website-visits",
    "input",
    "A contact looked at a page; key: account id.",
    retention_days=7,
    max_message_bytes=_INPUT_BYTES,
)
CONTENT_DOWNLOADS = Topic(
    "content-downloads",
    "input",
    "A contact downloaded a white paper, a price list or the like; key: account id.",
    retention_days=7,
    max_message_bytes=_INPUT_BYTES,
)
EMAIL_EVENTS = Topic(
    "email-events",
    "input",
    "An e-mail was sent, opened, clicked, answered or refused; key: account id.",
    retention_days=7,
    max_message_bytes=_INPUT_BYTES,
)
ENGAGEMENT = Topic(
    "engagement",
    "forwarded",
    "Input records that came with another key than their account id, keyed by it.",
    retention_days=7,
    max_message_bytes=_FORWARDED_BYTES,
)
ACCOUNT_CONTROL = Topic(
    "account-control",
    "control",
    "What an operator asks for an account: to erase it, or a contact of it; key: account id.",
    retention_days=7,
)
ACCOUNT_FEATURES = Topic(
    "account-features",
    "training",
    "Feature vectors of touched accounts, sampled; one partition, so one trainer at a time.",
    partitions=1,
    retention_days=3,
)
SEGMENT_CHANGES = Topic(
    "segment-changes",
    "output",
    "An account moved from one segment to another, and why; key: account id.",
    retention_days=30,
)
INTENT_SPIKES = Topic(
    "intent-spikes",
    "output",
    "Unusual interest of an account in a topic; key: account id.",
    retention_days=30,
)
ACCOUNT_SEGMENTS = Topic(
    "account-segments",
    "output",
    "The segment and scores that each account has now; key: account id. A record without a value: "
    "the account was erased.",
    cleanup="compact",
)
SEGMENT_MODELS = Topic(
    "segment-models",
    "model",
    "Every version of the segment model, which of them came into use, and what became of the "
    "segments then; in order, told apart by `ce_type`. All are kept: a change names the version "
    "that decided it, and replay can use any of them.",
    partitions=1,
    max_message_bytes=_INPUT_BYTES,
)
DEAD_LETTERS = Topic(
    "dead-letters",
    "refused",
    "Records that could not be read or were not valid: original bytes, origin and reason.",
    retention_days=30,
    max_message_bytes=_DEAD_LETTER_BYTES,
)

TOPICS: tuple[Topic, ...] = (
    WEBSITE_VISITS,
    CONTENT_DOWNLOADS,
    EMAIL_EVENTS,
    ENGAGEMENT,
    ACCOUNT_CONTROL,
    ACCOUNT_FEATURES,
    SEGMENT_CHANGES,
    INTENT_SPIKES,
    ACCOUNT_SEGMENTS,
    SEGMENT_MODELS,
    DEAD_LETTERS,
)
"""All topics, in the order in which data flows through them."""


def with_prefix(prefix: str) -> tuple[Topic, ...]:
    """All topics under the names that Kafka knows."""
    return tuple(topic.with_prefix(prefix) for topic in TOPICS)


def consumed(prefix: str = "") -> tuple[str, ...]:
    """Names of the topics that a worker reads: inputs, `engagement` and `account-control`."""
    return tuple(topic.name for topic in with_prefix(prefix) if topic.co_partitioned)
