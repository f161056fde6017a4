"""Spikes against planted surges, on synthetic traffic.

Tuned on the seeds 11 to 13, 31 to 34, 101 and 102 (usual traffic), 22 and 105 (twice the sessions),
103 (three times) and 104 (0.4 times). Of these, 31 to 34 were first reported on; recall fell just
short of its target there, so the threshold was chosen again. The figures come from 35 to 38, which
had no part in it; nor had 41 to 43. Every planted surge counts, from the first day on, also those
of accounts that were never seen before. A spike is right when it names the account and the topic of
a surge, between its start and a day after its end, and is the first to do so; every other one is
false.

So a spike is false also where an account begins to research, which is planted but is no surge:
something unusual did happen there, but it lasts for weeks and need not be of several people. The
strict figure is `spike_precision`; the one without those of 14 days after such a start stands
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from stream_app.engine import Engine
from stream_app.events.batch import Columns
from stream_app.events.decode import Pseudonyms
from stream_app.events.instants import DAY, MINUTE, parse
from stream_app.features.table import FeatureTable
from stream_app.settings import Settings
from stream_app.streams.mixed import MixedReader
from stream_app.traffic import GroundTruth, Surge, Traffic, TrafficConfig
from stream_app.traffic.world import build_world
from tests.quality.section import Options, Section

USUAL = tuple(TrafficConfig(seed=seed, accounts=1_500, with_type=True) for seed in (35, 36, 37, 38))
"""The figures come from these together."""
OTHERS = {
    "a third of the sessions": TrafficConfig(seed=41, accounts=1_500, activity=0.33),
    "twice the sessions": TrafficConfig(seed=42, accounts=750, activity=2.0),
    "many mailings": TrafficConfig(seed=43, accounts=750, campaigns_per_week=5),
}
"""For information: the same settings on other traffic."""

Found = tuple[int, str, str]
"""When, account, topic."""


@dataclass
class Tally:
    """What became of surges and spikes, over any number of streams."""

    surges: int = 0
    delays: list[float] = field(default_factory=list)
    """Minutes from a surge's start to its spike, of those that were found."""
    false: int = 0
    researching: int = 0
    """Of the false ones, in an account that began to research within 14 days before."""
    crawled: int = 0
    """Of the false ones, within an hour after a crawler, in its account."""
    account_days: int = 0

    @property
    def precision_without_research(self) -> float:
        """The same where an account that began to research says nothing, neither way."""
        judged = len(self.delays) + self.false - self.researching
        return len(self.delays) / max(judged, 1)

    @property
    def recall(self) -> float:
        """Share of the surges that were found."""
        return len(self.delays) / max(self.surges, 1)

    @property
    def precision(self) -> float:
        """Share of the spikes that are right."""
        return len(self.delays) / max(len(self.delays) + self.false, 1)

    @property
    def false_rate(self) -> float:
        """False spikes per 1,000 account-days."""
        return 1_000 * self.false / max(self.account_days, 1)

    def add(self, truth: GroundTruth, spikes: list[Found], days: int) -> None:
        """Count one stream."""
        self.surges += len(truth.surges)
        self.account_days += len(truth.accounts) * days
        found: set[Surge] = set()
        starts, crawlers = truth.research_starts, truth.crawlers
        for at_us, account, topic in sorted(spikes):
            right = [
                surge
                for surge in truth.surges
                if (surge.account_id, surge.topic) == (account, topic)
                and surge.start_us <= at_us <= surge.end_us + DAY
                and surge not in found
            ]
            if right:
                found.add(right[0])
                self.delays.append((at_us - right[0].start_us) / MINUTE)
                continue
            self.false += 1
            self.researching += 0 <= at_us - starts.get(account, 2**62) <= 14 * DAY
            self.crawled += any(
                c.account_id == account and 0 <= at_us - c.start_us <= DAY / 24 for c in crawlers
            )


def spikes_of(config: TrafficConfig, settings: Settings, days: int) -> list[Found]:
    """Spikes of so many days of traffic, through the engine, without a model."""
    inputs = settings.input
    reader = MixedReader(inputs, Columns(Pseudonyms()))
    engine, table = Engine(settings), FeatureTable(config.accounts)
    end_us = config.start_us + days * DAY
    found: list[Found] = []
    for records in Traffic(config).batches(days, size=4_000):
        read, _ = reader.read([record.value for record in records], end_us)
        spikes = engine.step(table, read.batch, None, None).spikes
        found += [(parse(spike.occurred_at), spike.account_id, spike.topic) for spike in spikes]
    return found


def tally(configs: tuple[TrafficConfig, ...], settings: Settings) -> Tally:
    """Everything that comes of some streams over their horizon."""
    result = Tally()
    for config in configs:
        days = config.horizon_days
        result.add(Traffic(config).truth, spikes_of(config, settings, days), days)
    return result


def second_person_minutes(configs: tuple[TrafficConfig, ...]) -> float:
    """Median minutes from a surge's start to the first visit of its second person: no detector
    that asks for two people can be earlier."""
    waits: list[float] = []
    for config in configs:
        waits += _waits(config)
    return median(waits)


def _waits(config: TrafficConfig) -> list[float]:
    world = build_world(config)
    sessions, people = world.bursts.sessions, world.people
    accounts = np.array(people.account_ids)[sessions["account"]]
    waits = []
    for surge in world.truth.surges:
        inside = (accounts == surge.account_id) & (sessions["at"] >= surge.start_us)
        inside &= sessions["at"] <= surge.end_us
        first = sessions["contact"][inside][0]
        others = sessions["at"][inside][sessions["contact"][inside] != first]
        if len(others):
            waits.append((int(others.min()) - surge.start_us) / MINUTE)
    return waits


def run(options: Options) -> Section:
    """The figures on usual traffic, and the same settings on other traffic."""
    section = Section("Spikes on synthetic traffic with planted surges")
    usual = USUAL[:1] if options.quick else USUAL
    if options.quick:
        usual = tuple(replace(config, accounts=300) for config in usual)
    found = tally(usual, Settings())
    section.add(
        "precision, all others counted as false",
        found.precision,
        at_least=0.9,
        figure="spike_precision",
    )
    section.add(
        "precision, but for 14 days after a start of research",
        found.precision_without_research,
        figure="spike_precision_without_research",
        note=f"leaves out {found.researching} of {found.false} false ones",
    )
    section.add("recall of all planted surges", found.recall, at_least=0.8, figure="spike_recall",
                note=f"{found.surges} surges")  # fmt: skip
    section.add("median delay, minutes", median(found.delays or [1e9]), at_most=30.0,
                figure="spike_delay_minutes", note="from the first planted visit")  # fmt: skip
    section.add(
        "false spikes per 1,000 account-days",
        found.false_rate,
        at_most=1.0,
        figure="spike_false_per_1000_account_days",
        note=f"{found.false} in all",
    )
    section.add("of these: within an hour of a crawler", found.crawled, at_most=0)
    section.add("median minutes until a second person acts", second_person_minutes(usual),
                note="no detector that asks for two people can be earlier")  # fmt: skip
    for name, config in {} if options.quick else OTHERS.items():
        other = tally((replace(config, with_type=True),), Settings())
        section.details.append(
            f"{name}: precision {other.precision:.3f} (but for research "
            f"{other.precision_without_research:.3f}), recall {other.recall:.3f} of "
            f"{other.surges}, median delay {median(other.delays or [1e9]):.0f} min, "
            f"{other.false_rate:.2f} false per 1,000 account-days"
        )
    return section
