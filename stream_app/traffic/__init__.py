"""Seeded, believable synthetic B2B traffic with known ground truth.

Used by the demo, by load generators and by the evaluation of segments and spikes. Pure: no
input or output, no clock. All accounts, people, companies and pages are invented.
"""

from stream_app.traffic.behaviours import Behaviour
from stream_app.traffic.config import Drift, TrafficConfig
from stream_app.traffic.encode import TrafficRecord
from stream_app.traffic.stream import Traffic
from stream_app.traffic.truth import (
    BehaviourPeriod,
    BehaviourSwitch,
    Crawler,
    DriftTruth,
    GroundTruth,
    Surge,
)

__all__ = [
    "Behaviour",
    "BehaviourPeriod",
    "BehaviourSwitch",
    "Crawler",
    "Drift",
    "DriftTruth",
    "GroundTruth",
    "Surge",
    "Traffic",
    "TrafficConfig",
    "TrafficRecord",
]
