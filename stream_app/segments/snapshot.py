"""Snapshots: immutable, versioned models. JSON, never pickles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, sqrt
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from stream_app.errors import SnapshotRefused
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.features.values import Floats
from stream_app.segments.hysteresis import PLAIN, Hysteresis

UNSEGMENTED = 0
"""Id of the segment of accounts seen before there is a model."""
UNSEGMENTED_NAME = "Unsegmented"
NO_SEGMENT = -1
"""Segment of an account that has not been decided on yet."""

Instant = Annotated[
    str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})
]


class TopFeature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature in which a segment differs from the average account."""

    feature: Annotated[str, Meta(description="Name of the model's dimension.")]
    label: Annotated[str, Meta(description="What it is, in plain words.")]
    unit: str
    value: Annotated[float, Meta(description="Of the segment's typical account.")]
    average: Annotated[float, Meta(description="Of the average account.")]


class SegmentModel(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a snapshot."""

    id: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Stable: never renumbered, never used again.")
    ]
    name: str
    description: Annotated[str, Meta(description="One sentence: what sets it apart.")]
    centre: Annotated[list[float], Meta(description="Scaled coordinates, in `dimensions` order.")]
    share: Annotated[float, Meta(ge=0, le=1, description="Of the recent training vectors.")]
    named_by: Annotated[
        Literal["model", "user"],
        Meta(description="user: the name was given by a person, and is kept."),
    ] = "model"
    top: Annotated[
        list[TopFeature], Meta(description="What sets it apart most, strongest first.")
    ] = []


Cause = Annotated[
    Literal["warm_start", "online", "growth", "drift", "requested", "renamed"],
    Meta(
        description="Why the version was made. warm_start: the first one. online: centres moved a "
        "little. growth: chosen anew while the history is young. drift: chosen anew because the "
        "accounts behave differently. requested: chosen anew because an operator asked. renamed: a "
        "person named a segment."
    ),
]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a version did to the segments of the version before it."""

    kind: Annotated[
        Literal["created", "retired", "split", "merged", "renamed"],
        Meta(
            description="created: a new segment. retired: it is gone, and no other took it over. "
            "split: some of its accounts went to new segments; it may stay itself. merged: gone, "
            "its accounts went to another segment that stays. renamed: another name."
        ),
    ]
    segment: Annotated[int, Meta(ge=1, description="The segment that it happened to.")]
    name: Annotated[str, Meta(description="Its name; after `renamed`, the new one.")]
    others: Annotated[
        list[int],
        Meta(description="split: the segments it went to. merged: the one that took it over."),
    ] = []
    before: Annotated[str, Meta(description="renamed: the name until then.")] = ""


Check = Literal[
    "differentiated", "manageable", "sustainable", "understandable", "no_overlap", "aligned"
]


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the marketer's vetting list, as a number and in words."""

    name: Annotated[Check, Meta(description="What is judged.")]
    value: Annotated[float | None, Meta(description="The measured figure. null: not known.")]
    threshold: Annotated[str, Meta(description="What is asked of it, e.g. `at least 0.15`.")]
    passed: Annotated[bool | None, Meta(description="null: not known.")]
    says: Annotated[str, Meta(description="One sentence.")]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the workers use it: scale a vector, take the nearest centre."""

    version: Annotated[int, Meta(ge=1, le=4_294_967_295)]
    created_at: Instant
    catalogue: Annotated[str, Meta(description="Fingerprint of the features it was trained on.")]
    dimensions: Annotated[list[str], Meta(description="Coordinates of the vectors, in order.")]
    mean: Annotated[list[float], Meta(description="What scaling takes off, per dimension.")]
    scale: Annotated[list[float], Meta(description="Standard deviations; 0 where constant.")]
    segments: Annotated[list[SegmentModel], Meta(min_length=1)]
    vectors: Annotated[int, Meta(ge=0, description="Training vectors seen so far.")]
    trained_from: Annotated[Instant, Meta(description="Instant of the earliest vector.")]
    trained_until: Annotated[Instant, Meta(description="Instant of the latest vector.")]
    parent: Annotated[
        int, Meta(ge=0, description="Version that this one was made from; 0: none.")
    ] = 0
    cause: Cause = "online"
    lineage: Annotated[
        list[Lineage], Meta(description="What became of the segments of `parent`.")
    ] = []
    health: Annotated[list[HealthCheck], Meta(description="On the recent training vectors.")] = []
    rules: Annotated[
        list[str],
        Meta(description="A small decision tree that says nearly the same, as sentences."),
    ] = []


_decoder = msgspec.json.Decoder(Snapshot)


def read_snapshot(data: bytes) -> Snapshot:
    """Parse and check a snapshot.

    Raises
    ------
    SnapshotRefused
        Not a snapshot, of another feature catalogue, or with coordinates that are no numbers.
    """
    try:
        snapshot = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotRefused(f"this is not a model snapshot: {error}") from None
    check_snapshot(snapshot)
    return snapshot


def check_snapshot(snapshot: Snapshot) -> None:
    """Raise `SnapshotRefused` unless the snapshot fits this program and is sound."""
    if snapshot.catalogue != catalogue_hash():
        raise SnapshotRefused(
            f"model version {snapshot.version} was trained on feature catalogue "
            f"{snapshot.catalogue}, this program has {catalogue_hash()}",
            hint="train a new model with this version of stream-app",
        )
    names = [dimension.name for dimension in MODEL_VECTOR]
    rows = [snapshot.mean, snapshot.scale, *(s.centre for s in snapshot.segments)]
    if snapshot.dimensions != names or any(len(row) != len(names) for row in rows):
        raise SnapshotRefused(
            f"model version {snapshot.version} has not the dimensions {', '.join(names)}"
        )
    if not all(isfinite(x) for row in rows for x in row) or min(snapshot.scale) < 0:
        raise SnapshotRefused(
            f"model version {snapshot.version} has coordinates that are no numbers"
        )
    if len({segment.id for segment in snapshot.segments}) != len(snapshot.segments):
        raise SnapshotRefused(f"model version {snapshot.version} uses a segment id twice")


def write_snapshot(snapshot: Snapshot) -> bytes:
    """JSON of a snapshot."""
    return msgspec.json.encode(snapshot)


def retired_name(id_: int, snapshot: Snapshot | None = None) -> str:
    """Name of a segment that a model does not have: the last one, if this version retired it."""
    last = {step.segment: step.name for step in snapshot.lineage} if snapshot else {}
    return f"{last.get(id_, f'Segment {id_}')} (retired)"


@dataclass(frozen=True)
class Assigner:
    """Vectorised distances to the centres of a snapshot."""

    snapshot: Snapshot
    hysteresis: Hysteresis = PLAIN
    """When an account leaves its segment; without it, as soon as another centre is nearer."""

    @cached_property
    def ids(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Segment id of each centre."""
        return np.array([segment.id for segment in self.snapshot.segments])

    @cached_property
    def names(self) -> dict[int, str]:
        """Segment names by id, `unsegmented` included."""
        return {UNSEGMENTED: UNSEGMENTED_NAME} | {s.id: s.name for s in self.snapshot.segments}

    @cached_property
    def index(self) -> dict[int, int]:
        """Position of each segment id among the centres."""
        return {segment.id: i for i, segment in enumerate(self.snapshot.segments)}

    @cached_property
    def positions(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """`index` as an array; -1 for ids that are not in it: the first entry, since ids begin
        with 1, and the last."""
        positions = np.full(max(self.index) + 2, -1)
        positions[self.ids] = np.arange(len(self.ids))
        return positions

    @cached_property
    def centres(self) -> Floats:
        """(k, dimensions), scaled."""
        return np.array([segment.centre for segment in self.snapshot.segments])

    @cached_property
    def _mean(self) -> Floats:
        return np.array(self.snapshot.mean)

    @cached_property
    def _factor(self) -> Floats:
        scale = np.array(self.snapshot.scale)
        return np.where(scale > 0, 1.0 / np.where(scale > 0, scale, 1.0), 0.0)

    @cached_property
    def rules(self) -> dict[object, Any]:
        """What `decide.py` prepares of it, kept as long as it is in use."""
        return {}

    @property
    def scaling(self) -> tuple[list[float], list[float]]:
        """What scaling takes off and multiplies by, per dimension."""
        return self._plain[:2]

    @cached_property
    def _plain(self) -> tuple[list[float], list[float], list[list[float]]]:
        """Mean, factor and centres as plain numbers."""
        return self._mean.tolist(), self._factor.tolist(), self.centres.tolist()

    def scaled(self, vectors: Floats) -> Floats:
        """Standardised vectors; a dimension without variance becomes 0."""
        scaled: Floats = (vectors - self._mean) * self._factor
        return scaled

    def distances(self, vectors: Floats) -> Floats:
        """(n, k) distances of n unscaled vectors.

        Summed dimension by dimension, so that a row's result does not depend on how many rows
        there are (a matrix product would not promise that).
        """
        scaled = self.scaled(vectors)
        total, *others = np.square(scaled.T[:, :, None] - self.centres.T[:, None])
        for squares in others:
            total += squares
        distances: Floats = np.sqrt(total)
        return distances

    def scaled_one(self, vector: Sequence[float]) -> list[float]:
        """`scaled` of a single vector, without numpy, in a fraction of the time: the same bits."""
        mean, factor, _ = self._plain
        return [(x - m) * f for x, m, f in zip(vector, mean, factor, strict=True)]

    def distances_of(self, vector: Sequence[float]) -> list[float]:
        """`distances` of a single vector, in the same way."""
        scaled = self.scaled_one(vector)
        squares: list[float] = []
        for centre in self._plain[2]:
            total = 0.0
            for x, c in zip(scaled, centre, strict=True):  # `sum` adds in another way since 3.12
                total += (x - c) * (x - c)
            squares += (total,)
        return [*map(sqrt, squares)]
