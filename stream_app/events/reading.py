"""Records to a batch of events, and what is refused of them.

Where the extension is there it reads the ordinary records straight into columns. It accepts nothing
that the decoder would refuse or take for something else, and leaves everything that is in any way
unusual; such records go through the decoder, which alone knows reasons, and what comes of them is
put in its place among the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.events.batch import TOPICS_PER_EVENT, Columns, EventBatch, Texts
from stream_app.events.decode import EARLIEST_US, Decoder, Record, Rejection
from stream_app.events.types import EVENT_TYPES, Event

_NAMES = {type_: name for name, type_ in EVENT_TYPES.items()}
Foreign = Callable[[Texts], Sequence[int]]
"""Given accounts of events, the positions, ascending, of those that are not ours."""
_INT64, _UINT32, _UINT8 = np.dtype(np.int64), np.dtype(np.uint32), np.dtype(np.uint8)
_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
_Positions = npt.NDArray[np.int64]


def _none(_: Texts) -> Sequence[int]:
    return ()


@dataclass(frozen=True, slots=True)
class Read:
    """Outcome of reading records: each is an event, foreign, or refused."""

    batch: EventBatch
    """The events, in the order of their records."""
    indices: _Positions
    """Position of each event's record."""
    rejections: list[Rejection]
    reached_us: dict[str, int]
    """The median of the events' instants, by topic; foreign ones count."""
    foreign: list[Event] = field(default_factory=list)
    """Events of accounts that are not ours, in order."""


class Line(NamedTuple):
    """A value without a topic, as the decoder wants its records."""

    topic: str
    value: bytes
    headers: tuple[()] = ()


class Reader:
    """Reads batches of records.

    Parameters
    ----------
    decoder
        Says what is an event, and why something is not.
    columns
        Turns events into columns.
    """

    def __init__(self, decoder: Decoder, columns: Columns) -> None:
        self._decoder, self._columns = decoder, columns
        self._compiled = (
            native.compiled.EventDecoder(
                {topic: _NAMES[type_] for topic, type_ in decoder.types.items()},
                columns.pseudonyms.key,
                decoder.max_bytes,
                EARLIEST_US,
            )
            if native.available
            else None
        )

    def read(self, records: Sequence[Record], now_us: int, foreign: Foreign = _none) -> Read:
        """Read records; `now_us` bounds how late in time an event may lie."""
        if self._compiled and native.in_use:
            values = [record.value for record in records]
            topics = [record.topic for record in records]
            if read := self._fast(values, topics, records.__getitem__, now_us, foreign):
                return read
        return self._slow(records, now_us, foreign)

    def read_values(self, values: Sequence[bytes], now_us: int) -> Read:
        """Read values that name their own types, like the lines of a file."""
        if self._compiled and native.in_use:
            topics = list(repeat("", len(values)))
            if read := self._fast(
                list(values), topics, lambda i: Line("", values[i]), now_us, _none
            ):
                return read
        return self._slow([Line("", value) for value in values], now_us, _none)

    def _slow(self, records: Sequence[Record], now_us: int, foreign: Foreign) -> Read:
        decoded = self._decoder.decode(records, now_us)
        topics = [records[index].topic for index in decoded.indices]
        reached_us = _medians(topics, decoded.times_us)
        others = decoded.take(set(foreign([event.account_id for event in decoded.events])))
        batch = self._columns(decoded.events, decoded.times_us)
        indices = np.array(decoded.indices, np.int64)
        return Read(batch, indices, decoded.rejections, reached_us, others)

    def _fast(
        self,
        values: list[bytes],
        topics: list[str],
        record: Callable[[int], Record],
        now_us: int,
        foreign: Foreign,
    ) -> Read | None:
        """None: two names of topics have one hash; which of them counts the slow path says."""
        assert self._compiled
        found = self._compiled.decode(values, topics, self._decoder.latest_us(now_us))
        if found is None:
            return None
        columns, accounts, names, reached_us, unusual = found
        indices = np.frombuffer(columns[0], _INT64)
        batch = EventBatch(
            accounts=accounts,
            at_us=np.frombuffer(columns[1], _INT64),
            id_hash=np.frombuffer(columns[2], _UINT32),
            kind=np.frombuffer(columns[3], _UINT8),
            dwell_minutes=np.frombuffer(columns[4], _FLOAT64),
            session_hash=np.frombuffer(columns[5], _UINT32),
            contact=np.frombuffer(columns[6], _UINT8),
            prompted=np.frombuffer(columns[7], _BOOL),
            topics=np.frombuffer(columns[8], _UINT32).reshape(-1, TOPICS_PER_EVENT),
            topic_names=names,
        )
        rejections: list[Rejection] = []
        if unusual:
            decoded = self._decoder.decode([record(i) for i in unusual], now_us)
            rejections = [
                Rejection(unusual[r.index], r.reason, r.detail) for r in decoded.rejections
            ]
            if decoded.events:
                more = self._columns(decoded.events, decoded.times_us)
                if any(names.get(hash_, name) != name for hash_, name in more.topic_names.items()):
                    return None
                places = [unusual[i] for i in decoded.indices]
                indices = np.concatenate([indices, places])
                order = np.argsort(indices)
                batch = (batch + more).part(order)
                indices = indices[order]
                theirs = [topics[i] for i in indices.tolist()]
                reached_us = _medians(theirs, batch.at_us.tolist())
        others: list[Event] = []
        if positions := foreign(batch.accounts):
            again = [record(i) for i in indices[positions].tolist()]
            others = self._decoder.decode(again, now_us).events
            ours = np.delete(np.arange(len(batch)), positions)
            batch, indices = batch.part(ours), indices[ours]
        return Read(batch, indices, rejections, reached_us, others)


def _medians(topics: Iterable[str], times_us: Iterable[int]) -> dict[str, int]:
    """The median of the instants of each topic; of two in the middle the later one."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for topic, at_us in zip(topics, times_us, strict=True):
        found[topic].append(at_us)
    return {topic: sorted(times)[len(times) // 2] for topic, times in found.items()}
