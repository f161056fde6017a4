"""Are the reasons of changes true? Whatever `why` names is put back, as it was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stream_app.changes.types import SegmentChange
from stream_app.effects import Effects
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats
from stream_app.segments.snapshot import UNSEGMENTED, Assigner, Snapshot
from stream_app.streams.replay import Outputs

_NAMES = [dimension.name for dimension in MODEL_VECTOR]


class Versions(Outputs):
    """Keeps the models that a replay uses; writes nothing."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.models: dict[int, Snapshot] = {}

    def write(self, name: str, values: Sequence[object]) -> None:
        """Keep models."""
        self.models |= {v.version: v for v in values if isinstance(v, Snapshot)}

    def write_whole(self, name: str, data: bytes) -> None:
        """Nothing of this is needed."""


@dataclass(slots=True)
class Reasons:
    """Behaviour changes, each with the vector that it was decided on."""

    changes: list[tuple[SegmentChange, Floats]] = field(default_factory=list)
    passed_over: int = 0
    """Changes that were followed by another one of the account within the same step: their vector
    is not published."""

    def observe(self, effects: Effects) -> None:
        """Collect what a step led to."""
        for change in effects.changes:
            if change.reason != "behaviour" or not change.previous:
                continue
            if change.previous.id == UNSEGMENTED:
                continue
            account = effects.accounts[change.account_id]
            if (account.sequence, account.as_of) == (change.sequence, change.occurred_at):
                sums = [sum(account.features[f] for f in d.features) for d in MODEL_VECTOR]
                self.changes.append((change, np.log1p(sums)))
            else:
                self.passed_over += 1

    def faithful(self, models: dict[int, Snapshot], margin: float) -> list[bool]:
        """Of each change, whether the account would be in its former segment, had it the published
        former values in the named features: no centre is nearer by the margin. With a margin of 0
        the former centre must be the nearest."""
        return [_goes_back(change, vector, models, margin) for change, vector in self.changes]

    def lengths(self) -> list[int]:
        """How many features each change names."""
        return [len(change.why) for change, _ in self.changes]


def _goes_back(
    change: SegmentChange, vector: Floats, models: dict[int, Snapshot], margin: float
) -> bool:
    assert change.previous
    restored = vector.copy()
    for moved in change.why:
        restored[_NAMES.index(moved.feature)] = np.log1p(moved.before)
    assigner = Assigner(models[change.model_version])
    own = assigner.index.get(change.previous.id)
    distances = assigner.distances(restored[None])[0]
    return own is not None and bool(distances.min() >= (1.0 - margin) * distances[own])
