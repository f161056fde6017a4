"""Events as columns to Kafka records: the only place where JSON is written."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson

from stream_app.traffic.campaigns import Campaign
from stream_app.traffic.columns import (
    CLICKED,
    DOWNLOAD,
    EMAIL,
    FLAWS,
    KINDS,
    MALFORMED,
    STREAMS,
    TYPES,
    VISIT,
    Events,
)
from stream_app.traffic.config import TrafficConfig
from stream_app.traffic.content import ASSETS, PAGES, REFERRERS, TOPICS
from stream_app.traffic.imperfections import spoil
from stream_app.traffic.population import Population

_REFERRERS = (*REFERRERS, *(page.url for page in PAGES))


class TrafficRecord(NamedTuple):
    """One record as a producer would send it."""

    topic: str
    """website-visits, content-downloads or email-events."""
    key: bytes
    """Account id."""
    value: bytes
    """JSON, except where the flaw is `malformed`."""
    occurred_at_us: int
    """When it happened, microseconds since 1970, UTC, whole milliseconds."""
    delivered_at_us: int
    """When it arrives in its topic; records come in this order."""
    flaw: str
    """"" for a good record, else duplicate, late or malformed."""


class Encoder:
    """Writes the events of one stream. The seed becomes part of every id."""

    def __init__(self, people: Population, config: TrafficConfig) -> None:
        self._accounts = people.account_ids
        self._keys = [a.encode() for a in people.account_ids]
        self._contacts = people.contact_ids
        self._seed = f"{config.seed:x}"
        self._with_type = config.with_type

    def records(self, events: Events, campaigns: Sequence[Campaign]) -> list[TrafficRecord]:
        """Records in the order of `events`; `campaigns` by index."""
        if not len(events):
            return []
        values = np.empty(len(events), dtype=object)
        for stream, encode in (
            (VISIT, self._visits),
            (DOWNLOAD, self._downloads),
            (EMAIL, self._emails),
        ):
            where = np.flatnonzero(events["stream"] == stream)
            encoded = encode(events[where], campaigns)
            if self._with_type:
                prefix = b'{"type":"%s",' % TYPES[stream].encode()
                encoded = [prefix + value[1:] for value in encoded]
            values[where] = encoded
        for i in np.flatnonzero(events["flaw"] == MALFORMED).tolist():
            values[i] = spoil(values[i], int(events["number"][i]), int(events["stream"][i]))
        keys, streams = self._keys, STREAMS
        return list(
            map(
                TrafficRecord,
                [streams[s] for s in events["stream"].tolist()],
                [keys[a] for a in events["account"].tolist()],
                values.tolist(),
                events["at"].tolist(),
                events["delivered"].tolist(),
                [FLAWS[f] for f in events["flaw"].tolist()],
            )
        )

    def _common(self, events: Events) -> tuple[list[int], list[str], list[int], list[int]]:
        """Number, time as text, account and contact of each event."""
        at = np.datetime_as_string((events["at"] // 1_000).view("M8[ms]"), timezone="UTC")
        return (
            events["number"].tolist(),
            at.tolist(),
            events["account"].tolist(),
            events["contact"].tolist(),
        )

    def _visits(self, events: Events, campaigns: Sequence[Campaign]) -> list[bytes]:
        names: list[str | None] = [*(c.campaign_id for c in campaigns), None]
        accounts, contacts, seed, dumps = self._accounts, self._contacts, self._seed, orjson.dumps
        dwell = events["dwell"].astype(np.float64).round(1).tolist()
        more = [events[c].tolist() for c in ("content", "session", "referrer", "campaign")]
        return [
            dumps(
                {
                    "id": f"v{seed}-{number}",
                    "occurred_at": at,
                    "account_id": accounts[account],
                    "contact_id": contacts[contact],
                    "url": PAGES[page][0],
                    "page_category": PAGES[page][1],
                    "topics": PAGES[page][2],
                    "dwell_seconds": seconds,
                    "session_id": f"s{seed}-{session}",
                    "referrer": _REFERRERS[referrer],
                    "campaign_id": names[campaign],
                }
            )
            for number, at, account, contact, seconds, page, session, referrer, campaign in zip(
                *self._common(events), dwell, *more, strict=True
            )
        ]

    def _downloads(self, events: Events, _: Sequence[Campaign]) -> list[bytes]:
        accounts, contacts, seed = self._accounts, self._contacts, self._seed
        return [
            orjson.dumps(
                {
                    "id": f"d{seed}-{number}",
                    "occurred_at": at,
                    "account_id": accounts[account],
                    "contact_id": contacts[contact],
                    "asset_id": asset.asset_id,
                    "asset_type": asset.asset_type,
                    "stage": asset.stage,
                    "topics": asset.topics,
                    "title": asset.title,
                }
            )
            for number, at, account, contact, asset in zip(
                *self._common(events), [ASSETS[a] for a in events["content"].tolist()], strict=True
            )
        ]

    def _emails(self, events: Events, campaigns: Sequence[Campaign]) -> list[bytes]:
        accounts, contacts, seed, dumps = self._accounts, self._contacts, self._seed, orjson.dumps
        facts = [(c.campaign_id, c.link_url, (TOPICS[c.topic],)) for c in campaigns]
        more = [events[c].tolist() for c in ("kind", "campaign", "machine")]
        return [
            dumps(
                {
                    "id": f"e{seed}-{number}",
                    "occurred_at": at,
                    "account_id": accounts[account],
                    "contact_id": contacts[contact],
                    "kind": KINDS[kind],
                    "campaign_id": facts[campaign][0],
                    "link_url": facts[campaign][1] if kind == CLICKED else None,
                    "topics": facts[campaign][2],
                    "machine_open": machine,
                }
            )
            for number, at, account, contact, kind, campaign, machine in zip(
                *self._common(events), *more, strict=True
            )
        ]
