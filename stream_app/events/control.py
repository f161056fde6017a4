"""Control events: what an operator asks for one account. They come on a topic of their own, so that
who may send events is not thereby allowed to erase accounts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stream_app.events.types import AccountId, EventId, Instant


class _Control(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    id: EventId
    occurred_at: Instant
    account_id: AccountId


class EraseAccount(_Control, frozen=True, kw_only=True, tag="account.erase", gc=False):
    """Forget an account. A later event of it begins a new life."""


class EraseContact(_Control, frozen=True, kw_only=True, tag="contact.erase", gc=False):
    """Forget that a contact was active in an account."""

    contact_id: Annotated[
        str,
        Meta(min_length=1, max_length=256, description="As in the events; an address is hashed."),
    ]


class RestateAccount(_Control, frozen=True, kw_only=True, tag="account.restate", gc=False):
    """Publish once more where an account stands; of one that is not known, that it is gone."""


Control = EraseAccount | EraseContact | RestateAccount

CONTROL_TYPES: dict[str, type[Control]] = {
    "account.erase": EraseAccount,
    "contact.erase": EraseContact,
    "account.restate": RestateAccount,
}
"""Control types by the name that stands in an event's `type`."""
