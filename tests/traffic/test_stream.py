"""The stream as a consumer sees it: reproducible, ordered, readable, flawed as asked."""

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, islice, pairwise
from typing import Any

import orjson
import pytest

from stream_app.events.decode import Decoder
from stream_app.events.types import EVENT_TYPES, ContentDownload, EmailEngagement, WebsiteVisit
from stream_app.traffic import Traffic, TrafficConfig, TrafficRecord
from tests.traffic.conftest import DAYS, Stream

HOUR_US = 3_600_000_000
COMMON = {"id", "occurred_at", "account_id", "contact_id", "topics"}
FIELDS = {
    "website-visits": COMMON
    | {"url", "page_category", "dwell_seconds", "session_id", "referrer", "campaign_id"},
    "content-downloads": COMMON | {"asset_id", "asset_type", "stage", "title"},
    "email-events": COMMON | {"kind", "campaign_id", "link_url", "machine_open"},
}
DECODER = Decoder(
    {
        "website-visits": WebsiteVisit,
        "content-downloads": ContentDownload,
        "email-events": EmailEngagement,
    }
)


class Raw:
    """A record as the decoder wants it."""

    headers = ()

    def __init__(self, record: TrafficRecord, topic: str | None = None) -> None:
        self.topic = topic or record.topic
        self.value = record.value


def fingerprint(config: TrafficConfig, days: int) -> str:
    digest = hashlib.sha256()
    for record in Traffic(config).records(days):
        digest.update(repr(tuple(record)).encode())
    return digest.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_truth() -> None:
    config = TrafficConfig(seed=3, accounts=120)
    assert fingerprint(config, 9) == fingerprint(config, 9)
    assert Traffic(config).truth == Traffic(config).truth


def test_a_second_pass_repeats_the_first() -> None:
    traffic = Traffic(TrafficConfig(accounts=60))
    assert list(traffic.hours(3)) == list(traffic.hours(3))


def test_batches_hold_the_same_records_as_hours() -> None:
    traffic = Traffic(TrafficConfig(accounts=100))
    batches = list(traffic.batches(3, size=64))
    assert max(map(len, batches)) == 64
    assert list(chain(*batches)) == list(chain(*traffic.hours(3))) == list(traffic.records(3))


def test_another_seed_gives_another_stream() -> None:
    one, two = TrafficConfig(seed=1, accounts=50), TrafficConfig(seed=2, accounts=50)
    assert fingerprint(one, 2) != fingerprint(two, 2)
    ids = [{r.value[:20] for r in Traffic(c).records(2)} for c in (one, two)]
    assert not ids[0] & ids[1]


def test_a_longer_stream_starts_like_a_shorter_one() -> None:
    traffic = Traffic(TrafficConfig(accounts=60))
    assert list(islice(traffic.hours(), 72)) == list(traffic.hours(3))


def test_hours_hold_what_is_delivered_in_them(stream: Stream) -> None:
    start = stream.traffic.config.start_us
    hours = list(stream.traffic.hours(5))
    assert len(hours) == 5 * 24
    for number, hour in enumerate(hours):
        begin = start + number * HOUR_US
        assert all(begin <= r.delivered_at_us < begin + HOUR_US for r in hour)


def test_records_come_in_order_of_delivery_and_never_before_they_happen(stream: Stream) -> None:
    assert all(a.delivered_at_us <= b.delivered_at_us for a, b in pairwise(stream.records))
    assert all(r.occurred_at_us < r.delivered_at_us for r in stream.records)


def test_every_good_record_has_its_fields(stream: Stream) -> None:
    accounts = set(stream.traffic.truth.accounts)
    for record, event in stream.events:
        assert event.keys() == FIELDS[record.topic]
        assert event["account_id"].encode() == record.key
        assert event["account_id"] in accounts
        assert len(event["topics"]) <= 3
        at = datetime.fromisoformat(event["occurred_at"])
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        assert since // timedelta(microseconds=1) == record.occurred_at_us
        assert event["occurred_at"][-5] == "."
        assert event["occurred_at"].endswith("Z")


def test_the_decoder_takes_all_good_records_and_refuses_all_malformed_ones(stream: Stream) -> None:
    now = stream.traffic.config.start_us + (DAYS + 1) * 24 * HOUR_US
    good = [Raw(r) for r in stream.records if r.flaw != "malformed"]
    bad = [Raw(r) for r in stream.records if r.flaw == "malformed"]
    assert not DECODER.decode(good, now).rejections
    rejections = DECODER.decode(bad, now).rejections
    assert len(rejections) == len(bad)
    assert len({r.reason for r in rejections}) >= 6


def test_records_for_replay_name_their_type() -> None:
    config = TrafficConfig(accounts=100, malformed_rate=0)
    plain = list(Traffic(config).records(2))
    typed = list(Traffic(TrafficConfig(accounts=100, malformed_rate=0, with_type=True)).records(2))
    assert {orjson.loads(r.value)["type"] for r in typed} == set(EVENT_TYPES)
    stripped = [{k: v for k, v in orjson.loads(r.value).items() if k != "type"} for r in typed]
    assert stripped == [orjson.loads(r.value) for r in plain]
    now = config.start_us + 3 * 24 * HOUR_US
    assert len(DECODER.decode([Raw(r, "engagement") for r in typed], now).events) == len(typed)


def test_ids_are_unique_but_for_planted_duplicates(stream: Stream) -> None:
    ids = [event["id"] for _, event in stream.events]
    assert len(set(ids)) == len(ids)
    originals = {r.value: r.delivered_at_us for r, _ in stream.events}
    for record in stream.records:
        if record.flaw == "duplicate":
            assert originals[record.value] < record.delivered_at_us


@pytest.mark.parametrize(
    ("flaw", "rate"), [("duplicate", 0.03), ("late", 0.05), ("malformed", 0.02)]
)
def test_flaws_come_at_the_rate_asked_for(flaw: str, rate: float) -> None:
    rates: dict[str, Any] = {f"{flaw}_rate": rate}
    config = TrafficConfig(accounts=400, **rates)
    counts = Counter(r.flaw for r in Traffic(config).records(10))
    good = counts[""] + counts["late"]
    assert good > 20_000
    assert counts[flaw] / good == pytest.approx(rate, rel=0.12)


def test_late_records_are_minutes_to_hours_late(stream: Stream) -> None:
    for record in stream.records:
        delay = record.delivered_at_us - record.occurred_at_us
        if record.flaw == "late":
            assert 5 / 60 <= delay / HOUR_US < 12.01
        elif record.flaw == "":
            assert delay < HOUR_US / 60


def test_flaws_do_not_change_the_good_events() -> None:
    flawless: dict[str, Any] = {"duplicate_rate": 0.0, "late_rate": 0.0, "malformed_rate": 0.0}
    clean = list(Traffic(TrafficConfig(accounts=100, **flawless)).records(3))
    assert {r.flaw for r in clean} == {""}
    flawed = Traffic(
        TrafficConfig(accounts=100, duplicate_rate=0.1, malformed_rate=0.1, late_rate=0)
    )
    assert {r.value for r in flawed.records(3) if r.flaw == ""} == {r.value for r in clean}


def test_the_start_is_a_parameter() -> None:
    tokyo = datetime(2027, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=9)))
    traffic = Traffic(TrafficConfig(accounts=200, start=tokyo))
    first = next(traffic.records())
    assert 0 <= first.occurred_at_us - tokyo.timestamp() * 1e6 < 2 * HOUR_US


@pytest.mark.parametrize("accounts", [1, 2, 7])
def test_small_populations_work(accounts: int) -> None:
    traffic = Traffic(TrafficConfig(accounts=accounts, surges_per_account_day=0.1))
    assert len(traffic.truth.labels_at(traffic.config.start_us)) == accounts
    assert len(list(traffic.hours(DAYS))) == DAYS * 24


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": datetime(2026, 1, 5)},  # noqa: DTZ001
        {"accounts": 0},
        {"seed": -1},
        {"late_rate": 1.5},
        {"planted_window": (0.9, 0.1)},
        {"shares": {}},
        {"campaigns_per_week": 6},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        TrafficConfig(**wrong)
