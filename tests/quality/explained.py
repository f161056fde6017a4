"""Can people understand the segments? Names against what was planted, and rules against the model.

Words, thresholds and the way to grow the rules were chosen on seeds 1 to 15 and on Online Retail;
the seeds below were not looked at.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stream_app.effects import Effects
from stream_app.events.instants import DAY
from stream_app.features.values import Floats, values_at
from stream_app.segments.rules import plain, rules_of
from stream_app.segments.snapshot import Snapshot
from stream_app.settings import Settings
from stream_app.streams.replay import Replay
from stream_app.traffic import Behaviour, Drift, Traffic, TrafficConfig
from tests.quality.reasons import Reasons, Versions
from tests.quality.runs import Observer, online_retail, replayed
from tests.quality.section import DataMissing, Options, Section

_SEEDS = range(21, 26)
_ACCOUNTS, _DAYS = 400, 45
_VECTORS = 4_000
"""Latest training vectors, on which rules are grown."""

FITTING: Mapping[str, frozenset[Behaviour]] = {
    "Pricing researchers": frozenset({Behaviour.PRICING_RESEARCHER}),
    "Late-stage evaluators": frozenset({Behaviour.PRICING_RESEARCHER}),
    "Heavy product explorers": frozenset({Behaviour.TRIAL_EVALUATOR}),
    "Product explorers": frozenset({Behaviour.TRIAL_EVALUATOR}),
    "Content readers": frozenset({Behaviour.CONTENT_READER}),
    "Newsletter readers": frozenset({Behaviour.NEWSLETTER_READER}),
    "E-mail responders": frozenset({Behaviour.NEWSLETTER_READER}),
    "Heavy site users": frozenset({Behaviour.EXISTING_USER}),
    "Frequent visitors": frozenset({Behaviour.EXISTING_USER, Behaviour.CONTENT_READER}),
    "Occasional visitors": frozenset({Behaviour.CASUAL_VISITOR}),
    "Rare visitors": frozenset({Behaviour.CASUAL_VISITOR}),
    "Not yet engaged": frozenset({Behaviour.CASUAL_VISITOR, Behaviour.GONE_QUIET}),
    "Cooling down": frozenset({Behaviour.GONE_QUIET}),
    "Gone quiet": frozenset({Behaviour.GONE_QUIET}),
    "Lapsed": frozenset({Behaviour.GONE_QUIET}),
}
"""What most accounts of a segment must have been planted to do for its name to fit. A name that is
not here fits nothing."""


@dataclass(frozen=True, slots=True)
class _Run:
    name: str
    replay: Replay
    vectors: Floats
    """The latest training vectors."""
    planted: Mapping[str, Behaviour]
    """By account, at the end; empty: not known."""
    reasons: Reasons
    models: dict[int, Snapshot]
    """All versions, by number."""

    @property
    def model(self) -> Snapshot:
        assert self.replay.assigner is not None
        return self.replay.assigner.snapshot


def run(options: Options) -> Section:
    """Names, descriptions and rules on synthetic traffic and on Online Retail."""
    section = Section("Explained")
    runs = [_traffic(seed, options) for seed in (_SEEDS[:1] if options.quick else _SEEDS)]
    if not options.quick:
        appears = Drift("appears", Behaviour.TRIAL_EVALUATOR, day=15.0, share=0.2)
        runs.append(_traffic(_SEEDS[0], options, appears))
    try:
        runs.append(_online_retail(options))
    except DataMissing as missing:
        section.details.append(f"left out: {missing}")
    _judge_names(section, runs)
    _judge_rules(section, runs)
    _judge_reasons(section, runs)
    return section


def _traffic(seed: int, options: Options, *drifts: Drift) -> _Run:
    accounts, days = (200, 15) if options.quick else (_ACCOUNTS, _DAYS)
    config = TrafficConfig(seed=seed, accounts=accounts, with_type=True, drifts=drifts)
    vectors, reasons, versions = _latest_vectors(), Reasons(), Versions()
    observe = _observer(vectors, reasons)
    replay = replayed(config, days, Settings(), observe, outputs=versions)
    planted = Traffic(config).truth.labels_at(config.start_us + days * DAY)
    name = f"traffic, seed {seed}" + (", with trials from day 15" if drifts else "")
    return _Run(name, replay, np.array(vectors), planted, reasons, versions.models)


def _online_retail(options: Options) -> _Run:
    vectors, reasons, versions = _latest_vectors(), Reasons(), Versions()
    rows = 30_000 if options.quick else None
    replay = online_retail(Settings(), _observer(vectors, reasons), rows, versions)
    return _Run("Online Retail", replay, np.array(vectors), {}, reasons, versions.models)


def _latest_vectors() -> deque[list[float]]:
    return deque(maxlen=_VECTORS)


def _observer(vectors: deque[list[float]], reasons: Reasons) -> Observer:
    def observe(effects: Effects) -> None:
        vectors.extend(sample.vector for sample in effects.samples)
        reasons.observe(effects)

    return observe


def _judge_names(section: Section, runs: list[_Run]) -> None:
    fits: list[bool] = []
    for one in runs:
        section.details += ["", f"{one.name}, model version {one.model.version}"]
        doing = _planted_majority(one)
        for segment in one.model.segments:
            line = f"  {segment.id} {segment.name}: {segment.description}"
            if segment.id in doing:
                behaviour, count, total = doing[segment.id]
                fits.append(behaviour in FITTING.get(segment.name.partition(", ")[0], ()))
                line += f" [planted: {behaviour} {count}/{total}{'' if fits[-1] else ', NO FIT'}]"
            section.details.append(line)
    names = [[segment.name for segment in one.model.segments] for one in runs]
    differ = sum(len(set(mine)) == len(mine) for mine in names) / len(names)
    section.add("models in which all names differ, share", differ, at_least=1.0)
    section.add(
        "segments whose name fits what most of their accounts were planted to do, share",
        float(np.mean(fits)),
        figure="name_fit_share",
        note=f"of {len(fits)}",
    )


def _planted_majority(one: _Run) -> dict[int, tuple[Behaviour, int, int]]:
    """(behaviour, accounts that show it, accounts) of each segment that has accounts."""
    counts: dict[int, Counter[Behaviour]] = {}
    live = one.replay.table.live
    for account, segment in zip(one.replay.table.all_ids(), live["segment"].tolist(), strict=True):
        if account in one.planted:
            counts.setdefault(segment, Counter())[one.planted[account]] += 1
    return {id_: (*found.most_common(1)[0], found.total()) for id_, found in counts.items()}


def _judge_rules(section: Section, runs: list[_Run]) -> None:
    held_out, assigned = [], []
    for one in runs:
        rules = rules_of(one.model, one.vectors, Settings().segments.seed)
        assert rules.fidelity is not None
        held_out.append(rules.fidelity)
        live = one.replay.table.live
        now = values_at(live, np.maximum(live["latest_us"], live["latest_us"].max())).vector
        ids = np.array([segment.id for segment in one.model.segments])
        assigned.append(float((ids[rules.say(plain(now))] == live["segment"]).mean()))
        section.add(
            f"rules agree with the model, {one.name}",
            held_out[-1],
            at_least=0.85,
            note=f"{len(ids)} segments; with the segments that accounts are in: {assigned[-1]:.3f}",
        )
        section.details += ["", f"rules, {one.name}"]
        section.details += [
            f"  {sentence}" for sentence in rules.sentences([s.name for s in one.model.segments])
        ]
    section.add(
        "rules agree with the model, on the average run",
        float(np.mean(held_out)),
        at_least=0.85,
        figure="tree_fidelity",
        note="on training vectors that the tree was not grown on",
    )
    section.figures["tree_fidelity_min"] = round(min(held_out), 6)
    section.add(
        "rules agree with the segments that accounts are in, on the average run",
        float(np.mean(assigned)),
        figure="tree_fidelity_assigned",
        note="at the end of the run; these have hysteresis, which rules do not know",
    )


def _judge_reasons(section: Section, runs: list[_Run]) -> None:
    margin = Settings().segments.margin
    verdicts = {one.name: one.reasons.faithful(one.models, margin) for one in runs}
    together = [verdict for found in verdicts.values() for verdict in found]
    lengths = [length for one in runs for length in one.reasons.lengths()]
    worst = min(verdicts, key=lambda name: float(np.mean(verdicts[name] or [True])))
    section.add(
        "behaviour changes that putting the named features back would undo, share",
        float(np.mean(together)),
        at_least=0.95,
        figure="why_faithful_share",
        note=f"of {len(together):,}; least: {np.mean(verdicts[worst]):.3f}, {worst}",
    )
    nearest = [verdict for one in runs for verdict in one.reasons.faithful(one.models, 0.0)]
    section.add(
        "the same, and the former centre is the nearest one again",
        float(np.mean(nearest)),
        figure="why_nearest_again_share",
    )
    passed_over = sum(one.reasons.passed_over for one in runs)
    section.add(
        "features that a change names, on average",
        float(np.mean(lengths)),
        note=f"at most {max(lengths)}; {passed_over} changes could not be judged",
    )
