"""What the trainer keeps for a restart, as JSON."""

from __future__ import annotations

import msgspec

from stream_app.errors import Incompatible
from stream_app.features.catalogue import catalogue_hash
from stream_app.segments.clusters import SavedClusters
from stream_app.segments.online import Saved
from stream_app.segments.snapshot import Cause, Snapshot


class Proposal(msgspec.Struct, frozen=True):
    """A refit that is to be issued, but not learnt from."""

    cause: Cause
    clusters: SavedClusters


class Checkpoint(msgspec.Struct, frozen=True):
    """The trainer's whole state, as JSON."""

    catalogue: str
    version: int
    issued_at_vector: int
    active: Snapshot | None
    due: Cause | None
    proposal: Proposal | None
    requested: bool
    online: Saved


def read_checkpoint(data: bytes) -> Checkpoint:
    """Parse and check a checkpoint.

    Raises
    ------
    Incompatible
        It is none, or of other features.
    """
    try:
        saved = msgspec.json.decode(data, type=Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Incompatible(
            f"this is not a checkpoint of the trainer: {error}",
            hint="delete the checkpoint to train anew",
        ) from None
    if saved.catalogue != catalogue_hash():
        raise Incompatible(
            f"the trainer's checkpoint belongs to feature catalogue {saved.catalogue}, "
            f"this program has {catalogue_hash()}",
            hint="delete the checkpoint to train anew",
        )
    return saved
