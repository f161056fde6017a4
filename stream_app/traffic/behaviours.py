"""What each planted type of account habitually does, as numbers the samplers can use.

A habit row is one set of rates. Rows come in this order: the behaviours, the same
behaviours after a planted move (see `config.Drift`), then three rows that belong to no
account: a surge, a visit that follows a click in a mail, and a crawler.
"""

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PAGE_CATEGORIES = ("home", "product", "pricing", "docs", "blog", "case_study", "careers", "other")
STAGES = ("awareness", "consideration", "decision")


class Behaviour(StrEnum):
    """The label an account has in the ground truth."""

    PRICING_RESEARCHER = "pricing_researcher"
    CONTENT_READER = "content_reader"
    NEWSLETTER_READER = "newsletter_reader"
    EXISTING_USER = "existing_user"
    CASUAL_VISITOR = "casual_visitor"
    GONE_QUIET = "gone_quiet"
    TRIAL_EVALUATOR = "trial_evaluator"
    """Only where a drift plants it."""


@dataclass(frozen=True, slots=True)
class Habit:
    """Rates of one type. Shares and probabilities are 0 to 1; email rates are per delivered mail
    (`opens`) or per mail opened by a person (the rest)."""

    sessions: float = 0.0
    """Website sessions per account and average day (a Tuesday has more, a Sunday fewer)."""
    pages: float = 1.0
    """Mean pages per session, at least 1."""
    page_mix: tuple[float, ...] = (1.0, 0, 0, 0, 0, 0, 0, 0)
    """Relative weight of each of PAGE_CATEGORIES."""
    downloads: float = 0.0
    """Probability that a session ends in a download."""
    stage_mix: tuple[float, ...] = (1.0, 0, 0)
    """Relative weight of each of STAGES among the downloads."""
    focus: float = 0.5
    """Probability that a session is about the account's first topic."""
    stick: float = 0.85
    """Probability that a page keeps to the topic of its session."""
    few: float = 2.0
    """1 spreads sessions evenly over the account's contacts, more concentrates them on a few."""
    dwell: float = 1.0
    """Factor on the time spent per page."""
    subscribed: float = 0.3
    """Probability that a contact is on the mailing list at the start."""
    opens: float = 0.0
    clicks: float = 0.0
    replies: float = 0.0
    unsubscribes: float = 0.0


HABITS: dict[Behaviour, Habit] = {
    Behaviour.PRICING_RESEARCHER: Habit(
        sessions=2.2, pages=5.0, page_mix=(8, 32, 34, 5, 4, 13, 1, 3),
        downloads=0.16, stage_mix=(4, 26, 70), focus=0.65, few=1.2, dwell=1.1,
        subscribed=0.3, opens=0.36, clicks=0.16, replies=0.02, unsubscribes=0.002,
    ),
    Behaviour.CONTENT_READER: Habit(
        sessions=1.4, pages=3.4, page_mix=(6, 7, 1, 14, 60, 9, 1, 2),
        downloads=0.34, stage_mix=(58, 39, 3), focus=0.45, few=2.2, dwell=1.4,
        subscribed=0.4, opens=0.38, clicks=0.2, replies=0.004, unsubscribes=0.003,
    ),
    Behaviour.NEWSLETTER_READER: Habit(
        sessions=0.05, pages=1.7, page_mix=(25, 8, 1, 4, 54, 4, 2, 2),
        downloads=0.02, stage_mix=(80, 18, 2), focus=0.4, few=1.5,
        subscribed=0.92, opens=0.6, clicks=0.22, replies=0.006, unsubscribes=0.002,
    ),
    Behaviour.EXISTING_USER: Habit(
        sessions=2.5, pages=4.6, page_mix=(4, 12, 1, 76, 4, 1, 0, 2),
        downloads=0.012, stage_mix=(30, 65, 5), focus=0.72, few=3.0, dwell=1.3,
        subscribed=0.25, opens=0.22, clicks=0.1, replies=0.004, unsubscribes=0.004,
    ),
    Behaviour.CASUAL_VISITOR: Habit(
        sessions=0.08, pages=1.35, page_mix=(46, 13, 3, 3, 19, 3, 7, 6),
        downloads=0.015, stage_mix=(85, 14, 1), focus=0.3, few=2.0, dwell=0.6,
        subscribed=0.18, opens=0.1, clicks=0.06, replies=0.001, unsubscribes=0.012,
    ),
    Behaviour.GONE_QUIET: Habit(),
    Behaviour.TRIAL_EVALUATOR: Habit(
        sessions=6.0, pages=6.5, page_mix=(2, 44, 6, 38, 1, 8, 0, 1),
        downloads=0.22, stage_mix=(2, 88, 10), focus=0.8, few=1.1, dwell=1.8,
        subscribed=0.4, opens=0.45, clicks=0.3, replies=0.05, unsubscribes=0.001,
    ),
}  # fmt: skip

SURGE = Habit(
    pages=5.0, page_mix=(1, 40, 24, 14, 4, 16, 0, 1), downloads=0.15, stage_mix=(5, 45, 50),
    stick=0.98, dwell=1.2,
)  # fmt: skip
LANDING = Habit(pages=1.8, page_mix=(4, 18, 5, 4, 58, 10, 0, 1), downloads=0.05, stick=0.9)
CRAWLER = Habit(
    pages=400.0, page_mix=(2, 22, 6, 28, 30, 8, 2, 2), focus=0.0, stick=0.0, dwell=0.01,
)  # fmt: skip

BEHAVIOURS = tuple(Behaviour)
QUIET_ROW = BEHAVIOURS.index(Behaviour.GONE_QUIET)
SURGE_ROW = 2 * len(BEHAVIOURS)
LANDING_ROW = SURGE_ROW + 1
CRAWLER_ROW = SURGE_ROW + 2


def moved(habit: Habit) -> Habit:
    """The habit after a planted move: more sessions, and case studies and product pages."""
    if habit.sessions == 0:
        return habit
    toward = (0, 25, 0, 0, 0, 75, 0, 0)
    mix = tuple(
        0.5 * old / sum(habit.page_mix) + 0.5 * new / sum(toward)
        for old, new in zip(habit.page_mix, toward, strict=True)
    )
    return replace(habit, sessions=2.2 * habit.sessions, page_mix=mix)


def label_of(row: int) -> Behaviour:
    """Ground truth label of an account's habit row."""
    return BEHAVIOURS[row % len(BEHAVIOURS)]


@dataclass(frozen=True, slots=True)
class HabitTable:
    """All habit rows as columns, index = row; the mixes as cumulative shares, shape (rows, k)."""

    sessions: Floats
    pages: Floats
    page_cdf: Floats
    downloads: Floats
    stage_cdf: Floats
    focus: Floats
    stick: Floats
    few: Floats
    dwell: Floats
    subscribed: Floats
    opens: Floats
    clicks: Floats
    replies: Floats
    unsubscribes: Floats
    rows: int = field(default=0)


def habit_table() -> HabitTable:
    """Stack HABITS, their moved forms and the three special rows."""
    plain = [HABITS[b] for b in BEHAVIOURS]
    rows = [*plain, *map(moved, plain), SURGE, LANDING, CRAWLER]
    columns: dict[str, Floats] = {}
    for item in fields(Habit):
        column = np.array([getattr(row, item.name) for row in rows], dtype=np.float64)
        if column.ndim == 2:
            cdf = column.cumsum(axis=1) / column.sum(axis=1, keepdims=True)
            columns[item.name.replace("_mix", "_cdf")] = cdf
        else:
            columns[item.name] = column
    return HabitTable(**columns, rows=len(rows))


def pick(cdf: Floats, uniform: Floats) -> Ints:
    """One choice per row of `cdf` (shape (n, k), cumulative shares), by inversion."""
    chosen: Ints = (cdf[:, :-1] <= uniform[:, None]).sum(axis=1)
    return chosen
