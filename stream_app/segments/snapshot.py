"""Snapshots: immutable, versioned models. JSON, never pickles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from stream_app.errors import SnapshotRefused
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.features.values import Floats

UNSEGMENTED = 0
"""Id of the segment of accounts seen before there is a model."""
UNSEGMENTED_NAME = "Unsegmented"
NO_SEGMENT = -1
"""Segment of an account that has not been decided on yet."""

Instant = Annotated[
    str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})
]


class SegmentModel(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a snapshot."""

    id: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Stable: never renumbered, never used again.")
    ]
    name: str
    description: Annotated[str, Meta(description="One sentence: what sets it apart.")]
    centre: Annotated[list[float], Meta(description="Scaled coordinates, in `dimensions` order.")]
    share: Annotated[float, Meta(ge=0, le=1, description="Of the recent training vectors.")]


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


@dataclass(frozen=True)
class Assigner:
    """Vectorised distances to the centres of a snapshot."""

    snapshot: Snapshot
    margin: float
    """An account leaves its segment for a centre that is nearer by this share."""

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
