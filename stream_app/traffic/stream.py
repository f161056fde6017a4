"""The generator's public door: a config in, ground truth and hours of records out."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from stream_app.traffic.campaigns import Campaign
from stream_app.traffic.columns import Events
from stream_app.traffic.config import DAY_US, HOUR_US, TrafficConfig
from stream_app.traffic.encode import Encoder, TrafficRecord
from stream_app.traffic.sampler import Sampler
from stream_app.traffic.truth import GroundTruth
from stream_app.traffic.world import build_world


class Traffic:
    """Synthetic B2B traffic with known ground truth.

    The same config gives the same truth and the same bytes, however often and in
    whatever form it is asked for.

    >>> traffic = Traffic(TrafficConfig(accounts=50))
    >>> monday = list(traffic.records(days=1))
    >>> sorted({record.topic for record in monday})
    ['content-downloads', 'website-visits']
    >>> len(traffic.truth.accounts)
    50
    """

    def __init__(self, config: TrafficConfig | None = None) -> None:
        self.config = config or TrafficConfig()
        self._world = build_world(self.config)

    @property
    def truth(self) -> GroundTruth:
        """What is planted in the whole stream, known from the start."""
        return self._world.truth

    def hours(self, days: int | None = None) -> Iterator[list[TrafficRecord]]:
        """Records of each hour of simulated time, in order of delivery.

        Item h holds what is delivered in [start + h hours, start + h + 1 hours) and may be
        empty. Ends after `days` days, without what would be delivered later; without `days`
        it never ends.
        """
        encoder = Encoder(self._world.people, self.config)
        for day, events, campaigns in self._days(days):
            edges = self.config.start_us + day * DAY_US + np.arange(1, 25) * HOUR_US
            low = 0
            for high in np.searchsorted(events["delivered"], edges).tolist():
                yield encoder.records(events[low:high], campaigns)
                low = high

    def batches(self, days: int | None = None, size: int = 5_000) -> Iterator[list[TrafficRecord]]:
        """The same records in lists of at most `size`: lighter and faster for many accounts."""
        encoder = Encoder(self._world.people, self.config)
        for _, events, campaigns in self._days(days):
            for low in range(0, len(events), size):
                yield encoder.records(events[low : low + size], campaigns)

    def records(self, days: int | None = None) -> Iterator[TrafficRecord]:
        """The same records, one by one."""
        for batch in self.batches(days):
            yield from batch

    def _days(self, days: int | None) -> Iterator[tuple[int, Events, Sequence[Campaign]]]:
        """Number, delivered events and mailings so far of each day."""
        sampler = Sampler(self._world)
        for day in count() if days is None else range(days):
            yield day, sampler.day(day), sampler.campaigns
