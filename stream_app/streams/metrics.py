"""Every metric, once. Names, units and meaning for dashboards and alerts derive from here."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FRESHNESS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0, 86_400.0)


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"stream_app_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"stream_app_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"stream_app_{name}", meaning, buckets=buckets, registry=registry)

        self.records = counter("records", "Records read from Kafka.", "topic")
        self.events = counter("events", "Events applied to accounts.")
        self.duplicates = counter("duplicates", "Events dropped because their id was known.")
        self.dead_letters = counter("dead_letters", "Records refused.", "reason")
        self.forwarded = counter("forwarded", "Events passed on to their account's partition.")
        self.controls = counter("controls", "Control events carried out.", "kind")
        self.changes = counter("segment_changes", "Segment changes decided.", "reason")
        self.spikes = counter("intent_spikes", "Intent spikes decided.")
        self.published = counter("published", "Messages acknowledged by Kafka.")
        self.commits = counter("commits", "Commits to Redis.")
        self.losses = counter(
            "partition_losses", "Partitions dropped from memory and claimed again.", "cause"
        )
        self.gaps = counter("offset_gaps", "Records that retention removed before they were read.")
        self.waits = counter(
            "waits_seconds",
            "Time spent waiting for: kafka or redis to answer; the outbox or the inbox to drain; "
            "another try to claim a partition.",
            "what",
        )
        self.snapshots_refused = counter("snapshots_refused", "Models that did not fit.")

        self.step = histogram("step_seconds", "Computing one batch.", _SECONDS)
        self.commit = histogram("commit_seconds", "One commit to Redis.", _SECONDS)
        self.publish = histogram("publish_seconds", "Publishing one batch of messages.", _SECONDS)
        self.claim = histogram("claim_seconds", "Claiming and loading a partition.", _SECONDS)
        self.freshness = histogram(
            "change_freshness_seconds",
            "From an event to Kafka's acknowledgement of the change that it caused.",
            _FRESHNESS,
        )

        self.partitions = gauge("partitions", "Partitions owned and running.")
        self.accounts = gauge("accounts", "Accounts in memory.", "partition")
        self.outbox = gauge(
            "outbox_messages", "Messages decided but not acknowledged.", "partition"
        )
        self.lag = gauge("lag_records", "Records not yet applied.", "partition")
        self.segment_accounts = gauge(
            "segment_accounts", "Accounts per segment.", "segment", "name"
        )
        self.model_version = gauge("model_version", "Model version that this worker uses.")
        self.model_active = gauge(
            "model_active_version", "Model version that workers are to use; 0: none."
        )
        self.models_waiting = gauge(
            "models_waiting", "Model versions that wait for somebody to activate them."
        )
        self.health_value = gauge(
            "segment_health_value", "A check of the segments, on this worker's accounts.", "check"
        )
        self.health_passed = gauge(
            "segment_health_passed",
            "1: the check passed, 0: it failed. Not there: unknown.",
            "check",
        )
        self._of_partition = (self.accounts, self.outbox, self.lag)
        self.ready = gauge("ready", "1: owns its partitions and reaches Kafka and Redis.")

    def forget(self, partition: int) -> None:
        """Remove the gauges of a partition that went away; its new owner shows them."""
        for metric in self._of_partition:
            with suppress(KeyError):
                metric.remove(str(partition))
