"""Where accounts stand is the same JSON, byte for byte, with payloads and without."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.changes.accounts import Accounts, Refs, Told
from stream_app.changes.types import AccountSegment
from stream_app.events.instants import DAY, SECOND, from_datetime
from stream_app.features.table import ACCOUNT, TOPIC_SLOTS, Records
from stream_app.features.values import FEATURE_NAMES
from stream_app.segments.snapshot import Assigner
from tests.engine.scenario import QUIET_OR_BUSY
from tests.features.build import START_US
from tests.native.paths import need_native, taking

FIRST = from_datetime(datetime(1, 1, 1, tzinfo=UTC)) + 60 * DAY
LAST = from_datetime(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
instants = st.one_of(
    st.integers(START_US, START_US + 400 * DAY),
    st.integers(FIRST, LAST),
    st.integers(FIRST // SECOND, LAST // SECOND).map(lambda seconds: seconds * SECOND),
)
amounts = st.one_of(
    st.floats(0, 1e3),
    st.floats(0, 1e18),
    st.floats(0, 1e-4),
    st.floats(0, 1, allow_subnormal=True),
    st.integers(0, 2_000).map(float),
    st.integers(-320, 22).map(lambda n: float(f"1e{n}")),
    st.integers(-30, 22).map(lambda n: float(np.nextafter(10.0**n, 0.0))),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 9.9999995, 0.00001, 9.999999e-6, 1e15, 1e16]),
)
texts = st.one_of(st.text(max_size=8), st.text('"\\/\b\f\n\r\t\0\x1f\x7f ä€😀', max_size=8))


@st.composite
def columns(draw: st.DrawFn) -> Accounts:
    """Some accounts of which everything that is told is drawn."""
    n = draw(st.integers(0, 4))
    records, current = np.zeros(n, ACCOUNT), np.zeros(n, ACCOUNT)
    at_us = np.array([draw(instants) for _ in range(n)], np.int64)
    for i in range(n):
        records["latest_us"][i] = at_us[i] - draw(st.integers(0, 60 * DAY))
        for slot in range(draw(st.integers(0, TOPIC_SLOTS))):
            interest = draw(st.floats(0, 1e4, width=32)), draw(st.floats(0, 1e4, width=32))
            records["topics"][i, slot]["topic"] = draw(st.integers(0, 12))
            records["topics"][i, slot]["fast"], records["topics"][i, slot]["slow"] = interest
        current["sequence"][i] = draw(st.integers(0, 2**32 - 1))
        current["segment"][i] = draw(st.integers(-1, 5))
        current["since_us"][i] = draw(instants)
        current["model"][i] = draw(st.integers(0, 2**32 - 1))
    width = len(FEATURE_NAMES)
    features = [[draw(amounts) for _ in range(width)] for _ in range(n)]
    scores = [[draw(st.floats(0, 100)) for _ in "ab"] for _ in range(n)]
    bands = [[draw(st.integers(0, 3)) for _ in "ab"] for _ in range(n)]
    return Accounts(
        ids=[draw(texts) for _ in range(n)],
        records=records,
        current=current,
        features=np.array(features, np.float64).reshape(n, width),
        scores=np.array(scores, np.float64).reshape(n, 2),
        bands=np.array(bands, np.uint8).reshape(n, 2),
        at_us=at_us,
        refs=Refs(draw(st.sampled_from([None, Assigner(QUIET_OR_BUSY)]))),
        topic_names=draw(st.dictionaries(st.integers(1, 9), texts, max_size=8)),
    )


def told(path: str, given: Accounts) -> list[Told]:
    with taking(path):
        return given.told()


@given(columns())
def test_both_paths_tell_the_same(given: Accounts) -> None:
    need_native()
    assert told("native", given) == told("python", given)


def test_every_number_is_written_alike() -> None:
    """A hundred thousand, over all that there are and close to the powers of ten."""
    need_native()
    random, width = np.random.default_rng(1), len(FEATURE_NAMES)
    exponents = np.concatenate([random.uniform(-320, 15, 40_000), random.uniform(-12, 9, 40_000)])
    near = 10.0 ** random.integers(-20, 15, 20_000) * (1 + random.integers(-9, 9, 20_000) * 1e-8)
    numbers = np.concatenate([10.0**exponents, near])
    features = numbers[: len(numbers) // width * width].reshape(-1, width)
    many = [an_account(features=row[None]) for row in features]
    for one in many:
        assert told("native", one) == told("python", one)


def an_account(**parts: Any) -> Accounts:
    one = np.zeros(1, ACCOUNT)
    one["latest_us"] = START_US
    plain = Accounts(
        ids=["acme"],
        records=one,
        current=one,
        features=np.ones((1, len(FEATURE_NAMES))),
        scores=np.ones((1, 2)),
        bands=np.zeros((1, 2), np.uint8),
        at_us=np.array([START_US]),
        refs=Refs(None),
        topic_names={},
    )
    return replace(plain, **parts)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many accounts payloads are made, call by call."""
    made, payloads = [], Accounts.payloads

    def noted(self: Accounts) -> list[AccountSegment]:
        made.append(len(self.ids))
        return payloads(self)

    monkeypatch.setattr(Accounts, "payloads", noted)
    return made


ODD = {
    "no number": {"features": np.full((1, len(FEATURE_NAMES)), np.nan)},
    "infinite": {"features": np.full((1, len(FEATURE_NAMES)), np.inf)},
    "below zero": {"features": np.full((1, len(FEATURE_NAMES)), -1.5)},
    "a huge feature": {"features": np.full((1, len(FEATURE_NAMES)), 1e20)},
    "a score below zero": {"scores": np.array([[-0.001, 5.0]])},
    "a huge score": {"scores": np.array([[5.0, 1e16]])},
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD)
def test_what_is_not_ordinary_is_left_to_payloads(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_native()
    expected = told("python", an_account(**parts))
    made = counted(monkeypatch)
    assert told("native", an_account())
    assert not made
    assert told("native", an_account(**parts)) == expected
    assert made == [1]


def since(at_us: int) -> Records:
    record = np.zeros(1, ACCOUNT)
    record["since_us"] = at_us
    return record


WRONG = {
    "an id that is no text": ({"ids": ["\ud800"]}, UnicodeEncodeError),
    "a topic that is no text": ({"topic_names": {7: "\ud800"}}, UnicodeEncodeError),
    "no such band": ({"bands": np.full((1, 2), 9, np.uint8)}, IndexError),
    "the year 0": ({"current": since(FIRST - 61 * DAY)}, OverflowError),
    "the year 10000": ({"current": since(LAST + 1)}, OverflowError),
}


@pytest.mark.parametrize(("parts", "error"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_told_is_the_same_error(
    parts: dict[str, Any], error: type[Exception], both_paths: str
) -> None:
    one = an_account()
    one.records["topics"][0, 0]["topic"] = 7
    with pytest.raises(error):
        told(both_paths, replace(one, **parts))


def test_columns_that_do_not_fit_together_are_refused() -> None:
    need_native()
    for parts in ({"ids": ["a", "b"]}, {"features": np.ones((1, 3))}, {"bands": np.zeros(3, "u1")}):
        with pytest.raises(ValueError, match=r"records|bytes"):
            told("native", an_account(**parts))
