"""Interest per topic, fast and slow, in the few topics that are followed of each account."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stream_app.events.batch import TOPICS_PER_EVENT, EventBatch
from stream_app.features import decay
from stream_app.features.table import TOPIC_SLOT, Records
from stream_app.intent.spikes import Candidates, candidates, counts_for_spikes, note_visits
from stream_app.settings import SpikeSettings

_FAST, _SLOW = 0, 2  # columns of `decay.growth`: half-lives of 1 and 28 days


def add_interest(
    records: Records, batch: EventBatch, index: npt.NDArray[np.int64], settings: SpikeSettings
) -> Iterator[Candidates]:
    """Add the topics of events `index` to their records; yields what may be a spike, with
    the position in `index` as its point.

    Records and columns as in `features.update`, whose functions must have been called before.
    """
    topics = batch.topics[index]
    evidence = counts_for_spikes(batch, index, settings)
    for j in range(TOPICS_PER_EVENT):
        chosen = topics[:, j].nonzero()[0]
        if not len(chosen):
            return
        slot = _slot_of(records, chosen, topics[chosen, j])
        _count(records, chosen, slot, batch.at_us[index[chosen]])
        telling = evidence[chosen].nonzero()[0]
        if not len(telling):
            continue
        chosen, slot = chosen[telling], slot[telling]
        event = index[chosen]
        slots = note_visits(records, chosen, slot, batch.at_us[event], batch.contact[event])
        yield candidates(records, chosen, slots, batch.at_us[event], settings)


def _slot_of(
    records: Records, chosen: npt.NDArray[np.int64], topic: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """Slot of each topic; where it has none, the slot with the least slow interest is emptied."""
    slots = records["topics"]
    match = slots["topic"][chosen] == topic[:, None]
    slot: npt.NDArray[np.int64] = match.argmax(axis=1)
    fresh = (~match.any(axis=1)).nonzero()[0]
    if len(fresh):
        slot[fresh] = slots["slow"][chosen[fresh]].argmin(axis=1)
        empty = np.zeros(len(fresh), TOPIC_SLOT)
        empty["topic"] = topic[fresh]
        slots[chosen[fresh], slot[fresh]] = empty
    return slot


def _count(
    records: Records,
    chosen: npt.NDArray[np.int64],
    slot: npt.NDArray[np.int64],
    at_us: decay.Times,
) -> None:
    """Add an event to each slot."""
    growth = decay.growth(at_us, decay.period_of(records["latest_us"][chosen]))
    topics = records["topics"]
    topics["fast"][chosen, slot] += growth[:, _FAST]
    topics["slow"][chosen, slot] += growth[:, _SLOW]
