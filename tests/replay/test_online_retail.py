"""The whole Online Retail data set through replay, against an independent reading with pandas."""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stream_app.segments.snapshot import read_snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Outputs, Replay
from tests.online_retail import online_retail_file, online_retail_lines
from tests.replay.runs import read

ROWS = 541_909
DAY = pd.Timedelta(days=1)


@dataclass
class Replayed:
    folder: Path
    summary: dict[str, Any]
    accounts: dict[str, dict[str, Any]]
    changes: list[dict[str, Any]]


@pytest.fixture(scope="module")
def invoices() -> pd.DataFrame:
    """The data set as pandas reads it: one invoice line a row."""
    table = pd.read_csv(
        online_retail_file(), dtype={"InvoiceNo": str, "StockCode": str}, keep_default_na=True
    )
    table["at"] = pd.to_datetime(table["InvoiceDate"], utc=True)
    return table


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    """One replay of the whole file, training on the way."""
    lines = online_retail_lines()
    folder = tmp_path_factory.mktemp("online-retail")
    with Outputs(folder) as outputs:
        run = Replay(Settings(), outputs)
        run.start_file("online_retail")
        run.feed(lines)
        run.finish()
    return Replayed(
        folder=folder,
        summary=json.loads((folder / "summary.json").read_text()),
        accounts={account["account_id"]: account for account in read(folder, "accounts")},
        changes=read(folder, "segment-changes"),
    )


def test_every_row_is_accounted_for(replayed: Replayed, invoices: pd.DataFrame) -> None:
    summary, without = replayed.summary, int(invoices["CustomerID"].isna().sum())
    assert summary["read"] == len(invoices) == ROWS
    assert summary["dead_letters_by_reason"] == {"no_account": without}
    assert summary["dead_letters"] == without == 135_080
    assert summary["applied"] == ROWS - without
    assert summary["duplicates"] == 0
    assert summary["accounts"] == len(replayed.accounts) == invoices["CustomerID"].nunique()


def test_the_dead_letters_are_the_rows_without_a_customer(
    replayed: Replayed, invoices: pd.DataFrame
) -> None:
    rows = np.flatnonzero(invoices["CustomerID"].isna()) + 1
    letters = read(replayed.folder, "dead-letters")
    assert [letter["line"] for letter in letters] == rows.tolist()
    assert {letter["detail"] for letter in letters} == {"the field account_id is missing"}


def test_there_are_named_segments_of_some_size(replayed: Replayed) -> None:
    segments = replayed.summary["segments"]
    names = [segment["name"] for segment in segments]
    large = [s for s in segments if s["id"] and s["accounts"] > 0.03 * len(replayed.accounts)]
    assert len(large) >= 3
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Z][\w ,-]+", name) for name in names)
    assert sum(segment["accounts"] for segment in segments) == len(replayed.accounts)
    model = read_snapshot((replayed.folder / "model.json").read_bytes())
    assert {s["id"] for s in segments} <= {segment.id for segment in model.segments}


def test_changes_have_readable_reasons(replayed: Replayed) -> None:
    """By behaviour or inactivity: some features, as words, with values that moved."""
    reasons = Counter(change["reason"] for change in replayed.changes)
    assert set(reasons) == {"first_seen", "behaviour", "inactivity", "model"}
    assert reasons["first_seen"] == len(replayed.accounts)
    for change in replayed.changes:
        if change["reason"] not in ("behaviour", "inactivity"):
            continue
        assert change["why"]
        for moved in change["why"]:
            assert re.fullmatch(r"[a-z][a-z -]+", moved["label"])
            assert moved["unit"].isalpha()
        first = change["why"][0]
        assert first["before"] != first["now"]
        assert change["previous"]["name"] != change["current"]["name"]


def test_sequences_have_no_gaps(replayed: Replayed) -> None:
    last: Counter[str] = Counter()
    for change in replayed.changes:
        last[change["account_id"]] += 1
        assert change["sequence"] == last[change["account_id"]]
    assert {name: account["sequence"] for name, account in replayed.accounts.items()} == last


def sessions(lines: pd.DataFrame) -> pd.DataFrame:
    """The first line of each session: an invoice that is not among the account's last four."""
    recent, first = deque[str](maxlen=4), []
    for row, invoice in lines["InvoiceNo"].items():
        if invoice not in recent:
            recent.append(invoice)
            first.append(row)
    return lines.loc[first]


def active_days(lines: pd.DataFrame) -> pd.DataFrame:
    """The first line of each day that is later than the days before it in the file."""
    days = lines["at"].dt.normalize()
    return lines[days > days.cummax().shift(fill_value=pd.Timestamp(0, tz=days.dt.tz))]


def expected_features(lines: pd.DataFrame, until: pd.Timestamp) -> dict[str, float]:
    """Features of one customer from the rows of the file, in the catalogue's words."""

    def decayed(of: pd.DataFrame, half_life_days: int) -> float:
        return float(np.sum(0.5 ** ((until - of["at"]) / DAY / half_life_days)))

    started = sessions(lines)
    pages = {days: decayed(lines, days) for days in (1, 7, 28)}
    silence = (until - lines["at"].max()) / DAY
    days_ago = (until.normalize() - lines["at"].dt.normalize()) / DAY
    nobody = ("dwell_minutes_7d", "pricing_pages_7d", "pricing_pages_28d", "downloads_7d")
    nobody += tuple(f"downloads_{s}_28d" for s in ("awareness", "consideration", "decision"))
    nobody += ("email_opens_28d", "email_clicks_7d", "email_clicks_28d", "email_replies_28d")
    nobody += ("email_unsubscribes_28d", "email_share")
    return dict.fromkeys(nobody, 0.0) | {
        **{f"web_visits_{days}d": pages[days] for days in pages},
        "product_pages_7d": pages[7],
        "product_pages_28d": pages[28],
        "web_sessions_7d": decayed(started, 7),
        "web_sessions_28d": decayed(started, 28),
        "active_days_28d": decayed(active_days(lines), 28),
        # A product page is 1.5 points of engagement and 1 of intent by default.
        **{f"engagement_points_{days}d": 1.5 * pages[days] for days in pages},
        "intent_points_7d": pages[7],
        "momentum": 4 * pages[7] / pages[28] if 1.5 * pages[28] > 1e-9 else 0.0,
        "silence_days": min(silence, 182.0),
        "contacts_7d": float((days_ago < 7).any()),
        "contacts_28d": float((days_ago < 28).any()),
    }


def test_features_agree_with_pandas(replayed: Replayed, invoices: pd.DataFrame) -> None:
    """Of 50 accounts, to 1e-6 relative. Sessions by the last-four rule; for most accounts that is
    the plain number of invoices. Contacts are an estimate: one person is 1.008."""
    until = invoices["at"].max()
    customers = invoices.dropna(subset="CustomerID").groupby("CustomerID")
    chosen = np.random.default_rng(50).choice(sorted(customers.groups), 50, replace=False)
    plain = 0
    for customer in chosen.tolist():
        lines = customers.get_group(customer)
        account = replayed.accounts[f"customer-{int(customer)}"]
        assert pd.Timestamp(account["as_of"]) == until
        found, expected = account["features"], expected_features(lines, until)
        assert set(found) == set(expected)
        for name, value in expected.items():
            if name.startswith("contacts"):
                assert found[name] == pytest.approx(value, abs=0.01), name
            else:
                assert found[name] == pytest.approx(value, rel=1e-6, abs=0.0), name
        plain += len(sessions(lines)) == lines["InvoiceNo"].nunique()
    assert plain >= 45


def test_the_readme_shows_a_change_of_this_replay(replayed: Replayed) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (shown,) = (
        block
        for found in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        if "sequence" in (block := json.loads(found))
    )
    assert shown in replayed.changes
