"""Where accounts stand, as it is published and stored: many at a time, by columns.

A call of numpy costs nearly as much for one account as for a hundred, and objects of what only
becomes JSON cost more than the JSON. So what was decided is kept in columns, of which payloads are
made for who wants to look at them, and JSON for who sends it; compiled code makes the JSON of
ordinary accounts without payloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt

from stream_app import native
from stream_app.changes.types import AccountSegment, Band, Interest, SegmentRef, Standing
from stream_app.events.instants import to_rfc3339
from stream_app.features import decay
from stream_app.features.table import ACCOUNT, TOPIC_SLOT, TOPIC_SLOTS, Records, offsets_of
from stream_app.features.values import FEATURE_NAMES, Floats, values_at
from stream_app.intent.scores import BANDS, bands_of, scores_of
from stream_app.segments.snapshot import (
    NO_SEGMENT,
    UNSEGMENTED,
    UNSEGMENTED_NAME,
    Assigner,
    retired_name,
)
from stream_app.settings import ScoreSettings

_BANDS = cast(tuple[Band, ...], BANDS)

SCORE_DECIMALS, INTEREST_DECIMALS = 2, 3
FEATURE_DIGITS = 7
"""Significant ones, of published features. Nobody needs more, and all digits of a float would take
a fifth more room on Kafka, and a third more in Redis."""

_LEAST, _MOST = -300, 308
_TENS = np.array([float(f"1e{n}") for n in range(_LEAST, _MOST + 1)])

OTHER_TOPIC = "(other)"
"""What a topic is called whose name is not known."""

_encode = msgspec.json.Encoder().encode


def segment_ref(segment: int, assigner: Assigner | None) -> SegmentRef:
    """Id and name; a segment that the model no longer has keeps a name that says so."""
    if segment in (UNSEGMENTED, NO_SEGMENT) or assigner is None:
        return SegmentRef(id=max(segment, UNSEGMENTED), name=UNSEGMENTED_NAME)
    name = assigner.names.get(segment) or retired_name(segment, assigner.snapshot)
    return SegmentRef(id=segment, name=name)


class Refs(dict[int, SegmentRef]):
    """References by segment id, each made when it is first asked for."""

    def __init__(self, assigner: Assigner | None) -> None:
        super().__init__()
        self._assigner = assigner

    def __missing__(self, segment: int) -> SegmentRef:
        ref = self[segment] = segment_ref(segment, self._assigner)
        return ref


class Told(NamedTuple):
    """Where an account stands, ready to be sent."""

    account_id: str
    sequence: int
    as_of: bytes
    """RFC 3339."""
    value: bytes
    """JSON of its `AccountSegment`."""

    @classmethod
    def of(cls, account: AccountSegment) -> Told:
        """A payload."""
        as_of = account.as_of.encode()
        return cls(account.account_id, account.sequence, as_of, _encode(account))


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where n accounts stand."""

    ids: Sequence[str]
    records: Records
    """(n,) as of the instants `at_us`; their topics count."""
    current: Records
    """(n,) as they are now: they have the segment and the number of the latest change."""
    features: Floats
    """(n, features) as `Values.of` has them."""
    scores: Floats
    """(n, 2)"""
    bands: npt.NDArray[np.uint8]
    """(n, 2)"""
    at_us: npt.NDArray[np.int64]
    refs: Refs
    topic_names: dict[int, str]

    def payloads(self) -> list[AccountSegment]:
        """Of all of them."""
        columns = zip(
            self.ids,
            *(self.current[name].tolist() for name in _OF_NOW),
            standings(self.scores, self.bands),
            interests(self.records, self.topic_names, self.at_us),
            rounded(self.features).tolist(),
            self.at_us.tolist(),
            strict=True,
        )
        return [
            AccountSegment(
                account_id=account,
                sequence=sequence,
                segment=self.refs[segment],
                since=to_rfc3339(since_us),
                scores=standing,
                interests=followed,
                features=dict(zip(FEATURE_NAMES, named, strict=True)),
                model_version=model,
                as_of=to_rfc3339(as_of_us),
            )
            for (
                account,
                sequence,
                segment,
                since_us,
                model,
                standing,
                followed,
                named,
                as_of_us,
            ) in columns
        ]

    def told(self) -> list[Told]:
        """All of them, as JSON."""
        if not native.in_use:
            return [Told.of(account) for account in self.payloads()]
        segments = set(self.current["segment"].tolist())
        written = _writer().write(
            self.ids,
            self.records,
            self.current,
            _fading(self.records, self.at_us),
            self.features,
            self.scores,
            self.bands,
            self.at_us,
            {segment: _encode(self.refs[segment]) for segment in segments},
            self.topic_names,
            OTHER_TOPIC,
        )
        return [
            Told(*told) if told else Told.of(self._only(i).payloads()[0])
            for i, told in enumerate(written)
        ]

    def _only(self, i: int) -> Accounts:
        """One of them."""
        one = slice(i, i + 1)
        return replace(
            self,
            ids=self.ids[one],
            records=self.records[one],
            current=self.current[one],
            features=self.features[one],
            scores=self.scores[one],
            bands=self.bands[one],
            at_us=self.at_us[one],
        )


@lru_cache(maxsize=1)
def _writer() -> native.compiled.AccountWriter:
    """What all accounts have in common."""
    return native.compiled.AccountWriter(
        offsets_of(ACCOUNT),
        ACCOUNT.itemsize,
        offsets_of(TOPIC_SLOT),
        TOPIC_SLOT.itemsize,
        TOPIC_SLOTS,
        FEATURE_NAMES,
        BANDS,
        SCORE_DECIMALS,
        INTEREST_DECIMALS,
        FEATURE_DIGITS,
        _TENS.tolist(),
        _LEAST,
    )


_OF_NOW = ("sequence", "segment", "since_us", "model")


def accounts_at(
    accounts: Sequence[str],
    records: Records,
    assigner: Assigner | None,
    topic_names: dict[int, str],
    at_us: npt.NDArray[np.int64],
    settings: ScoreSettings,
) -> Accounts:
    """Where accounts stand, each as of its instant (not before its latest event)."""
    values = values_at(records, at_us)
    scores = scores_of(values, settings)
    return Accounts(
        accounts,
        records,
        records,
        values.of(slice(None)),
        scores,
        bands_of(scores, records["bands"], settings),
        at_us,
        Refs(assigner),
        topic_names,
    )


def account_at(
    account_id: str,
    records: Records,
    assigner: Assigner | None,
    topic_names: dict[int, str],
    at_us: int,
    settings: ScoreSettings,
) -> AccountSegment:
    """Where the account of the single record in `records` stands as of `at_us`."""
    when = np.array([at_us])
    one = accounts_at([account_id], records, assigner, topic_names, when, settings)
    return one.payloads()[0]


def standings(scores: Floats, bands: npt.NDArray[np.uint8]) -> list[Standing]:
    """(n, 2) scores and bands as they are published."""
    return [
        Standing(
            engagement=engagement,
            engagement_band=_BANDS[of_engagement],
            intent=intent,
            intent_band=_BANDS[of_intent],
        )
        for (engagement, intent), (of_engagement, of_intent) in zip(
            np.round(scores, SCORE_DECIMALS).tolist(), bands.tolist(), strict=True
        )
    ]


def interests(
    records: Records, topic_names: Mapping[int, str], at_us: npt.NDArray[np.int64]
) -> list[list[Interest]]:
    """Topics that each account follows, by recent, then usual interest, as of its instant."""
    slots, fading = records["topics"], _fading(records, at_us)
    return [
        [
            Interest(topic=topic, recent=-recent, usual=-usual)
            for recent, usual, topic in sorted(
                (-recent, -usual, topic_names.get(topic, OTHER_TOPIC))
                for topic, recent, usual in zip(*columns, strict=True)
                if topic
            )
        ]
        for columns in zip(
            slots["topic"].tolist(),
            np.round(slots["fast"] * fading[:, :1], INTEREST_DECIMALS).tolist(),
            np.round(slots["slow"] * fading[:, 2:], INTEREST_DECIMALS).tolist(),
            strict=True,
        )
    ]


def _fading(records: Records, at_us: npt.NDArray[np.int64]) -> Floats:
    return decay.fading(at_us, decay.period_of(records["latest_us"]))


def rounded(features: Floats) -> Floats:
    """To `FEATURE_DIGITS`; what is 0 or above.

    >>> rounded(np.array([-0.0, 0.0123456789, 30.60446218704006, 123456789.4])).tolist()
    [0.0, 0.01234568, 30.60446, 123456789.0]
    """
    exponents = _TENS.searchsorted(features, side="right") - 1 + _LEAST
    # Integers stay whole, and the power of ten finite.
    decimals = np.clip(FEATURE_DIGITS - 1 - exponents, 0, -_LEAST)
    powers = _TENS[decimals - _LEAST]
    found: Floats = np.rint(features * powers) / powers + 0.0  # never -0.0
    return found
