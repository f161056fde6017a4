"""The generator's public door: a config in, ground truth and hours of records out."""

from collections.abc import Iterator

import numpy as np

from stream_app.traffic.config import DAY_US, HOUR_US, TrafficConfig
from stream_app.traffic.encode import Encoder, TrafficRecord
from stream_app.traffic.sampler import Sampler
from stream_app.traffic.truth import GroundTruth
from stream_app.traffic.world import build_world


class Traffic:
    """Synthetic B2B traffic with known ground truth.

    The same config gives the same truth and the same bytes, each time `hours` is called.

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
        sampler = Sampler(self._world)
        encoder = Encoder(self._world.people, self.config)
        day = 0
        while days is None or day < days:
            events = sampler.day(day)
            edges = self.config.start_us + day * DAY_US + np.arange(1, 25) * HOUR_US
            low = 0
            for high in np.searchsorted(events["delivered"], edges).tolist():
                yield encoder.records(events[low:high], sampler.campaigns)
                low = high
            day += 1

    def records(self, days: int | None = None) -> Iterator[TrafficRecord]:
        """The records of `hours`, one by one."""
        for hour in self.hours(days):
            yield from hour
