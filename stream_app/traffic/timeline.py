"""Which account behaves how and when: the planted periods."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stream_app.traffic.behaviours import BEHAVIOURS, QUIET_ROW, Behaviour, Bools, Ints, label_of
from stream_app.traffic.config import DAY_US, Drift, TrafficConfig
from stream_app.traffic.truth import BehaviourPeriod, BehaviourSwitch, DriftTruth

Periods = list[tuple[int, int]]
"""One account's (start_us, habit row), by time."""

_BEFORE_QUIET = {
    Behaviour.PRICING_RESEARCHER: 0.25,
    Behaviour.CONTENT_READER: 0.4,
    Behaviour.EXISTING_USER: 0.35,
}
_MAY_START = (Behaviour.CASUAL_VISITOR, Behaviour.NEWSLETTER_READER, Behaviour.CONTENT_READER)
_MS = 1_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """All periods as columns, by account and then by time."""

    account: Ints
    row: Ints
    start_us: Ints
    end_us: Ints
    """Start of the account's next period, or the largest integer."""

    def overlapping(self, start_us: int, end_us: int) -> Ints:
        """Indices of the periods that overlap [start_us, end_us)."""
        return np.flatnonzero((self.start_us < end_us) & (self.end_us > start_us))

    def row_at(self, account: Ints, at_us: Ints) -> Ints:
        """Habit row of each account at each moment; before the start, its first row."""
        origin = self.start_us.min()
        keys = (self.account << 40) + (self.start_us - origin) // _MS
        wanted = (account << 40) + np.maximum(at_us - origin, 0) // _MS
        rows: Ints = self.row[np.searchsorted(keys, wanted, side="right") - 1]
        return rows

    def quiet_at(self, account: Ints, at_us: Ints) -> Bools:
        """Whether each account does nothing at each moment."""
        result: Bools = self.row_at(account, at_us) % len(BEHAVIOURS) == QUIET_ROW
        return result


def plant(config: TrafficConfig) -> tuple[list[Periods], list[tuple[Drift, list[int]]]]:
    """Periods of each account, and for each drift the accounts that it touched."""
    rng = np.random.default_rng([config.seed, 2])
    n, start = config.accounts, config.start_us
    rows = _first_rows(rng, config)
    low, high = config.planted_window
    moments = start + ((low + (high - low) * rng.random(n)) * config.horizon_us).astype(np.int64)
    moments -= moments % _MS
    plan: list[Periods] = [[(start, int(row))] for row in rows]
    active = np.array([BEHAVIOURS.index(b) for b in _BEFORE_QUIET])
    chances = np.array(list(_BEFORE_QUIET.values()))
    for account in np.flatnonzero(rows == QUIET_ROW).tolist():
        before = int(rng.choice(active, p=chances))
        plan[account] = [(start, before), (int(moments[account]), QUIET_ROW)]
    candidates = np.flatnonzero(np.isin(rows, [BEHAVIOURS.index(b) for b in _MAY_START]))
    starters = min(round(config.starting_share * n), len(candidates))
    researcher = BEHAVIOURS.index(Behaviour.PRICING_RESEARCHER)
    for account in rng.choice(candidates, starters, replace=False).tolist():
        plan[account].append((int(moments[account]), researcher))
    ordered = sorted(config.drifts, key=lambda d: d.day)
    return plan, [(drift, _apply(rng, config, drift, plan)) for drift in ordered]


def _first_rows(rng: np.random.Generator, config: TrafficConfig) -> Ints:
    """One behaviour per account, in exactly the configured shares up to rounding."""
    rows = np.array([BEHAVIOURS.index(b) for b in config.shares])
    cdf = np.cumsum(list(config.shares.values()))
    positions = (np.arange(config.accounts) + 0.5) / config.accounts * cdf[-1]
    chosen = rows[np.searchsorted(cdf[:-1], positions, side="right")]
    return rng.permutation(chosen)


def _apply(
    rng: np.random.Generator, config: TrafficConfig, drift: Drift, plan: list[Periods]
) -> list[int]:
    """Rewrite the plan from the drift on; returns the accounts whose periods changed."""
    wanted = BEHAVIOURS.index(drift.behaviour)
    n = len(plan)
    chosen = np.ones(n, dtype=np.bool_)
    if drift.kind == "appears":
        chosen = rng.permutation(n) < round(drift.share * n)
    into = BEHAVIOURS.index(drift.into)

    def change(row: int) -> int:
        if drift.kind == "appears":
            return row if row == QUIET_ROW else wanted
        if row % len(BEHAVIOURS) != wanted:
            return row
        return into if drift.kind == "dies" else wanted + len(BEHAVIOURS)

    days = drift.day + drift.ramp_days * rng.random(n)
    moments = config.start_us + (days * DAY_US).astype(np.int64)
    moments -= moments % _MS
    touched = []
    for account in np.flatnonzero(chosen).tolist():
        changed = _rewrite(plan[account], int(moments[account]), change)
        if changed != plan[account]:
            plan[account] = changed
            touched.append(account)
    return touched


def _rewrite(periods: Periods, at_us: int, change: Callable[[int], int]) -> Periods:
    """Split at `at_us`, change every row from there on, join neighbours that are equal."""
    current = [row for start, row in periods if start <= at_us][-1]
    parts = [p for p in periods if p[0] < at_us]
    parts.append((at_us, change(current)))
    parts += [(start, change(row)) for start, row in periods if start > at_us]
    return [p for i, p in enumerate(parts) if i == 0 or p[1] != parts[i - 1][1]]


def columns(plan: list[Periods]) -> Timeline:
    """The plan as arrays."""
    flat = [(a, row, start) for a, periods in enumerate(plan) for start, row in periods]
    table = np.array(flat, dtype=np.int64)
    account, row, start = table[:, 0], table[:, 1], table[:, 2]
    end = np.full(len(flat), np.iinfo(np.int64).max)
    same = account[1:] == account[:-1]
    end[:-1][same] = start[1:][same]
    return Timeline(account, row, start, end)


def labels(
    plan: list[Periods], account_ids: tuple[str, ...]
) -> tuple[tuple[BehaviourPeriod, ...], tuple[BehaviourSwitch, ...]]:
    """Periods and switches for the ground truth; a mere move of habits is no switch."""
    periods: list[BehaviourPeriod] = []
    switches: list[BehaviourSwitch] = []
    for account_id, parts in zip(account_ids, plan, strict=True):
        before: Behaviour | None = None
        for start, row in parts:
            label = label_of(row)
            if label == before:
                continue
            periods.append(BehaviourPeriod(account_id, label, start))
            if before is not None:
                switches.append(BehaviourSwitch(account_id, start, before, label))
            before = label
    switches.sort(key=lambda s: (s.at_us, s.account_id))
    return tuple(periods), tuple(switches)


def drift_truth(
    config: TrafficConfig, applied: list[tuple[Drift, list[int]]], account_ids: tuple[str, ...]
) -> tuple[DriftTruth, ...]:
    """Drifts for the ground truth, with the ids of the accounts they touched."""
    return tuple(
        DriftTruth(
            drift.kind,
            drift.behaviour,
            config.start_us + int(drift.day * DAY_US),
            config.start_us + int((drift.day + drift.ramp_days) * DAY_US),
            tuple(account_ids[a] for a in accounts),
        )
        for drift, accounts in applied
    )
