"""The input events. These types are the schema: JSON Schemas and AsyncAPI are generated from them.

Readers are tolerant: unknown fields are ignored. A field that is present must fit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

EventId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        description="Unique id given by the producer; a second event with it is a duplicate.",
    ),
]
AccountId = Annotated[
    str, Meta(min_length=1, max_length=256, description="The company. Also the record's key.")
]
Name = Annotated[str, Meta(max_length=256)]
Url = Annotated[str, Meta(max_length=4096)]
Campaign = Annotated[Name, Meta(description="The campaign that it belongs to.")]
Topic = Annotated[str, Meta(min_length=1, max_length=128)]
Topics = Annotated[
    list[Topic],
    Meta(max_length=32, description="What it was about. The first four count as interest."),
]
Instant = Annotated[
    datetime, Meta(tz=True, description="When it happened: RFC 3339 with an offset.")
]


class _Event(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Fields of every event."""

    id: EventId
    occurred_at: Instant
    account_id: AccountId
    contact_id: (
        Annotated[
            str,
            Meta(
                max_length=256,
                description="The person, opaque. An e-mail address is hashed before it is used.",
            ),
        ]
        | None
    ) = None
    topics: Topics = []


class WebsiteVisit(_Event, frozen=True, kw_only=True, tag="website.visit", gc=False):
    """A contact looked at a page."""

    url: Annotated[Url, Meta(description="Address of the page.")] = ""
    page_category: Annotated[
        Name,
        Meta(
            description="`pricing` and `product` count toward intent; others are plain visits.",
            examples=["pricing", "product", "docs", "blog"],
        ),
    ] = ""
    dwell_seconds: Annotated[
        float, Meta(ge=0, description="Time on the page, in seconds; counted up to one hour.")
    ] = 0.0
    session_id: Annotated[Name, Meta(description="Pages of one session share it.")] = ""
    referrer: Annotated[Url, Meta(description="Address that the visitor came from.")] | None = None
    campaign_id: Campaign | None = None


class ContentDownload(_Event, frozen=True, kw_only=True, tag="content.download", gc=False):
    """A contact downloaded an asset."""

    asset_id: Annotated[Name, Meta(description="The producer's id of the asset.")] = ""
    asset_type: Annotated[Name, Meta(examples=["whitepaper", "price-list", "webinar"])] = ""
    stage: Annotated[
        Literal["awareness", "consideration", "decision"],
        Meta(description="Stage of the buying process that the asset is made for."),
    ]
    title: Annotated[str, Meta(max_length=1024, description="For people.")] | None = None


EmailKind = Literal[
    "sent",
    "delivered",
    "opened",
    "clicked",
    "replied",
    "bounced",
    "unsubscribed",
    "complained",
]


class EmailEngagement(_Event, frozen=True, kw_only=True, tag="email.engagement", gc=False):
    """Something happened to an e-mail that was sent to a contact."""

    kind: EmailKind
    campaign_id: Campaign | None = None
    link_url: Annotated[Url, Meta(description="What was clicked.")] | None = None
    machine_open: Annotated[
        bool, Meta(description="Opened by a mail proxy; not engagement of a person.")
    ] = False


Event = WebsiteVisit | ContentDownload | EmailEngagement

EVENT_TYPES: dict[str, type[Event]] = {
    "website.visit": WebsiteVisit,
    "content.download": ContentDownload,
    "email.engagement": EmailEngagement,
}
"""Event types by the name that stands in an event's `type` and in CloudEvents' `type`."""
