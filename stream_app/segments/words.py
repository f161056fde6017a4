"""The words that segments are named with, and when each of them is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.segments.traits import NOTABLE, Traits

SLACK = 0.3
"""Thresholds give way by this share for a name that is already in use: a segment keeps its name
while it is still true, and figures near a threshold do not rename it back and forth."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a measure of `Traits` must be for a word to be true."""

    measure: str
    least: float = 0.0
    most: float = float("inf")

    def holds(self, traits: Traits, slack: float) -> bool:
        """Whether it is so, with thresholds that give way by a share (negative: are stricter)."""
        value = traits.measures[self.measure]
        return self.least * (1 - slack) <= value <= self.most * (1 + slack)


@dataclass(frozen=True, slots=True)
class Word:
    """A name, and what it says of the accounts."""

    name: str
    says: str
    """How a sentence about them begins."""
    bounds: tuple[Bound, ...] = ()
    dimension: str = ""
    """What they must be high in; empty: nothing special."""

    def holds(self, traits: Traits, slack: float = 0.0) -> bool:
        """Whether the word is true of a segment."""
        high = not self.dimension or traits.scaled[self.dimension] >= NOTABLE * (1 - slack)
        return high and all(bound.holds(traits, slack) for bound in self.bounds)


_QUIET = Bound("pace", most=0.5)
"""Less than half of what is usual for these accounts: to come rarely is not to have gone quiet."""


def _words(dimension: str, *words: tuple[str, str, tuple[Bound, ...]]) -> tuple[Word, ...]:
    return tuple(Word(name, says, bounds, dimension) for name, says, bounds in words)


TELLING: Mapping[str, tuple[Word, ...]] = {
    "silence_days": _words(
        "silence_days",
        (
            "Not yet engaged",
            "Have done nothing so far",
            (Bound("silence_days", 20.0), Bound("untouched", 0.7)),
        ),
        (
            "Lapsed",
            "Have not been heard of for long",
            (Bound("silence_days", 45.0), _QUIET),
        ),
        (
            "Gone quiet",
            "Were active, and have gone quiet",
            (Bound("silence_days", 10.0), _QUIET),
        ),
        (
            "Cooling down",
            "Do less than they used to",
            (Bound("silence_days", 3.0), _QUIET),
        ),
    ),
    "pricing_pages_28d": _words(
        "pricing_pages_28d",
        ("Pricing researchers", "Study prices", (Bound("pricing_pages_28d", 1.0),)),
    ),
    "downloads_decision_28d": _words(
        "downloads_decision_28d",
        (
            "Late-stage evaluators",
            "Fetch what a buyer needs",
            (Bound("downloads_decision_28d", 0.2),),
        ),
    ),
    "product_pages_28d": _words(
        "product_pages_28d",
        (
            "Heavy product explorers",
            "Look at many products",
            (Bound("product_pages_28d", 30.0), Bound("product_share", 0.25)),
        ),
        (
            "Product explorers",
            "Look at products",
            (Bound("product_pages_28d", 2.0), Bound("product_share", 0.25)),
        ),
    ),
    "downloads_early_28d": _words(
        "downloads_early_28d",
        (
            "Content readers",
            "Read and download content",
            (Bound("downloads_early_28d", 0.4), Bound("downloads_per_page", 0.04)),
        ),
    ),
    "email_opens_28d": _words(
        "email_opens_28d", ("Newsletter readers", "Read e-mails", (Bound("email_opens_28d", 1.0),))
    ),
    "email_clicks_28d": _words(
        "email_clicks_28d",
        (
            "E-mail responders",
            "Answer e-mails whose opening is not seen",
            (Bound("email_clicks_28d", 0.4), Bound("email_opens_28d", most=1.0)),
        ),
    ),
    "web_visits_28d": _words(
        "web_visits_28d",
        ("Heavy site users", "Use the site a lot", (Bound("web_visits_28d", 60.0),)),
        ("Frequent visitors", "Visit the site often", (Bound("web_visits_28d", 15.0),)),
    ),
    "web_visits_7d": _words(
        "web_visits_7d",
        (
            "Active this week",
            "Do more than usual this week",
            (Bound("web_visits_7d", 3.0), Bound("pace", 1.5)),
        ),
    ),
    "contacts_28d": (),
}
"""Words for segments that are high in a dimension. Dimensions come from the most to the least
telling, the words of one from the narrowest to the widest: the first that is true is taken. A
dimension may have none: a name says what accounts do, and how many people they are does not."""

GENERAL = (
    Word(
        "Regular visitors",
        "Come regularly",
        (Bound("web_visits_28d", 8.0), Bound("silence_days", most=7.0)),
    ),
    Word("Occasional visitors", "Come now and then", (Bound("web_visits_28d", 1.0),)),
    Word("Rare visitors", "Hardly ever come"),
)
"""Words for segments of which no telling word is true."""

QUALIFIERS: Mapping[str, tuple[str, str]] = {
    "web_visits_7d": ("busier this week", "calmer this week"),
    "web_visits_28d": ("more visits", "fewer visits"),
    "product_pages_28d": ("more product pages", "fewer product pages"),
    "pricing_pages_28d": ("more pricing pages", "fewer pricing pages"),
    "downloads_early_28d": ("more downloads", "fewer downloads"),
    "downloads_decision_28d": ("more buying downloads", "fewer buying downloads"),
    "email_opens_28d": ("more e-mails opened", "fewer e-mails opened"),
    "email_clicks_28d": ("more e-mail clicks", "fewer e-mail clicks"),
    "contacts_28d": ("more people", "fewer people"),
    "silence_days": ("silent for longer", "active more recently"),
}
"""What tells a segment from another one of the same word: (higher, lower), by dimension."""

EVERY = (*(word for words in TELLING.values() for word in words), *GENERAL)
"""All words. No name is the beginning of another one and a comma."""
