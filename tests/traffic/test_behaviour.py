"""What is planted can be found again in the stream."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from stream_app.traffic import Behaviour, Drift, Surge, TrafficConfig
from stream_app.traffic.rhythm import ZONES_MINUTES
from tests.traffic.conftest import DAYS, Stream, read

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MACHINE = ("sent", "delivered", "bounced")


def is_human(event: dict[str, Any]) -> bool:
    return event.get("kind") not in MACHINE and not event.get("machine_open")


def daily_rates(stream: Stream) -> dict[Behaviour, Counter[str]]:
    """Events of each sort per account and day spent in each behaviour."""
    truth, start = stream.traffic.truth, stream.traffic.config.start_us
    days: Counter[Behaviour] = Counter()
    for account in truth.accounts:
        for day in range(DAYS):
            days[truth.behaviour_at(account, start + day * DAY_US)] += 1
    counts: dict[Behaviour, Counter[str]] = defaultdict(Counter)
    for record, event in stream.events:
        behaviour = truth.behaviour_at(event["account_id"], record.occurred_at_us)
        sort = event.get("page_category") or event.get("stage") or event["kind"]
        counts[behaviour][sort] += 1
        counts[behaviour][record.topic] += 1
    return {b: Counter({k: v / days[b] for k, v in c.items()}) for b, c in counts.items()}


def test_an_account_has_five_to_ten_events_a_day(stream: Stream) -> None:
    assert 5 <= len(stream.events) / len(stream.traffic.truth.accounts) / DAYS <= 10


def test_the_shares_of_behaviours_are_as_configured(stream: Stream) -> None:
    truth, end = stream.traffic.truth, stream.traffic.config.start_us + DAYS * DAY_US
    counts = Counter(truth.labels_at(end).values())
    assert counts.total() == 400
    assert counts[Behaviour.GONE_QUIET] == 40
    assert counts[Behaviour.PRICING_RESEARCHER] == 48 + 20
    assert len(stream.traffic.truth.research_starts) == 20


def test_rates_differ_as_planted(stream: Stream) -> None:
    rates = daily_rates(stream)
    pricing, content = rates[Behaviour.PRICING_RESEARCHER], rates[Behaviour.CONTENT_READER]
    users, casual = rates[Behaviour.EXISTING_USER], rates[Behaviour.CASUAL_VISITOR]
    news = rates[Behaviour.NEWSLETTER_READER]
    assert pricing["pricing"] > 5 * max(content["pricing"], users["pricing"], casual["pricing"])
    assert pricing["decision"] > 5 * content["decision"]
    assert content["awareness"] > 5 * pricing["awareness"]
    assert content["blog"] > 4 * max(pricing["blog"], users["blog"], news["blog"])
    assert users["docs"] > 5 * max(pricing["docs"], content["docs"])
    assert news["clicked"] > 2 * max(
        r["clicked"] for b, r in rates.items() if b != "newsletter_reader"
    )
    assert news["email-events"] > 3 * news["website-visits"]
    assert casual["website-visits"] < 1


def test_more_people_research_prices_than_read_the_docs(stream: Stream) -> None:
    truth, start = stream.traffic.truth, stream.traffic.config.start_us
    people: dict[str, set[str]] = defaultdict(set)
    for record, event in stream.events:
        if record.topic == "website-visits" and record.occurred_at_us < start + 7 * DAY_US:
            people[event["account_id"]].add(event["contact_id"])
    seen: dict[Behaviour, list[int]] = defaultdict(list)
    for account, behaviour in truth.labels_at(start).items():
        seen[behaviour].append(len(people[account]))
    means = {behaviour: np.mean(counts) for behaviour, counts in seen.items()}
    assert means[Behaviour.PRICING_RESEARCHER] > 3
    assert means[Behaviour.PRICING_RESEARCHER] > 1.2 * means[Behaviour.EXISTING_USER]


def test_people_work_on_weekdays_in_office_hours() -> None:
    calm = read(
        TrafficConfig(
            accounts=400, campaigns_per_week=0, surges_per_account_day=0, crawlers_per_account_day=0
        ),
        days=14,
    )
    zones = calm.traffic._world.people.zone
    minutes = dict(zip(calm.traffic.truth.accounts, ZONES_MINUTES[zones].tolist(), strict=True))
    hours: Counter[tuple[bool, int]] = Counter()
    for record, event in calm.events:
        utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record.occurred_at_us)
        local = utc + timedelta(minutes=minutes[event["account_id"]])
        hours[local.weekday() >= 5, local.hour] += 1
    total = sum(hours.values())
    weekend = sum(n for (is_weekend, _), n in hours.items() if is_weekend) / total
    office = sum(hours[False, h] for h in range(8, 18)) / total
    night = sum(hours[False, h] for h in range(6)) / total
    assert 0.01 < weekend < 0.08
    assert office > 0.75
    assert night < 0.05


def test_accounts_that_go_quiet_stop_and_were_active_before(stream: Stream) -> None:
    quiet = stream.traffic.truth.quiet_times
    before: Counter[str] = Counter()
    for record, event in stream.events:
        if event["account_id"] in quiet and is_human(event):
            assert record.occurred_at_us < quiet[event["account_id"]]
            before[event["account_id"]] += 1
    assert len(before) == len(quiet) == 40
    assert min(before.values()) >= 5


def test_accounts_that_start_researching_turn_to_prices(stream: Stream) -> None:
    starts = stream.traffic.truth.research_starts
    before, after = dict.fromkeys(starts, 0), dict.fromkeys(starts, 0)
    for record, event in stream.events:
        if event.get("page_category") == "pricing" and event["account_id"] in starts:
            days = (record.occurred_at_us - starts[event["account_id"]]) / DAY_US
            before[event["account_id"]] += -7 <= days < 0
            after[event["account_id"]] += 0 <= days < 7
    assert np.median(list(before.values())) <= 1
    assert np.median(list(after.values())) >= 10


def touching(stream: Stream, surge: Surge) -> list[tuple[int, dict[str, Any]]]:
    return [
        (r.occurred_at_us, e)
        for r, e in stream.events
        if e["account_id"] == surge.account_id
        and surge.topic in e["topics"]
        and r.topic == "website-visits"
    ]


def test_surges_stand_out_by_several_people_on_one_topic(stream: Stream) -> None:
    surges = stream.traffic.truth.surges
    assert len(surges) > 30
    crawled = {c.account_id for c in stream.traffic.truth.crawlers}
    lifts = []
    for surge in surges:
        assert 0 < surge.end_us - surge.start_us <= 2 * DAY_US
        events = touching(stream, surge)
        during = [e for at, e in events if surge.start_us <= at <= surge.end_us]
        assert events
        assert set(surge.contacts) <= {e["contact_id"] for e in during}
        assert len(surge.contacts) >= 3
        early = {e["contact_id"] for at, e in events if 0 <= at - surge.start_us < HOUR_US / 2}
        assert len(early) >= 2
        if surge.account_id not in crawled:
            length = max(surge.end_us - surge.start_us, DAY_US)
            usual = [e for at, e in events if -7 * DAY_US <= at - surge.start_us < 0]
            span = min(7 * DAY_US, surge.start_us - stream.traffic.config.start_us)
            lifts.append((len(during) / length) / max(len(usual) / span, 1 / (7 * DAY_US)))
    assert np.median(lifts) > 20
    assert np.quantile(lifts, 0.05) > 4


def test_surges_of_one_account_lie_a_week_apart_and_never_after_it_went_quiet(
    stream: Stream,
) -> None:
    quiet = stream.traffic.truth.quiet_times
    starts: dict[str, list[int]] = defaultdict(list)
    for surge in stream.traffic.truth.surges:
        starts[surge.account_id].append(surge.start_us)
        assert surge.end_us < quiet.get(surge.account_id, surge.end_us + 1)
    for times in starts.values():
        assert (np.diff(times) >= 7 * DAY_US).all()


def test_a_crawler_is_one_contact_with_hundreds_of_visits_in_minutes(stream: Stream) -> None:
    crawlers = stream.traffic.truth.crawlers
    assert crawlers
    for crawler in crawlers:
        burst = [
            e
            for r, e in stream.events
            if e["contact_id"] == crawler.contact_id
            and 0 <= r.occurred_at_us - crawler.start_us < HOUR_US / 2
            and r.topic == "website-visits"
        ]
        assert 200 <= crawler.visits <= 800
        assert len(burst) >= 0.95 * crawler.visits  # some are delivered after the end
        assert np.median([e["dwell_seconds"] for e in burst]) < 2


def test_mail_reactions_come_at_believable_rates(stream: Stream) -> None:
    kinds = Counter((e["kind"], e["machine_open"]) for _, e in stream.events if "kind" in e)
    sent = kinds["sent", False]
    delivered = kinds["delivered", False]
    assert 0.97 < delivered / sent < 0.995
    assert 0.25 < kinds["opened", True] / delivered < 0.45
    assert 0.3 < kinds["opened", False] / delivered < 0.6
    assert 0.04 < kinds["clicked", False] / delivered < 0.12
    assert 0.004 < kinds["bounced", False] / sent < 0.02
    assert 0 < kinds["replied", False] / delivered < 0.01
    assert 0 < kinds["unsubscribed", False] / delivered < 0.005
    assert kinds["complained", False] / delivered < 0.002


def test_who_unsubscribes_gets_no_further_campaign(stream: Stream) -> None:
    left: dict[str, int] = {}
    for record, event in stream.events:
        if event.get("kind") == "unsubscribed":
            left.setdefault(event["contact_id"], record.occurred_at_us)
    assert left
    campaigns: dict[str, int] = {}
    for record, event in sorted(stream.events, key=lambda e: e[0].occurred_at_us):
        if event.get("kind") == "sent":
            first = campaigns.setdefault(event["campaign_id"], record.occurred_at_us)
            assert first < left.get(event["contact_id"], first + 1)


def test_contacts_are_few_and_belong_to_one_account(stream: Stream) -> None:
    owner: dict[str, str] = {}
    for _, event in stream.events:
        assert owner.setdefault(event["contact_id"], event["account_id"]) == event["account_id"]
    sizes = Counter(owner.values())
    assert max(sizes.values()) <= 20
    assert 0.02 < np.mean(["@" in contact for contact in owner]) < 0.1


@pytest.fixture(scope="module")
def drifting() -> Stream:
    return read(
        TrafficConfig(
            accounts=300,
            surges_per_account_day=0,
            crawlers_per_account_day=0,
            drifts=(
                Drift("dies", Behaviour.CONTENT_READER, day=15),
                Drift("appears", Behaviour.TRIAL_EVALUATOR, day=20),
                Drift("moves", Behaviour.EXISTING_USER, day=25),
            ),
        )
    )


def test_planted_drift_shows_in_the_truth_and_in_the_events(drifting: Stream) -> None:
    truth, start = drifting.traffic.truth, drifting.traffic.config.start_us
    labels = {day: Counter(truth.labels_at(start + day * DAY_US).values()) for day in (14, 18, 30)}
    assert labels[14][Behaviour.CONTENT_READER] > 50
    assert labels[18][Behaviour.CONTENT_READER] == 0
    assert labels[14][Behaviour.TRIAL_EVALUATOR] == 0
    assert labels[30][Behaviour.TRIAL_EVALUATOR] > 35
    assert [d.kind for d in truth.drifts] == ["dies", "appears", "moves"]
    assert all(d.accounts for d in truth.drifts)

    moved = {
        a
        for a in truth.drifts[2].accounts
        if truth.behaviour_at(a, start + 39 * DAY_US) == Behaviour.EXISTING_USER
    }
    stories: Counter[bool] = Counter()
    for record, event in drifting.events:
        if event["account_id"] in moved and event.get("page_category") == "case_study":
            day = (record.occurred_at_us - start) / DAY_US
            stories[day >= 27] += 13 < day < 25 or day >= 28
    assert stories[True] > 10 * max(stories[False], 1)


def test_without_a_drift_nobody_evaluates_a_trial(stream: Stream) -> None:
    assert stream.traffic.truth.drifts == ()
    behaviours = {p.behaviour for p in stream.traffic.truth.periods}
    assert Behaviour.TRIAL_EVALUATOR not in behaviours
