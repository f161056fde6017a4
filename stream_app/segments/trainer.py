"""The trainer: turns what the online clustering learns into versions of the model.

A version is issued for the first centres, for every refit, and when centres have moved noticeably:
rarely, because workers look at every account again under a new version. A refit is used at once, or
issued as a proposal that an operator activates; until then the trainer goes on from what it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from stream_app.events.instants import to_rfc3339
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.segments.checkpoint import Checkpoint, Proposal, read_checkpoint
from stream_app.segments.clusters import Clusters, SavedClusters, Scale
from stream_app.segments.explain import explained
from stream_app.segments.matching import lineage
from stream_app.segments.online import OnlineClusters, Refit
from stream_app.segments.review import Limits
from stream_app.segments.snapshot import Cause, SegmentModel, Snapshot, check_snapshot
from stream_app.settings import HealthSettings, SegmentSettings

_NAMES = [dimension.name for dimension in MODEL_VECTOR]


class Trainer:
    """Deterministic for a sequence of vectors and a seed."""

    def __init__(
        self,
        settings: SegmentSettings,
        checkpoint: bytes | None = None,
        health: HealthSettings | None = None,
    ) -> None:
        self._settings = settings
        self._health = health or HealthSettings()
        saved = None if checkpoint is None else read_checkpoint(checkpoint)
        self._online = OnlineClusters(
            Limits(
                least=settings.min_segments,
                most=settings.max_segments,
                warm_start=settings.warm_start_vectors,
                seed=settings.seed,
            ),
            step=settings.halflife,
            saved=saved.online if saved else None,
        )
        self.version = saved.version if saved else 0
        """Of the last snapshot issued; 0: none."""
        self.user_names: Mapping[int, str] = {}
        """Names that people gave to segments, by id: they are kept as long as the segment is."""
        self._issued_at = saved.issued_at_vector if saved else 0
        self._active = saved.active if saved else None
        self._due = saved.due if saved else None
        self._proposal = saved.proposal if saved else None
        self._requested = saved.requested if saved else False

    @property
    def warm(self) -> bool:
        """Whether there is a model."""
        return self._online.clusters is not None

    @property
    def vectors(self) -> int:
        """Learnt so far."""
        return self._online.state.vectors

    @property
    def skipped(self) -> int:
        """Vectors left out because a coordinate was no number, or beyond all bounds."""
        return self._online.state.skipped

    @property
    def active(self) -> int:
        """The version that it learns from; 0: none."""
        return self._active.version if self._active else 0

    def learn(self, vectors: Sequence[Sequence[float]], at_us: Sequence[int]) -> Snapshot | None:
        """Learn vectors in order; returns a snapshot when one is due, else None.

        What is learnt does not depend on how vectors are divided among calls. A call returns one
        snapshot at most; what is due beside it comes with the next call.

        Parameters
        ----------
        vectors
            Unscaled model vectors. One with a coordinate that is no number is skipped.
        at_us
            Instant of each.
        """
        for vector, instant in zip(vectors, at_us, strict=True):
            if len(vector) != len(_NAMES):
                raise ValueError(f"{len(vector)} dimensions: shorter or longer than {len(_NAMES)}")
            self._take(self._online.learn(vector, instant))
        self._requested &= self._due != "warm_start"
        if self._requested and self.warm:
            self._take(self._online.refit())
            self._requested = False
        return self._next_snapshot()

    def request_refit(self) -> None:
        """Let the next call of `learn`, even without vectors, fit anew to the recent vectors,
        better or not. Waits while there is no model."""
        self._requested = True

    def follow(self, snapshot: Snapshot) -> None:
        """Go on from a version that was activated: an earlier one, or a proposal.

        What was learnt from until now is not proposed again, unless the vectors change.

        Raises
        ------
        SnapshotRefused
            It does not fit this program.
        """
        check_snapshot(snapshot)
        former = self._online.clusters
        self._online.adopt(_clusters_of(snapshot))
        self._online.decline(former)
        self._active, self._issued_at = snapshot, self.vectors
        self._due = self._proposal = None
        self.version = max(self.version, snapshot.version)

    def _take(self, refit: Refit | None) -> None:
        if refit is None:
            return
        if self.warm and self._settings.activation == "approval":
            self._online.decline(refit.clusters)
            self._proposal = Proposal(refit.cause, SavedClusters.of(refit.clusters))
        else:
            self._online.adopt(refit.clusters)
            self._due = refit.cause if self._due != "warm_start" else self._due

    def _next_snapshot(self) -> Snapshot | None:
        clusters = self._online.clusters
        if clusters is None:
            return None
        proposal = self._proposal
        if proposal and not self._due:
            self._proposal = None
            return self._snapshot(proposal.clusters.clusters(), proposal.cause)
        if not self._due and not self._moved(clusters):
            return None
        self._active = self._snapshot(clusters, self._due or "online")
        self._due, self._issued_at = None, self.vectors
        return self._active

    def _moved(self, clusters: Clusters) -> bool:
        """Whether centres have moved noticeably since they were issued, in the same scale."""
        if self._active is None or self.vectors - self._issued_at < self._settings.snapshot_vectors:
            return False
        now, before = clusters.centres, _clusters_of(self._active).centres
        apart = np.linalg.norm(now[:, None] - now, axis=2)[~np.eye(len(now), dtype=bool)]
        moved = np.linalg.norm(now - before, axis=1).max()
        return bool(moved >= self._settings.snapshot_shift * apart.min(initial=np.inf))

    def _snapshot(self, clusters: Clusters, cause: Cause) -> Snapshot:
        self.version += 1
        state, recent = self._online.state, self._online.recent()
        positions = clusters.positions(recent)
        shares = np.bincount(positions, minlength=len(clusters.ids)) / max(len(recent), 1)
        latest = to_rfc3339(state.latest_us)
        snapshot = Snapshot(
            version=self.version,
            created_at=latest,
            catalogue=catalogue_hash(),
            dimensions=_NAMES,
            mean=clusters.scale.mean.tolist(),
            scale=clusters.scale.deviation.tolist(),
            segments=[
                SegmentModel(
                    id=id_,
                    name=self.user_names.get(id_, ""),
                    named_by="user" if id_ in self.user_names else "model",
                    description="",
                    centre=centre,
                    share=round(share, 4),
                )
                for id_, centre, share in zip(
                    clusters.ids, clusters.centres.tolist(), shares.tolist(), strict=True
                )
            ],
            vectors=state.vectors,
            trained_from=to_rfc3339(state.first_us),
            trained_until=latest,
            parent=self.active,
            cause=cause,
        )
        held = clusters.scale.held(recent)
        named = explained(snapshot, held, self._active, self._settings, self._health)
        if self._active is None or cause == "online":
            return named
        names = {s.id: s.name for s in [*self._active.segments, *named.segments]}
        changes = lineage(_clusters_of(self._active), clusters, recent, names)
        return msgspec.structs.replace(named, lineage=[*changes, *named.lineage])

    def checkpoint(self) -> bytes:
        """The state as JSON, for a restart."""
        return msgspec.json.encode(
            Checkpoint(
                catalogue=catalogue_hash(),
                version=self.version,
                issued_at_vector=self._issued_at,
                active=self._active,
                due=self._due,
                proposal=self._proposal,
                requested=self._requested,
                online=self._online.saved(),
            )
        )


def _clusters_of(snapshot: Snapshot) -> Clusters:
    return Clusters(
        tuple(segment.id for segment in snapshot.segments),
        Scale(np.array(snapshot.mean), np.array(snapshot.scale)),
        np.array([segment.centre for segment in snapshot.segments]),
    )
