"""The engagement score on Online Retail: does it rank who buys again within 14 days?

At the first instant of each month from January on, all customers seen so far are ranked by the
score, and by two baselines: recency alone, and what they did within the last 28 days, counted once
as lines and once as purchases. The area under the ROC curve (AUC) is the chance that somebody who
buys again within 14 days stands before somebody who does not; the month of December 2011 is left
out, because the data end on its 9th day.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from examples.online_retail import events_of
from stream_app.events.instants import DAY, parse
from stream_app.features.values import values_at
from stream_app.intent.scores import scores_of
from stream_app.settings import Settings
from stream_app.streams.replay import Replay
from tests.quality.section import SHARED, DataMissing, Options, Section

FILE = SHARED / "online_retail" / "online_retail.csv.gz"
MONTHS = tuple(f"2011-{month:02d}" for month in range(1, 12))
AHEAD_DAYS, COUNT_DAYS = 14, 28

Floats = npt.NDArray[np.float64]
Purchases = dict[str, list[tuple[int, str]]]
"""Instant and invoice of each line, by account."""


def auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve; ties count half (Mann, Whitney 1947).

    >>> auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.875
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    area = (rank[positive].sum() - n * (n + 1) / 2) / (n * (len(scores) - n))
    return float(area)


def _months() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Events with an account, month by month."""
    if not FILE.is_file():
        raise DataMissing(f"{FILE} is not there")
    with gzip.open(FILE, "rt", newline="") as file:
        events = (event for event in events_of(csv.DictReader(file)) if "account_id" in event)
        for month, part in groupby(events, key=lambda event: event["occurred_at"][:7]):
            yield month, list(part)


def _later(months: Sequence[tuple[str, list[dict[str, str]]]]) -> Purchases:
    found: Purchases = {}
    for _, events in months:
        for event in events:
            at = parse(event["occurred_at"]), event["session_id"]
            found.setdefault(event["account_id"], []).append(at)
    return found


def by_month() -> dict[str, dict[str, float]]:
    """AUC of each ranking, by month."""
    months = list(_months())
    purchases = _later(months)
    replay = Replay(Settings())
    table: dict[str, dict[str, float]] = {}
    for month, events in months:
        if month in MONTHS:
            replay.start_file(month)  # what is held back is applied
            at_us = parse(f"{month}-01T00:00:00Z")
            table[month] = _rank(replay, purchases, at_us)
        replay.feed([json.dumps(event).encode() for event in events])
    return table


def _rank(replay: Replay, purchases: Purchases, at_us: int) -> dict[str, float]:
    live, ids = replay.table.live, replay.table.all_ids()
    values = values_at(live, np.full(len(ids), at_us))
    own = [purchases[account] for account in ids]
    again = [any(at_us <= t < at_us + AHEAD_DAYS * DAY for t, _ in lines) for lines in own]
    recent = [[(t, i) for t, i in lines if at_us - COUNT_DAYS * DAY <= t < at_us] for lines in own]
    rankings = {
        "score": scores_of(values, Settings().scores)[:, 0],
        "recency": live["latest_us"].astype(np.float64),
        "lines in 28 days": np.array([len(lines) for lines in recent], np.float64),
        "purchases in 28 days": np.array([len({i for _, i in lines}) for lines in recent], float),
    }
    return {name: auc(ranking, np.array(again)) for name, ranking in rankings.items()}


def run(options: Options) -> Section:
    """The mean over the months beside the baselines, and every month."""
    section = Section("Engagement score on Online Retail: who buys again within 14 days")
    table = by_month()
    means = {
        name: float(np.mean([row[name] for row in table.values()])) for name in table[MONTHS[0]]
    }
    best = max(value for name, value in means.items() if name != "score")
    section.add("AUC of the score, mean over months", means["score"], at_least=round(best, 4),
                figure="engagement_auc", note="target: the best baseline")  # fmt: skip
    for name, value in means.items():
        if name != "score":
            section.add(f"AUC of {name}", value)
    margins = [
        row["score"] - max(v for name, v in row.items() if name != "score")
        for row in table.values()
    ]
    section.add("least lead over the best baseline of a month", min(margins), at_least=0.0,
                figure="engagement_auc_least_lead")  # fmt: skip
    section.details.append("month    " + "  ".join(table[MONTHS[0]]))
    for month, row in table.items():
        cells = "  ".join(f"{v:.3f}".rjust(len(name)) for name, v in row.items())
        section.details.append(f"{month}  {cells}")
    return section
