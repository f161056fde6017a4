"""Everything decided before the first event: people, planted behaviour, bursts, truth."""

from dataclasses import dataclass

import numpy as np

from stream_app.traffic.behaviours import HabitTable, habit_table
from stream_app.traffic.bursts import Bursts, plan_bursts
from stream_app.traffic.config import TrafficConfig
from stream_app.traffic.population import Population, many_people_rows, populate
from stream_app.traffic.timeline import Timeline, columns, drift_truth, labels, plant
from stream_app.traffic.truth import GroundTruth


@dataclass(frozen=True, slots=True)
class World:
    """The fixed part of one stream."""

    config: TrafficConfig
    habits: HabitTable
    people: Population
    timeline: Timeline
    bursts: Bursts
    truth: GroundTruth


def build_world(config: TrafficConfig) -> World:
    """Plan a stream. Cost grows with accounts and horizon: 20 ms for 2,000 accounts."""
    habits = habit_table()
    plan, applied = plant(config)
    timeline = columns(plan)
    busy = np.zeros(config.accounts, dtype=np.bool_)
    busy[timeline.account[np.isin(timeline.row, many_people_rows())]] = True
    first_row = np.array([periods[0][1] for periods in plan])
    people = populate(config, first_row, busy, habits)
    bursts = plan_bursts(config, people, timeline, habits)
    periods, switches = labels(plan, people.account_ids)
    truth = GroundTruth(
        accounts=people.account_ids,
        periods=periods,
        switches=switches,
        surges=bursts.surges,
        crawlers=bursts.crawlers,
        drifts=drift_truth(config, applied, people.account_ids),
    )
    return World(config, habits, people, timeline, bursts, truth)
