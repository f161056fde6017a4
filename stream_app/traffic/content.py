"""The invented vendor's website and assets: what there is to look at."""

from typing import NamedTuple

import numpy as np

from stream_app.traffic.behaviours import PAGE_CATEGORIES, STAGES, Ints

TOPICS = (
    "data-integration", "cloud-cost", "identity-access", "workflow-automation",
    "supply-planning", "fleet-telemetry", "invoice-matching", "demand-forecasting",
    "field-service", "contract-review", "carbon-reporting", "quality-inspection",
)  # fmt: skip

SITE = "https://www.vendor.example"

REFERRERS: tuple[str | None, ...] = (
    None,
    "https://search.example/",
    "https://social.example/",
    "https://partner.example/",
    "https://mail.example/",
)
"""How a session came to the site; None is a typed address or a bookmark."""
REFERRER_CDF = np.cumsum([0.38, 0.42, 0.12, 0.08, 0.0])
FROM_MAIL = 4

ASSETS_PER_STAGE = 3
_ASSETS = (
    (
        ("ebook", "{} in plain words"),
        ("report", "State of {} this year"),
        ("infographic", "{} on one page"),
    ),
    (
        ("webinar", "{}: three teams tell how"),
        ("whitepaper", "How to plan {}"),
        ("comparison", "{}: approaches compared"),
    ),
    (
        ("datasheet", "{} datasheet"),
        ("roi_calculator", "What {} pays back"),
        ("buyers_guide", "Buyer's guide to {}"),
    ),
)  # one row per stage

_PATHS: dict[str, tuple[str, ...]] = {
    "product": ("/product/{}", "/product/{}/features", "/product/{}/security"),
    "pricing": ("/pricing/{}", "/pricing/{}/plans"),
    "docs": (
        "/docs/{}/start", "/docs/{}/install", "/docs/{}/reference", "/docs/{}/limits",
        "/docs/{}/faq", "/docs/{}/upgrade", "/docs/{}/errors", "/docs/{}/examples",
    ),
    "blog": ("/blog/{}-why", "/blog/{}-how", "/blog/{}-mistakes", "/blog/{}-checklist",
             "/blog/{}-numbers", "/blog/{}-team"),
    "case_study": ("/customers/{}-maker", "/customers/{}-retailer"),
}  # fmt: skip
_PLAIN: dict[str, tuple[str, ...]] = {
    "home": ("/",),
    "careers": ("/careers", "/careers/engineering"),
    "other": ("/about", "/contact", "/events"),
}


class Page(NamedTuple):
    """A page of the site."""

    url: str
    category: str
    topics: tuple[str, ...]


class Asset(NamedTuple):
    """Something to download."""

    asset_id: str
    asset_type: str
    stage: str
    topics: tuple[str, ...]
    title: str


def _topics_of(category: str, topic: int, variant: int) -> tuple[str, ...]:
    """Topics of a page: its own, and on some pages related ones (0 to 3 in all)."""
    related = [TOPICS[(topic + step) % len(TOPICS)] for step in (1, 3)]
    extra = {"blog": variant % 3, "case_study": variant % 2}.get(category, 0)
    return (TOPICS[topic], *related[:extra])


def _build() -> tuple[tuple[Page, ...], Ints, Ints, Ints]:
    """All pages, and per category: first page, pages per topic, 1 if the category has topics."""
    pages: list[Page] = []
    first, count, by_topic = [], [], []
    for category in PAGE_CATEGORIES:
        first.append(len(pages))
        if category in _PLAIN:
            pages += [Page(SITE + path, category, ()) for path in _PLAIN[category]]
            count.append(len(_PLAIN[category]))
            by_topic.append(0)
            continue
        for topic, name in enumerate(TOPICS):
            for variant, path in enumerate(_PATHS[category]):
                url = SITE + path.format(name)
                pages.append(Page(url, category, _topics_of(category, topic, variant)))
        count.append(len(_PATHS[category]))
        by_topic.append(1)
    return tuple(pages), np.array(first), np.array(count), np.array(by_topic)


PAGES, _FIRST, _COUNT, _BY_TOPIC = _build()

ASSETS: tuple[Asset, ...] = tuple(
    Asset(f"{stage[0]}{topic:02d}{kind}", kind_name, stage, (name,), title.format(words))
    for topic, (name, words) in enumerate((t, t.replace("-", " ")) for t in TOPICS)
    for stage, kinds in zip(STAGES, _ASSETS, strict=True)
    for kind, (kind_name, title) in enumerate(kinds)
)


def page_index(category: Ints, topic: Ints, uniform: np.ndarray) -> Ints:
    """Page of each category (index in PAGE_CATEGORIES) and topic; `uniform` picks among several."""
    count = _COUNT[category]
    chosen: Ints = (
        _FIRST[category] + _BY_TOPIC[category] * topic * count + (uniform * count).astype(np.int64)
    )
    return chosen


def asset_index(stage: Ints, topic: Ints, uniform: np.ndarray) -> Ints:
    """Asset of each stage (index in STAGES) and topic; `uniform` picks among several."""
    kind = (uniform * ASSETS_PER_STAGE).astype(np.int64)
    chosen: Ints = (topic * len(STAGES) + stage) * ASSETS_PER_STAGE + kind
    return chosen
