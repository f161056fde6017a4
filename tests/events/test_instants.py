"""Instants: microseconds inside, RFC 3339 outside, and nothing is lost between the two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import UsageError
from stream_app.events.instants import DAY, from_datetime, parse, to_rfc3339

FIRST = from_datetime(datetime(1, 1, 1, tzinfo=UTC))
LAST = from_datetime(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@given(st.integers(FIRST, LAST))
def test_an_instant_survives_its_text(instant_us: int) -> None:
    assert parse(to_rfc3339(instant_us)) == instant_us


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), offsets)  # noqa: DTZ001
def test_the_offset_does_not_change_the_instant(naive: datetime, offset: timezone) -> None:
    instant = naive.replace(tzinfo=offset)
    assert parse(instant.isoformat()) == from_datetime(instant)
    assert from_datetime(instant) == from_datetime(instant.astimezone(UTC))


@given(st.integers(FIRST, LAST), st.integers(FIRST, LAST))
def test_texts_sort_like_instants_of_whole_seconds(one: int, other: int) -> None:
    seconds = [us - us % 1_000_000 for us in (one, other)]
    assert sorted(seconds) == [parse(text) for text in sorted(map(to_rfc3339, seconds))]


@pytest.mark.parametrize(
    ("instant_us", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (DAY, "1970-01-02T00:00:00Z"),
    ],
)
def test_some_instants(instant_us: int, text: str) -> None:
    assert to_rfc3339(instant_us) == text


def test_a_date_alone_is_midnight_utc() -> None:
    assert parse("2026-03-02") == parse("2026-03-02T00:00:00Z")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "2026-03-02T25:00:00Z", "12"])
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time") as raised:
        parse(text)
    assert raised.value.hint


@pytest.mark.parametrize("text", ["2026-03-02T11:00:00", "2026-03-02 11:00:00"])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no offset"):
        parse(text)
