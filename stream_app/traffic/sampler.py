"""One pass over a stream: draws the events of each day and holds back what arrives later."""

import numpy as np

from stream_app.traffic.behaviours import Bools
from stream_app.traffic.campaigns import Campaign, campaign_of_day, mail
from stream_app.traffic.columns import (
    BOUNCED,
    DELIVERED,
    EMAIL,
    EVENT,
    SENT,
    SESSION,
    Events,
    Sessions,
)
from stream_app.traffic.config import DAY_US
from stream_app.traffic.imperfections import deliver
from stream_app.traffic.rhythm import DayRhythm
from stream_app.traffic.web import expand, habitual_sessions
from stream_app.traffic.world import World


class Sampler:
    """What one pass remembers: the mailing list, the mailings, events not yet delivered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._subscribed = world.people.subscribed.copy()
        self._pending: Events = np.zeros(0, dtype=EVENT)
        self._next_number = 0
        self._next_session = 0
        self.campaigns: list[Campaign] = []
        """Mailings so far, by index."""

    def day(self, day: int) -> Events:
        """Events delivered on a day, in order of delivery. Ask for the days one by one, from 0."""
        config = self._world.config
        start_us = config.start_us + day * DAY_US
        # Imperfections have their own generator: the good events do not depend on their rates.
        happened = self._happen(np.random.default_rng([config.seed, 10, day]), start_us)
        events = deliver(np.random.default_rng([config.seed, 11, day]), config, happened)
        waiting = np.concatenate([self._pending, events])
        waiting = waiting[np.argsort(waiting["delivered"], kind="stable")]
        cut = int(np.searchsorted(waiting["delivered"], start_us + DAY_US))
        self._pending = waiting[cut:].copy()
        return waiting[:cut]

    def _happen(self, rng: np.random.Generator, start_us: int) -> Events:
        """Events that a day brings about, by time; some reactions to mail lie days ahead."""
        w = self._world
        emails, clicks = self._mail(rng, start_us)
        day = DayRhythm.of(start_us)
        sessions = np.concatenate(
            [
                habitual_sessions(rng, w.people, w.timeline, w.habits, day, w.config.activity),
                w.bursts.between(start_us, start_us + DAY_US),
                clicks,
            ]
        )
        web = expand(rng, w.habits, sessions, self._next_session)
        self._next_session += len(sessions)
        events = np.concatenate([web, emails])
        events["at"] -= events["at"] % 1_000
        events = events[~self._prevented(events)]
        events = events[np.argsort(events["at"], kind="stable")]
        events["number"] = self._next_number + np.arange(len(events))
        self._next_number += len(events)
        return events

    def _mail(self, rng: np.random.Generator, start_us: int) -> tuple[Events, Sessions]:
        """The day's mailing, if there is one, and the sessions that its clicks lead to."""
        w = self._world
        campaign = campaign_of_day(
            rng, start_us, w.config.campaigns_per_week, index=len(self.campaigns)
        )
        if campaign is None:
            return np.zeros(0, dtype=EVENT), np.zeros(0, dtype=SESSION)
        self.campaigns.append(campaign)
        mailing = mail(rng, campaign, w.people, w.timeline, w.habits, self._subscribed)
        self._subscribed[mailing.leaving] = False
        return mailing.events, mailing.clicks

    def _prevented(self, events: Events) -> Bools:
        """What a person would have done in an account that has gone quiet by then."""
        sent = np.isin(events["kind"], (SENT, DELIVERED, BOUNCED)) | events["machine"]
        by_itself = (events["stream"] == EMAIL) & sent
        quiet = self._world.timeline.quiet_at(events["account"], events["at"])
        prevented: Bools = quiet & ~by_itself
        return prevented
