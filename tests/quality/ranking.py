"""Do the scores rank planted behaviours as a marketer would? On synthetic B2B traffic.

Every pair of groups says who ought to stand before whom; its area under the ROC curve (AUC) is the
chance that one of the former has the higher score. Engagement says how regularly people deal with
us, so who evaluates a trial stands first, then everybody who visits the website by habit, then
readers of the newsletter, then casual visitors. It does not say what for: existing users come as
often as those who compare prices. That is the intent score's part.

The pairs were chosen on seed 51, the figures come from 52. Accounts that changed their behaviour
within the last 14 days are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stream_app.events.instants import DAY
from stream_app.features.table import Records
from stream_app.features.values import Floats, values_at
from stream_app.intent.scores import scores_of
from stream_app.settings import Settings
from stream_app.traffic import Behaviour, Drift, Traffic, TrafficConfig
from tests.quality.engagement import auc
from tests.quality.runs import replayed
from tests.quality.section import Options, Section

_DAYS, _STEADY_DAYS = 40, 14
_ENGAGEMENT, _INTENT = 0, 1  # columns of `scores_of`
_SCORES = Settings().scores
_NO_MODEL = Settings.model_validate({"segments": {"train": False}})

_TRIAL = (Behaviour.TRIAL_EVALUATOR,)
_RESEARCH = (*_TRIAL, Behaviour.PRICING_RESEARCHER)
_HABIT = (Behaviour.CONTENT_READER, Behaviour.EXISTING_USER)
_VISITORS = (*_RESEARCH, *_HABIT)
_NEWSLETTER = (Behaviour.NEWSLETTER_READER,)
_CASUAL = (Behaviour.CASUAL_VISITOR,)
_QUIET = (Behaviour.GONE_QUIET,)

Group = tuple[Behaviour, ...]

PAIRS: tuple[tuple[str, int, Group, Group], ...] = (
    ("trial over other visitors by habit", _ENGAGEMENT, _TRIAL, _VISITORS[1:]),
    ("visitors by habit over newsletter readers", _ENGAGEMENT, _VISITORS, _NEWSLETTER),
    ("visitors by habit over those gone quiet", _ENGAGEMENT, _VISITORS, _QUIET),
    ("newsletter readers over casual visitors", _ENGAGEMENT, _NEWSLETTER, _CASUAL),
    ("research over readers and users", _INTENT, _RESEARCH, _HABIT),
    ("readers and users over casual visitors", _INTENT, _HABIT, _CASUAL),
)
LEAST_AUC = 0.8


def run(options: Options) -> Section:
    """The AUC of each pair, and the mean scores of each behaviour."""
    section = Section("Scores of planted behaviours, on synthetic traffic")
    planted = _planted(150 if options.quick else 400)
    at_us = _config(1).start_us + _DAYS * DAY
    scores = {behaviour: _scores(records, at_us) for behaviour, records in planted.items()}
    areas = [_area(scores, column, above, below) for _, column, above, below in PAIRS]
    for (name, column, _, _), area in zip(PAIRS, areas, strict=True):
        section.add(f"{_word(column)}, AUC: {name}", area, at_least=LEAST_AUC)
    section.figures["score_ranking_auc_least"] = round(min(areas), 6)
    section.add(
        "engagement, AUC: research over readers and users",
        _area(scores, _ENGAGEMENT, _RESEARCH, _HABIT),
        note="no target: both come regularly",
    )
    section.add(
        "days of silence until the quiet stand below casual visitors",
        _days_to_fall(planted[Behaviour.GONE_QUIET], scores[Behaviour.CASUAL_VISITOR]),
        note="mean engagement; before, they are remembered",
    )
    for behaviour, rows in scores.items():
        engagement, intent = rows.mean(axis=0)
        section.details.append(
            f"{behaviour.value:20} {len(rows):3} accounts, "
            f"mean engagement {engagement:5.1f}, mean intent {intent:5.1f}"
        )
    return section


def _config(accounts: int) -> TrafficConfig:
    trial = Drift("appears", Behaviour.TRIAL_EVALUATOR, day=8.0, share=0.12)
    return TrafficConfig(52, accounts, horizon_days=_DAYS, drifts=(trial,), with_type=True)


def _planted(accounts: int) -> Mapping[Behaviour, Records]:
    """Records at the end of the stream by what was planted; who was never seen is not there."""
    config = _config(accounts)
    table = replayed(config, _DAYS, _NO_MODEL, lambda _: None).table
    truth, end_us = Traffic(config).truth, config.start_us + _DAYS * DAY
    unsteady = {s.account_id for s in truth.switches if s.at_us > end_us - _STEADY_DAYS * DAY}
    rows: dict[Behaviour, list[int]] = {behaviour: [] for behaviour in Behaviour}
    for account, behaviour in truth.labels_at(end_us).items():
        if (row := table.row_of(account)) is not None and account not in unsteady:
            rows[behaviour].append(row)
    return {behaviour: table.take(np.array(mine, np.int64)) for behaviour, mine in rows.items()}


def _scores(records: Records, at_us: int) -> Floats:
    return scores_of(values_at(records, np.full(len(records), at_us)), _SCORES)


def _area(scores: Mapping[Behaviour, Floats], column: int, above: Group, below: Group) -> float:
    high, low = (np.concatenate([scores[b][:, column] for b in group]) for group in (above, below))
    return auc(np.concatenate([high, low]), np.arange(len(high) + len(low)) < len(high))


def _days_to_fall(quiet: Records, casual: Floats) -> float:
    """Mean days from the last thing that a person did in a quiet account."""
    goal = casual[:, _ENGAGEMENT].mean()
    for days in range(1, 366):
        values = values_at(quiet, quiet["engaged_us"] + days * DAY)
        if scores_of(values, _SCORES)[:, _ENGAGEMENT].mean() < goal:
            return days
    return np.inf


def _word(column: int) -> str:
    return ("engagement", "intent")[column]
