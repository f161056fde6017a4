"""What operators ask of the trainer: approve, activate another version, refit, rename."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from stream_app.errors import SnapshotRefused
from stream_app.segments.snapshot import Snapshot
from stream_app.segments.trainer import Trainer
from stream_app.settings import SegmentSettings
from tests.segments.test_trainer import SMALL, WIDTH, Floats, blobs, learn

STILL = SMALL.model_copy(update={"snapshot_shift": 1e9})
APPROVAL = STILL.model_copy(update={"activation": "approval"})


def trained(settings: SegmentSettings = STILL, vectors: int = 150) -> tuple[Trainer, Snapshot]:
    """A trainer with its first version."""
    trainer = Trainer(settings)
    (first,) = learn(trainer, blobs(vectors, seed=1)[0])
    assert (first.cause, first.parent, trainer.active) == ("warm_start", 0, 1)
    return trainer, first


def elsewhere(n: int) -> Floats:
    """Vectors around four other centres: two close together, two far away, so that centres that
    only move toward vectors do not find them."""
    random = np.random.default_rng(8)
    centres = np.outer([-1.0, -0.8, 4.0, 8.0], np.ones(WIDTH))
    return centres[random.integers(0, 4, n)] + random.normal(0.0, 0.05, (n, WIDTH))


def ids(snapshot: Snapshot) -> list[int]:
    return [segment.id for segment in snapshot.segments]


def test_a_refit_that_is_asked_for_comes_with_the_next_call_even_without_vectors() -> None:
    trainer, first = trained()
    trainer.request_refit()
    second = trainer.learn([], [])
    assert second is not None
    assert (second.version, second.cause, second.parent) == (2, "requested", first.version)
    assert ids(second) == ids(first)
    assert trainer.active == 2
    assert trainer.learn([], []) is None


def test_a_request_survives_a_restart_and_waits_for_the_first_model() -> None:
    trainer = Trainer(STILL)
    trainer.request_refit()
    assert trainer.learn([], []) is None
    trainer = Trainer(STILL, trainer.checkpoint())
    found = learn(trainer, blobs(101, seed=1)[0])
    assert [snapshot.cause for snapshot in found] == ["warm_start"]  # which fulfils it


def test_with_approval_a_refit_is_proposed_and_learning_goes_on_from_the_old_model() -> None:
    trainer, first = trained(APPROVAL)
    before = trainer.checkpoint()
    trainer.request_refit()
    proposal = trainer.learn([], [])
    assert proposal is not None
    assert (proposal.version, proposal.cause, proposal.parent) == (2, "requested", first.version)
    assert (trainer.version, trainer.active) == (2, first.version)
    online = "online"
    assert (
        json.loads(trainer.checkpoint())[online]["clusters"]
        == (json.loads(before)[online]["clusters"])
    )


def test_a_proposal_is_not_repeated_until_the_vectors_change() -> None:
    """A few proposals while old vectors fade from the window, then no more of the same."""
    trainer, _ = trained(APPROVAL)
    proposals = learn(trainer, elsewhere(6_500))
    assert [p.cause for p in proposals] == ["growth"] * len(proposals)
    assert 1 <= len(proposals) <= 4
    assert all(p.parent == 1 for p in proposals)
    assert learn(trainer, elsewhere(6_500)) == []


def test_small_movements_do_not_wait_for_approval() -> None:
    trainer = Trainer(SMALL.model_copy(update={"activation": "approval"}))
    first, second, *_ = learn(trainer, blobs(300, seed=1)[0])
    assert (second.cause, second.parent) == ("online", first.version)
    assert trainer.active > second.parent


def test_following_a_proposal_makes_it_what_is_learnt_from() -> None:
    trainer, _ = trained(APPROVAL)
    trainer.request_refit()
    proposal = trainer.learn([], [])
    assert proposal is not None
    trainer.follow(proposal)
    assert trainer.active == proposal.version
    trainer.request_refit()
    following = trainer.learn([], [])
    assert following is not None
    assert following.parent == proposal.version


def test_after_a_rollback_ids_and_versions_go_on_above_all_that_were_given() -> None:
    """Segments 5 and above belong to a version that was rolled back; nobody gets them again."""
    trainer, first = trained()
    gone = msgspec.structs.replace(
        first,
        version=7,
        segments=[
            msgspec.structs.replace(s, id=s.id + 40, centre=[x + 3.0 for x in s.centre])
            for s in first.segments
        ],
    )
    trainer.follow(gone)
    trainer.follow(first)
    trainer = Trainer(STILL, trainer.checkpoint())
    later = learn(trainer, elsewhere(1_000), at_once=1_000)[-1]
    assert later.version > gone.version
    fresh = set(ids(later)) - set(ids(first))
    assert fresh
    assert min(fresh) > max(ids(gone))


def test_following_a_version_continues_from_it_exactly() -> None:
    trainer, first = trained()
    learn(trainer, blobs(300, seed=5, spread=0.5)[0])
    trainer.follow(first)
    clusters = json.loads(trainer.checkpoint())["online"]["clusters"]
    assert clusters["centres"] == [segment.centre for segment in first.segments]
    assert (clusters["mean"], clusters["deviation"]) == (first.mean, first.scale)
    assert clusters["ids"] == ids(first)


def test_what_was_rolled_back_does_not_come_back_by_itself() -> None:
    """The same vectors that made the refit are still in the window."""
    trainer, first = trained()
    moved = elsewhere(500)
    refits = learn(trainer, moved)
    assert [s.cause for s in refits] == ["growth"] * len(refits) != []
    trainer.follow(first)
    assert learn(trainer, moved) == []


def test_a_snapshot_that_does_not_fit_is_not_followed() -> None:
    trainer, first = trained()
    before = trainer.checkpoint()
    with pytest.raises(SnapshotRefused):
        trainer.follow(msgspec.structs.replace(first, catalogue="feedface"))
    assert trainer.checkpoint() == before


def test_a_users_name_survives_a_refit() -> None:
    trainer, _ = trained()
    trainer.user_names = {2: "Hot leads"}
    trainer.request_refit()
    second = trainer.learn([], [])
    assert second is not None
    named = {segment.id: (segment.name, segment.named_by) for segment in second.segments}
    assert named[2] == ("Hot leads", "user")
    assert {by for id_, (_, by) in named.items() if id_ != 2} == {"model"}
