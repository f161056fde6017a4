"""Every feature, declared once. Table columns, docs, schemas and explanations derive from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from stream_app.events.batch import Kind

PAGES = {Kind.VISIT: 1.0, Kind.VISIT_PRODUCT: 1.0, Kind.VISIT_PRICING: 1.0}
DOWNLOADS = {
    Kind.DOWNLOAD_AWARENESS: 1.0,
    Kind.DOWNLOAD_CONSIDERATION: 1.0,
    Kind.DOWNLOAD_DECISION: 1.0,
}

HALF_LIVES_DAYS = (1, 7, 28)
"""The half-lives in use. Each divides `decay.PERIOD_DAYS`, so that re-basing is exact."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """A forward-decayed sum over an account's events.

    Under a steady rate of r per day it settles at r * half_life / ln 2.
    """

    name: str
    unit: str
    half_life_days: int
    meaning: str
    weights: Mapping[Kind, float] = field(default_factory=dict)
    """What one event of a kind adds."""
    source: Literal["kind", "dwell", "session", "day", "engagement", "intent"] = "kind"
    """Where the amount comes from: `weights`, minutes on the page, 1 for the first event of a
    session or of a day on which a person did something, or the points of the settings
    (`scores.engagement_points`, `scores.intent_points`)."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A number computed from the account's state when it is asked for."""

    name: str
    unit: str
    meaning: str


ROLLING = (
    Rolling("web_visits_1d", "pages", 1, "Pages seen lately, within about a day.", PAGES),
    Rolling("web_visits_7d", "pages", 7, "Pages seen within about a week.", PAGES),
    Rolling("web_visits_28d", "pages", 28, "Pages seen within about a month.", PAGES),
    Rolling("web_sessions_7d", "sessions", 7, "Visits to the site, a week.", source="session"),
    Rolling("web_sessions_28d", "sessions", 28, "Visits to the site, a month.", source="session"),
    Rolling("dwell_minutes_7d", "minutes", 7, "Time on pages, a week.", source="dwell"),
    Rolling(
        "product_pages_7d", "pages", 7, "Product pages seen, a week.", {Kind.VISIT_PRODUCT: 1.0}
    ),
    Rolling(
        "product_pages_28d", "pages", 28, "Product pages seen, a month.", {Kind.VISIT_PRODUCT: 1.0}
    ),
    Rolling(
        "pricing_pages_7d", "pages", 7, "Pricing pages seen, a week.", {Kind.VISIT_PRICING: 1.0}
    ),
    Rolling(
        "pricing_pages_28d", "pages", 28, "Pricing pages seen, a month.", {Kind.VISIT_PRICING: 1.0}
    ),
    Rolling("downloads_7d", "downloads", 7, "Downloads of any stage, a week.", DOWNLOADS),
    Rolling(
        "downloads_awareness_28d",
        "downloads",
        28,
        "Introductory content downloaded, a month.",
        {Kind.DOWNLOAD_AWARENESS: 1.0},
    ),
    Rolling(
        "downloads_consideration_28d",
        "downloads",
        28,
        "Comparing content downloaded, a month.",
        {Kind.DOWNLOAD_CONSIDERATION: 1.0},
    ),
    Rolling(
        "downloads_decision_28d",
        "downloads",
        28,
        "Buying content downloaded, a month.",
        {Kind.DOWNLOAD_DECISION: 1.0},
    ),
    Rolling(
        "email_opens_28d",
        "opens",
        28,
        "E-mails opened by a person, a month.",
        {Kind.EMAIL_OPENED: 1.0},
    ),
    Rolling(
        "email_clicks_7d", "clicks", 7, "Links clicked in e-mails, a week.", {Kind.EMAIL_CLICKED: 1}
    ),
    Rolling(
        "email_clicks_28d",
        "clicks",
        28,
        "Links clicked in e-mails, a month.",
        {Kind.EMAIL_CLICKED: 1.0},
    ),
    Rolling(
        "email_replies_28d",
        "replies",
        28,
        "E-mails answered, a month.",
        {Kind.EMAIL_REPLIED: 1.0},
    ),
    Rolling(
        "email_unsubscribes_28d",
        "people",
        28,
        "Unsubscribed or complained, a month.",
        {Kind.EMAIL_UNSUBSCRIBED: 1.0},
    ),
    Rolling("active_days_28d", "days", 28, "Days with something a person did.", source="day"),
    Rolling("engagement_points_1d", "points", 1, "All activity, weighted.", source="engagement"),
    Rolling("engagement_points_7d", "points", 7, "All activity, weighted.", source="engagement"),
    Rolling("engagement_points_28d", "points", 28, "All activity, weighted.", source="engagement"),
    Rolling("intent_points_7d", "points", 7, "Activity close to buying.", source="intent"),
)

DERIVED = (
    Derived("contacts_7d", "people", "Distinct people active within 7 days (estimate)."),
    Derived("contacts_28d", "people", "Distinct people active within 28 days (estimate)."),
    Derived("silence_days", "days", "Time since a person of the account last did something."),
    Derived(
        "momentum",
        "ratio",
        "Activity rate of the last week over that of the last month; 1: steady.",
    ),
    Derived("email_share", "share", "Part of the month's activity that was e-mail."),
)

ROLLING_INDEX = {feature.name: i for i, feature in enumerate(ROLLING)}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One coordinate of the model vector: log(1 + sum of some features)."""

    name: str
    features: tuple[str, ...]
    label: str
    """How a person would call it, for reasons and names."""
    unit: str


MODEL_VECTOR = (
    Dimension("web_visits_7d", ("web_visits_7d",), "page views this week", "pages"),
    Dimension("web_visits_28d", ("web_visits_28d",), "page views this month", "pages"),
    Dimension("product_pages_28d", ("product_pages_28d",), "product pages", "pages"),
    Dimension("pricing_pages_28d", ("pricing_pages_28d",), "pricing pages", "pages"),
    Dimension(
        "downloads_early_28d",
        ("downloads_awareness_28d", "downloads_consideration_28d"),
        "introductory and comparing downloads",
        "downloads",
    ),
    Dimension(
        "downloads_decision_28d", ("downloads_decision_28d",), "buying downloads", "downloads"
    ),
    Dimension("email_opens_28d", ("email_opens_28d",), "e-mails opened", "opens"),
    Dimension(
        "email_clicks_28d",
        ("email_clicks_28d", "email_replies_28d"),
        "e-mail clicks and replies",
        "clicks",
    ),
    Dimension("contacts_28d", ("contacts_28d",), "active people", "people"),
    Dimension("silence_days", ("silence_days",), "days of silence", "days"),
)
"""What the clustering model sees of an account, in this order."""


def catalogue_hash() -> str:
    """Fingerprint of the model vector's meaning. A snapshot of another fingerprint is refused."""
    parts = [f"{d.name}={'+'.join(d.features)}" for d in MODEL_VECTOR] + [
        f"{f.name}:{f.half_life_days}:{f.source}:{sorted(f.weights.items())}" for f in ROLLING
    ]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
