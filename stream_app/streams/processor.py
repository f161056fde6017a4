"""What one partition does with its records, without any I/O: decode, route, step, encode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from stream_app.control import Controls
from stream_app.effects import Effects
from stream_app.engine import Engine
from stream_app.errors import Incompatible
from stream_app.events.batch import Columns, Texts
from stream_app.events.decode import (
    ControlDecoder,
    Decoder,
    Pseudonyms,
    Reason,
    Rejection,
)
from stream_app.events.instants import DAY
from stream_app.events.reading import Reader
from stream_app.events.types import ContentDownload, EmailEngagement, WebsiteVisit
from stream_app.features import silence
from stream_app.features.table import Erased, FeatureTable, digest_of
from stream_app.features.values import Floats, values_at
from stream_app.segments.snapshot import NO_SEGMENT, Assigner
from stream_app.settings import Settings
from stream_app.streams import topics
from stream_app.streams.messages import Messages
from stream_app.streams.partitioning import partition_of
from stream_app.streams.ports import Message, Record

_encode = msgspec.json.Encoder().encode

_Applied = tuple[Effects, list[Rejection], list[Message]]
"""What records lead to, what was refused of them, and what is passed on."""

_FAILED = Rejection(0, Reason.UNPROCESSABLE, "applying the record failed")


_SAMPLES_OF_SILENCE = 100
"""Training vectors of a portion of the sweep at most. Where a million accounts are due at once they
would come faster than anybody can learn from them, and cost more than all decisions."""


@dataclass(frozen=True, slots=True)
class Work:
    """The outcome of a batch: what to commit, and what to publish after that."""

    offsets: Mapping[str, int]
    """Next offset of each topic that had records."""
    model_version: int
    states: Sequence[tuple[str, bytes]]
    profiles: list[tuple[str, bytes]]
    removed: list[str]
    """Accounts that are to go."""
    erased: list[tuple[str, bytes]]
    names: list[tuple[int, str]]
    outbox: list[Message]
    samples: list[Message]
    """Training vectors: published, but not through the outbox; they may be lost."""
    summary: bytes
    effects: Effects
    rejected: Counter[str] = field(default_factory=Counter)
    forwarded: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.offsets and not self.states


_DAYS_KEPT = 8
"""Days whose counts are kept: today and a week before it."""


class DayCount(msgspec.Struct, frozen=True):
    """Where the accounts were at some moment of a day."""

    at_us: int
    segments: dict[int, int]
    """Accounts by segment id."""


class Summary(msgspec.Struct, frozen=True):
    """Counts of one partition, kept beside its state for displays."""

    accounts: int
    segments: dict[int, int]
    """Accounts by segment id."""
    changes: int
    """Changes ever decided of these accounts, in earlier lives too."""
    spikes: int
    updated_us: int
    days: list[DayCount] = []
    """Before the first commit of each of the last days (UTC), oldest first."""


class Pipeline:
    """What all partitions of a worker share: settings, prepared."""

    def __init__(self, settings: Settings) -> None:
        prefix = settings.kafka.topic_prefix
        inputs = settings.input
        self.settings = settings
        pseudonyms = Pseudonyms(inputs.contact_hash_key.get_secret_value().encode())
        self.decoder = Decoder(
            {
                prefix + topics.WEBSITE_VISITS.name: WebsiteVisit,
                prefix + topics.CONTENT_DOWNLOADS.name: ContentDownload,
                prefix + topics.EMAIL_EVENTS.name: EmailEngagement,
            },
            max_bytes=inputs.max_record_bytes,
            future_tolerance_seconds=inputs.future_tolerance_seconds,
        )
        self.control_decoder = ControlDecoder(
            max_bytes=inputs.max_record_bytes,
            future_tolerance_seconds=inputs.future_tolerance_seconds,
        )
        self.control_topic = prefix + topics.ACCOUNT_CONTROL.name
        self.columns = Columns(pseudonyms)
        self.reader = Reader(self.decoder, self.columns)
        self.controls = Controls(self.columns, settings.scores)
        self.messages = Messages(prefix, pseudonyms)
        self.engine = Engine(settings)

    def cut(self, records: Sequence[Record]) -> int:
        """How many of these records make a batch: control events, or none of them."""
        topic = self.control_topic
        control = records[0].topic == topic
        others = (i for i, record in enumerate(records) if (record.topic == topic) != control)
        return next(others, len(records))


class Processor:
    """The accounts of one partition and what happens to them. Single owner, no I/O, no clock."""

    def __init__(self, pipeline: Pipeline, partition: int, partitions: int) -> None:
        self.table = FeatureTable()
        self._reached_us: dict[str, int] = {}
        """Event time that each topic was read up to: the largest median of a batch, so that a
        single wrong clock does not make every account look silent."""
        self.poisonous: set[tuple[str, int]] = set()
        """(topic, offset) of records that this program failed on: they become dead letters."""
        self._pipeline = pipeline
        self._partition, self._partitions = partition, partitions
        self._segments: Counter[int] = Counter()
        self._changes = self._spikes = 0
        self._days: list[DayCount] = []

    def put(self, accounts: Sequence[str], states: Sequence[bytes]) -> None:
        """Take over stored accounts. Raises Incompatible for a state that cannot be read."""
        try:
            rows = self.table.put(accounts, states)
        except Incompatible as error:
            raise Incompatible(f"partition {self._partition}: {error}", hint=error.hint) from None
        self.table.due_us[rows] = silence.next_due(self.table.take(rows))

    def remember(self, erased: Mapping[str, bytes]) -> None:
        """Take over what remains of erased accounts."""
        decode = msgspec.json.Decoder(Erased).decode
        self.table.erased = {digest: decode(past) for digest, past in erased.items()}

    def recount(self, stored: bytes = b"") -> None:
        """Count what `put` brought; call once after the last `put`.

        Parameters
        ----------
        stored
            The summary as it was stored last, for the counts of earlier days; empty: none.
        """
        with suppress(msgspec.DecodeError):  # of another version: it is only for displays
            self._days = msgspec.json.decode(stored, type=Summary).days
        live = self.table.live
        segments, counts = np.unique(live["segment"], return_counts=True)
        self._segments = Counter(dict(zip(segments.tolist(), counts.tolist(), strict=True)))
        self._changes, self._spikes = int(live["sequence"].sum()), int(live["spikes"].sum())

    def process(self, records: Sequence[Record], assigner: Assigner | None, now_us: int) -> Work:
        """Apply records of this partition, per topic in offset order. Control events come in
        batches of their own (`cut`)."""
        pipeline = self._pipeline
        healthy, poison = self._split(records)
        control = bool(records) and records[0].topic == pipeline.control_topic
        apply = self._apply_controls if control else self._apply_events
        effects, rejections, foreign = apply(healthy, assigner, now_us)
        rejected = [(healthy[rejection.index], rejection) for rejection in rejections]
        rejected += [(record, _FAILED) for record in poison]
        letters = [pipeline.messages.dead_letter(*pair, now_us) for pair in rejected]
        return self._work(
            effects,
            assigner,
            now_us,
            offsets={record.topic: record.offset + 1 for record in records},
            before=letters + foreign,
            rejected=Counter(rejection.reason.value for _, rejection in rejected),
            forwarded=len(foreign),
        )

    def _apply_events(
        self, records: Sequence[Record], assigner: Assigner | None, now_us: int
    ) -> _Applied:
        pipeline = self._pipeline
        read = pipeline.reader.read(records, now_us, self._foreign)
        for topic, median_us in read.reached_us.items():
            self._reached_us[topic] = max(self._reached_us.get(topic, 0), median_us)
        foreign = [pipeline.messages.forward(event) for event in read.foreign]
        if not len(read.batch):
            return Effects(np.empty(0, np.int64)), read.rejections, foreign
        effects = pipeline.engine.step(self.table, read.batch, assigner, now_us)
        return effects, read.rejections, foreign

    def _apply_controls(
        self, records: Sequence[Record], assigner: Assigner | None, now_us: int
    ) -> _Applied:
        pipeline = self._pipeline
        decoded = pipeline.control_decoder.decode(records, now_us)
        theirs = decoded.take(set(self._foreign([event.account_id for event in decoded.events])))
        foreign = [pipeline.messages.redirect(event) for event in theirs]
        effects = pipeline.controls.apply(
            self.table, decoded.events, decoded.times_us, assigner, now_us
        )
        return effects, decoded.rejections, foreign

    def reached_us(self, topics: Iterable[str]) -> int:
        """Event time up to which all of these topics were read by this owner; 0: not yet known."""
        return min((self._reached_us.get(topic, 0) for topic in topics), default=0)

    def unchecked(self, assigner: Assigner | None) -> int:
        """Accounts that perhaps were not looked at under this model."""
        self.table.notice_model(assigner.snapshot.version if assigner else 0)
        return len(self.table) - self.table.unchecked_from

    def due(self, until_us: int) -> bool:
        """Whether silence may have moved somebody."""
        return bool((self.table.due_us[: len(self.table)] < until_us).any())

    def sweep(
        self,
        until_us: int,
        assigner: Assigner | None,
        now_us: int,
        limit: int | None = None,
        of_model: int | None = None,
    ) -> Work:
        """Let time pass until `until_us`, for so many accounts at most; and look at so many, by
        default as many, under another model."""
        limit = limit or self._pipeline.settings.worker.sweep_accounts
        effects = self._pipeline.engine.sweep(
            self.table, until_us, assigner, now_us, limit, of_model, _SAMPLES_OF_SILENCE
        )
        return self._work(effects, assigner, now_us, offsets={}, before=[])

    def summary(self, now_us: int) -> Summary:
        """Counts as of now."""
        return Summary(
            accounts=len(self.table),
            segments={s: n for s, n in sorted(self._segments.items()) if n > 0},
            changes=self._changes,
            spikes=self._spikes,
            updated_us=now_us,
            days=self._days,
        )

    def segments_of(self, accounts: Iterable[str]) -> list[int]:
        """Segment ids of those of these accounts that are here and have one."""
        rows = self.table.find(list(accounts))
        found: list[int] = self.table.live["segment"][rows[rows >= 0]].tolist()
        return [segment for segment in found if segment != NO_SEGMENT]

    def sample(self, limit: int, now_us: int) -> Floats:
        """(n, dimensions) unscaled model vectors of some accounts as of now, the same ones each
        time."""
        count = len(self.table)
        rows = np.random.default_rng(0).permutation(count)[:limit]
        records = self.table.take(rows)
        return values_at(records, np.maximum(records["latest_us"], now_us)).vector

    def _foreign(self, accounts: Texts) -> list[int]:
        """Positions of accounts that belong to other partitions."""
        unknown = np.flatnonzero(self.table.find(accounts) < 0).tolist()
        return [i for i in unknown if not self._is_mine(accounts[i])]

    def _is_mine(self, account: str) -> bool:
        return partition_of(account.encode(), self._partitions) == self._partition

    def _split(self, records: Sequence[Record]) -> tuple[Sequence[Record], list[Record]]:
        """Records to read, and those that this program failed on before."""
        if not self.poisonous:
            return records, []
        poison = [r for r in records if (r.topic, r.offset) in self.poisonous]
        return [r for r in records if (r.topic, r.offset) not in self.poisonous], poison

    def _work(
        self,
        effects: Effects,
        assigner: Assigner | None,
        now_us: int,
        *,
        offsets: Mapping[str, int],
        before: list[Message],
        **counts: Any,
    ) -> Work:
        messages, segments = self._pipeline.messages, self._pipeline.settings.segments
        accounts = effects.told()
        self._note_day(now_us)
        self._count(effects)
        return Work(
            offsets=offsets,
            model_version=assigner.snapshot.version if assigner else 0,
            states=self.table.pack(effects.touched),
            profiles=[(told.account_id, told.value) for told in accounts],
            removed=effects.gone,
            erased=[(digest, _encode(past)) for digest, past in effects.erased.items()],
            names=list(effects.new_topics.items()),
            outbox=before + messages.of(effects, accounts),
            samples=[messages.sample(s) for s in effects.samples] if segments.train else [],
            summary=_encode(self.summary(now_us)),
            effects=effects,
            **counts,
        )

    def _note_day(self, now_us: int) -> None:
        if not self._days or now_us // DAY > self._days[-1].at_us // DAY:
            day = DayCount(now_us, {s: n for s, n in sorted(self._segments.items()) if n > 0})
            self._days = [*self._days[1 - _DAYS_KEPT :], day]

    def _count(self, effects: Effects) -> None:
        for change in effects.changes:
            if change.previous is not None:
                self._segments[change.previous.id] -= 1
            else:
                self._count_past(change.account_id, 1)
            if change.current is not None:
                self._segments[change.current.id] += 1
            else:
                self._count_past(change.account_id, -1)
        self._changes += len(effects.changes)
        self._spikes += len(effects.spikes)

    def _count_past(self, account: str, sign: int) -> None:
        """An account that is erased takes its counts along, and brings them when it comes again."""
        if self.table.erased and (past := self.table.erased.get(digest_of(account))):
            self._changes += sign * past.sequence
            self._spikes += sign * past.spikes
