"""Mailings: who gets them and what people and machines do with them."""

from dataclasses import dataclass

import numpy as np

from stream_app.traffic.behaviours import LANDING_ROW, Bools, HabitTable, Ints
from stream_app.traffic.columns import (
    BOUNCED,
    CLICKED,
    COMPLAINED,
    DELIVERED,
    EMAIL,
    OPENED,
    REPLIED,
    SENT,
    SESSION,
    UNSUBSCRIBED,
    Events,
    Sessions,
    blank,
)
from stream_app.traffic.config import DAY_US, HOUR_US
from stream_app.traffic.content import FROM_MAIL, SITE, TOPICS
from stream_app.traffic.population import Population
from stream_app.traffic.rhythm import ZONES_MINUTES, after_night
from stream_app.traffic.timeline import Timeline

_MINUTE_US = 60_000_000
_SEND_HOUR_UTC = 13
_WEEKDAYS = (1, 2, 3, 0, 4)
"""Sending days in order of preference, Monday is 0; the first is the newsletter's."""

_HARD_BOUNCE, _SOFT_BOUNCE, _LOST = 0.002, 0.008, 0.004
_MACHINE_OPEN, _MACHINE_OPEN_PROXIED = 0.03, 0.85
_COMPLAINT = 0.0004


@dataclass(frozen=True, slots=True)
class Campaign:
    """One mailing. `index` numbers the mailings of a stream."""

    index: int
    campaign_id: str
    topic: int
    newsletter: bool
    sent_us: int

    @property
    def link_url(self) -> str:
        """Where its links lead."""
        return f"{SITE}/blog/{TOPICS[self.topic]}-why?utm_campaign={self.campaign_id}"


def campaign_of_day(
    rng: np.random.Generator, day_start_us: int, per_week: int, index: int
) -> Campaign | None:
    """The mailing that goes out in the 24 hours from `day_start_us`, if there is one."""
    wait = (_SEND_HOUR_UTC * HOUR_US - day_start_us) % DAY_US
    sent_us = day_start_us + wait + int(rng.integers(60)) * _MINUTE_US
    topic = int(rng.integers(len(TOPICS)))
    weekday = (sent_us // DAY_US + 3) % 7
    if weekday not in _WEEKDAYS[:per_week]:
        return None
    newsletter = weekday == _WEEKDAYS[0]
    name = "newsletter" if newsletter else TOPICS[topic]
    return Campaign(index, f"{name}-{index + 1:04d}", topic, newsletter, sent_us)


@dataclass(frozen=True, slots=True)
class Mailing:
    """What came of one campaign."""

    events: Events
    clicks: Sessions
    """Website sessions that clicks lead to."""
    leaving: Ints
    """Contacts that must get no further mail."""


def mail(
    rng: np.random.Generator,
    campaign: Campaign,
    people: Population,
    timeline: Timeline,
    habits: HabitTable,
    subscribed: Bools,
) -> Mailing:
    """Send one campaign. Rates depend on how each account behaves when the mail arrives."""
    contact = _recipients(rng, campaign, people, subscribed)
    account, n = people.owner[contact], len(contact)
    sent = campaign.sent_us + rng.integers(15 * _MINUTE_US, size=n)
    arrived = sent + rng.integers(1_000_000, 40_000_000, n)
    fate = rng.random(n)
    hard = fate < _HARD_BOUNCE
    bounced = fate < _HARD_BOUNCE + _SOFT_BOUNCE
    delivered = fate >= _HARD_BOUNCE + _SOFT_BOUNCE + _LOST

    row = timeline.row_at(account, arrived)
    scanned = delivered & (
        rng.random(n) < np.where(people.proxied[account], _MACHINE_OPEN_PROXIED, _MACHINE_OPEN)
    )
    scanned_at = arrived + (rng.exponential(90.0, n) * 1e6).astype(np.int64)

    offset = ZONES_MINUTES[people.zone[account]]
    opens = delivered & (rng.random(n) < habits.opens[row])
    wait = np.exp(rng.normal(np.log(1.8), 1.2, n)) * HOUR_US
    opened_at = after_night(arrived + np.minimum(wait, 6 * DAY_US).astype(np.int64), offset)
    again = opens & (rng.random(n) < 0.2)
    clicks = opens & (rng.random(n) < habits.clicks[row])
    clicked_at = opened_at + rng.integers(4_000_000, 120_000_000, n)
    replies = opens & (rng.random(n) < habits.replies[row])
    leaves = opens & (rng.random(n) < habits.unsubscribes[row])
    complains = delivered & (rng.random(n) < _COMPLAINT)

    def hours(low: float, high: float) -> Ints:
        later: Ints = (rng.uniform(low, high, n) * HOUR_US).astype(np.int64)
        return later

    parts = [
        (SENT, sent, np.ones(n, dtype=np.bool_), False),
        (DELIVERED, arrived, delivered, False),
        (BOUNCED, arrived, bounced, False),
        (OPENED, scanned_at, scanned, True),
        (OPENED, opened_at, opens, False),
        (OPENED, after_night(opened_at + hours(0.3, 30), offset), again, False),
        (CLICKED, clicked_at, clicks, False),
        (REPLIED, opened_at + hours(0.05, 4), replies, False),
        (UNSUBSCRIBED, opened_at + hours(0.003, 0.05), leaves, False),
        (COMPLAINED, opened_at + hours(0.003, 0.05), complains, False),
    ]
    events = [_emails(campaign, kind, at, machine, account, contact, mask)
              for kind, at, mask, machine in parts]  # fmt: skip
    landed = np.zeros(int(clicks.sum()), dtype=SESSION)
    landed["at"] = clicked_at[clicks] + 1_500_000
    landed["account"], landed["contact"] = account[clicks], contact[clicks]
    landed["habit"], landed["topic"] = LANDING_ROW, campaign.topic
    landed["referrer"], landed["campaign"] = FROM_MAIL, campaign.index
    return Mailing(np.concatenate(events), landed, contact[hard | leaves | complains])


def _recipients(
    rng: np.random.Generator, campaign: Campaign, people: Population, subscribed: Bools
) -> Ints:
    """Contacts on the list; a topical mailing goes to accounts interested in it and some more."""
    chosen = subscribed
    if not campaign.newsletter:
        interested = (people.topics == campaign.topic).any(axis=1)
        audience = interested | (rng.random(len(interested)) < 0.3)
        chosen = subscribed & audience[people.owner]
    return np.flatnonzero(chosen)


def _emails(
    campaign: Campaign,
    kind: int,
    at: Ints,
    machine: bool,
    account: Ints,
    contact: Ints,
    mask: Bools,
) -> Events:
    """One kind of email event for the recipients in `mask`."""
    events = blank(int(mask.sum()))
    events["stream"], events["kind"], events["machine"] = EMAIL, kind, machine
    events["at"], events["account"], events["contact"] = at[mask], account[mask], contact[mask]
    events["campaign"] = campaign.index
    return events
