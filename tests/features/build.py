"""Events and columns for tests, without a wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from stream_app.events.batch import Columns, EventBatch, Kind
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import parse
from stream_app.events.types import ContentDownload, EmailEngagement, Event, WebsiteVisit
from stream_app.features import update
from stream_app.features.table import FeatureTable
from stream_app.settings import ScoreSettings

START_US = parse("2025-01-06T00:00:00Z")
"""A Monday in the middle of a 28-day period."""

_columns = Columns(Pseudonyms())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_BUILDERS: dict[Kind, tuple[type[Event], dict[str, Any]]] = {
    Kind.PASSIVE: (EmailEngagement, {"kind": "sent"}),
    Kind.VISIT: (WebsiteVisit, {}),
    Kind.VISIT_PRODUCT: (WebsiteVisit, {"page_category": "product"}),
    Kind.VISIT_PRICING: (WebsiteVisit, {"page_category": "pricing"}),
    Kind.DOWNLOAD_AWARENESS: (ContentDownload, {"stage": "awareness"}),
    Kind.DOWNLOAD_CONSIDERATION: (ContentDownload, {"stage": "consideration"}),
    Kind.DOWNLOAD_DECISION: (ContentDownload, {"stage": "decision"}),
    Kind.EMAIL_OPENED: (EmailEngagement, {"kind": "opened"}),
    Kind.EMAIL_CLICKED: (EmailEngagement, {"kind": "clicked"}),
    Kind.EMAIL_REPLIED: (EmailEngagement, {"kind": "replied"}),
    Kind.EMAIL_UNSUBSCRIBED: (EmailEngagement, {"kind": "unsubscribed"}),
}


def event(
    kind: Kind = Kind.VISIT, at_us: int = START_US, account: str = "a", id_: str = "", **fields: Any
) -> Event:
    """An event of a kind; its id is unique per account, kind and instant unless given."""
    type_, given = _BUILDERS[kind]
    return type_(
        id=id_ or f"{account}-{kind}-{at_us}",
        occurred_at=_EPOCH + timedelta(microseconds=at_us),
        account_id=account,
        **(given | fields),
    )


def columns(events: Sequence[Event]) -> EventBatch:
    """Columns of events."""
    times = [(e.occurred_at - _EPOCH) // timedelta(microseconds=1) for e in events]
    return _columns(events, times)


def apply(
    table: FeatureTable, events: Sequence[Event], settings: ScoreSettings | None = None
) -> None:
    """Apply events one after the other, without an engine around."""
    weights = update.Weights(settings or ScoreSettings())
    batch = columns(events)
    rows = table.rows_of(batch.accounts)
    for i in range(len(batch)):
        records = table.data[rows[[i]]]
        update.advance(records, batch.at_us[[i]])
        update.add(records, batch, np.array([i]), weights)
        table.data[rows[[i]]] = records


def applied(events: Sequence[Event], settings: ScoreSettings | None = None) -> FeatureTable:
    """A table that events were applied to."""
    table = FeatureTable()
    apply(table, events, settings)
    return table
