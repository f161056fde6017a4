"""The trainer: nothing before there is enough, then segments that are there, under stable ids."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from stream_app.errors import Incompatible
from stream_app.events.instants import DAY, MINUTE, to_rfc3339
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import Assigner, Snapshot, check_snapshot
from stream_app.segments.trainer import Trainer
from stream_app.settings import SegmentSettings
from tests.features.build import START_US

WIDTH = len(MODEL_VECTOR)
SMALL = SegmentSettings(
    min_segments=4, max_segments=4, warm_start_vectors=100, snapshot_vectors=50, snapshot_shift=0.0
)
Floats = npt.NDArray[np.float64]

CENTRES = np.array(
    [
        [0.1, 0.3, 0, 0, 0, 0, 0, 0, 0.2, 3.5],
        [2.5, 3.0, 2.0, 0, 0, 0, 0, 0, 1.0, 0.5],
        [2.0, 2.5, 0.5, 2.0, 0, 1.5, 0, 0, 1.8, 0.4],
        [0.2, 0.4, 0, 0, 1.2, 0, 2.0, 1.5, 0.9, 1.0],
    ]
)


def blobs(n: int, seed: int, spread: float = 0.15) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Vectors around four centres that lie well apart, and which centre each belongs to."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, len(CENTRES), n)
    return CENTRES[truth] + random.normal(0.0, spread, (n, WIDTH)), truth


def learn(trainer: Trainer, vectors: Floats, at_once: int = 1) -> list[Snapshot]:
    """Learn vectors, so many per call and one a minute; returns the snapshots."""
    snapshots = []
    for start in range(0, len(vectors), at_once):
        part = vectors[start : start + at_once].tolist()
        first_us = START_US + trainer.vectors * MINUTE
        times = [first_us + i * MINUTE for i in range(len(part))]
        if snapshot := trainer.learn(part, times):
            snapshots.append(snapshot)
    return snapshots


def test_there_is_no_model_before_there_are_enough_vectors() -> None:
    vectors, _ = blobs(100, seed=1)
    trainer = Trainer(SMALL)
    assert learn(trainer, vectors[:99]) == []
    assert (trainer.warm, trainer.version, trainer.vectors) == (False, 0, 99)
    (snapshot,) = learn(trainer, vectors[99:])
    assert trainer.warm
    assert (snapshot.version, snapshot.vectors) == (1, 100)


@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_planted_groups_are_found_again(spread: float) -> None:
    """Adjusted Rand index above 0.9 on vectors that were not learnt, after the online part too."""
    vectors, _ = blobs(2_000, 2, spread)
    trainer = Trainer(SegmentSettings())
    snapshots = learn(trainer, vectors[:500], at_once=20)
    assert len(snapshots) == 1
    snapshots += learn(trainer, vectors[500:], at_once=20)
    unseen, truth = blobs(1_000, 3, spread)
    for snapshot in (snapshots[0], snapshots[-1]):
        assert len(snapshot.segments) == len(CENTRES)
        found = Assigner(snapshot, Hysteresis(0.2)).distances(unseen).argmin(axis=1)
        assert adjusted_rand_score(truth, found) > 0.9
    # Checked against the truth, shares are about a quarter each.
    assert sum(s.share for s in snapshots[-1].segments) == pytest.approx(1.0, abs=0.01)
    assert all(0.15 < s.share < 0.35 for s in snapshots[-1].segments)


def test_centres_follow_groups_that_move() -> None:
    """The online part is what does it: the warm start has never seen where the group went."""
    vectors, _ = blobs(500, seed=4)
    trainer = Trainer(SegmentSettings())
    learn(trainer, vectors, at_once=500)
    shift = np.zeros(WIDTH)
    shift[5] = 1.2
    snapshots: list[Snapshot] = []
    for part in range(40):
        moved, _ = blobs(100, seed=10 + part)
        snapshots += learn(trainer, moved + shift * min(part / 20, 1), at_once=100)
    unseen, truth = blobs(1_000, seed=99)
    found = Assigner(snapshots[-1], Hysteresis(0.2)).distances(unseen + shift).argmin(axis=1)
    assert adjusted_rand_score(truth, found) > 0.9
    assert {s.id for s in snapshots[-1].segments} == {1, 2, 3, 4}


@given(st.integers(0, 1_000))
@settings(max_examples=5, deadline=None)
def test_equal_vectors_and_an_equal_seed_give_equal_snapshots(seed: int) -> None:
    vectors, _ = blobs(400, seed, spread=0.5)
    these = SMALL.model_copy(update={"seed": seed, "min_segments": 3})
    first, second = (learn(Trainer(these), vectors, at_once=30) for _ in range(2))
    assert first == second
    assert first


def test_versions_increase_by_one() -> None:
    trainer = Trainer(SMALL)
    vectors, _ = blobs(1_500, seed=5, spread=0.6)
    snapshots = learn(trainer, vectors, at_once=25)
    assert len(snapshots) >= 3
    assert [s.version for s in snapshots] == list(range(1, len(snapshots) + 1))
    assert [s.vectors for s in snapshots] == sorted({s.vectors for s in snapshots})
    assert trainer.version == len(snapshots)


def test_every_snapshot_is_sound_and_says_what_it_was_trained_on() -> None:
    trainer = Trainer(SMALL)
    vectors, _ = blobs(900, seed=6, spread=0.6)
    for snapshot in learn(trainer, vectors, at_once=25):
        check_snapshot(snapshot)
        assert snapshot.trained_from == to_rfc3339(START_US)
        last_us = START_US + (snapshot.vectors - 1) * MINUTE
        assert snapshot.trained_until == snapshot.created_at == to_rfc3339(last_us)


def test_a_new_snapshot_waits_for_news() -> None:
    """With the centres where they were, nothing is published."""
    still = SMALL.model_copy(update={"snapshot_shift": 0.15})
    vectors, _ = blobs(3_000, seed=7)
    trainer = Trainer(still)
    issued_at = [s.vectors for s in learn(trainer, vectors, at_once=50)]
    assert issued_at == [100]


def test_the_number_of_segments_keeps_its_limits() -> None:
    vectors, _ = blobs(300, seed=8)
    for least, most in ((2, 2), (6, 8)):
        these = SegmentSettings(warm_start_vectors=300, min_segments=least, max_segments=most)
        (snapshot,) = learn(Trainer(these), vectors, at_once=300)
        assert least <= len(snapshot.segments) <= most


@pytest.mark.parametrize("learnt", [0, 1, 60, 100, 150, 199, 200, 430])
def test_a_restart_changes_nothing(learnt: int) -> None:
    """From a checkpoint it goes on to the same snapshots, to the bit; before a model and after."""
    vectors, _ = blobs(900, seed=9, spread=0.6)
    trainer = Trainer(SMALL)
    learn(trainer, vectors[:learnt])
    restarted = Trainer(SMALL, trainer.checkpoint())
    assert (restarted.version, restarted.vectors) == (trainer.version, trainer.vectors)
    assert restarted.warm == trainer.warm
    assert json.loads(restarted.checkpoint()) == json.loads(trainer.checkpoint())
    expected = learn(trainer, vectors[learnt:], at_once=10)
    assert learn(restarted, vectors[learnt:], at_once=10) == expected
    assert expected


@given(st.lists(st.integers(1, 400), max_size=6), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_what_is_learnt_does_not_depend_on_how_vectors_are_divided(
    sizes: list[int], seed: int
) -> None:
    vectors, _ = blobs(600, seed, spread=0.8)
    times = [START_US + i * MINUTE for i in range(len(vectors))]
    whole, parts = Trainer(SMALL), Trainer(SMALL)
    whole.learn(vectors.tolist(), times)
    cuts = [0, *np.minimum(np.cumsum(sizes), len(vectors)).tolist(), len(vectors)]
    for start, end in pairwise(cuts):
        parts.learn(vectors[start:end].tolist(), times[start:end])
    assert json.loads(parts.checkpoint())["online"] == json.loads(whole.checkpoint())["online"]


def test_a_checkpoint_of_another_catalogue_is_refused() -> None:
    checkpoint = Trainer(SMALL).checkpoint().replace(catalogue_hash().encode(), b"feedface")
    with pytest.raises(Incompatible, match="feedface") as raised:
        Trainer(SMALL, checkpoint)
    assert raised.value.hint


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"[]", b"null"])
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(Incompatible, match="not a checkpoint"):
        Trainer(SMALL, data)


def test_a_constant_dimension_does_not_break_it() -> None:
    vectors, _ = blobs(400, seed=11)
    vectors[:, [4, 7]] = 0.0
    vectors[:, 2] = 1.5
    snapshots = learn(Trainer(SMALL), vectors, at_once=20)
    for snapshot in snapshots:
        check_snapshot(snapshot)
        assert [snapshot.scale[j] for j in (2, 4, 7)] == [0.0, 0.0, 0.0]
        assert [snapshot.mean[j] for j in (2, 4, 7)] == [1.5, 0.0, 0.0]
    unseen, truth = blobs(300, seed=12)
    unseen[:, [4, 7, 2]] = [0.0, 0.0, 1.5]
    found = Assigner(snapshots[-1], Hysteresis(0.2)).distances(unseen).argmin(axis=1)
    assert adjusted_rand_score(truth, found) > 0.9


@pytest.mark.parametrize("different", [1, 2])
def test_fewer_different_vectors_than_segments_give_fewer_segments(different: int) -> None:
    vectors = np.tile(CENTRES[:different], (100, 1))[:100]
    (snapshot,) = learn(Trainer(SMALL), vectors)
    assert len(snapshot.segments) == different
    check_snapshot(snapshot)


def test_names_are_there_differ_and_repeat() -> None:
    vectors, _ = blobs(500, seed=13, spread=0.8)
    runs = [learn(Trainer(SegmentSettings()), vectors, at_once=500) for _ in range(2)]
    names = [[s.name for s in snapshots[-1].segments] for snapshots in runs]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])
    assert all(
        name.strip() and s.description.endswith(".")
        for name in names[0]
        for s in runs[0][-1].segments
    )


def test_times_may_come_in_any_order() -> None:
    vectors, _ = blobs(100, seed=14)
    times = [START_US + i * DAY for i in range(100)]
    snapshot = Trainer(SMALL).learn(vectors.tolist(), times[50:] + times[:50])
    assert snapshot is not None
    assert snapshot.trained_from == to_rfc3339(times[0])
    assert snapshot.trained_until == to_rfc3339(times[-1])


def test_each_vector_needs_its_instant_and_its_dimensions() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Trainer(SMALL).learn([[0.0] * WIDTH] * 2, [START_US])
    with pytest.raises(ValueError, match="shorter"):
        Trainer(SMALL).learn([[0.0] * (WIDTH - 1)], [START_US])


def test_a_snapshot_is_not_touched_by_what_is_learnt_later() -> None:
    vectors, _ = blobs(400, seed=15)
    trainer = Trainer(SMALL)
    (first, *_) = learn(trainer, vectors[:100])
    before = msgspec.json.encode(first)
    learn(trainer, vectors[100:])
    assert msgspec.json.encode(first) == before


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_is_no_number_is_skipped_and_counted(odd: float) -> None:
    vectors, _ = blobs(300, seed=16)
    plain, disturbed = Trainer(SMALL), Trainer(SMALL)
    expected = learn(plain, vectors)
    odd_vector = [0.5] * (WIDTH - 1) + [odd]
    found = []
    for vector in vectors:
        at_us = START_US + disturbed.vectors * MINUTE
        assert disturbed.learn([odd_vector], [at_us]) is None
        found += learn(disturbed, vector[None])
    assert found == expected
    assert (disturbed.vectors, disturbed.skipped) == (300, 300)


def test_a_huge_account_leaves_the_segments_where_they_are() -> None:
    """It comes back all the time, before the warm start and after; nothing else changes."""
    vectors, _ = blobs(1_200, seed=17)
    vectors[::300] = 1e6
    snapshots = learn(Trainer(SMALL), vectors, at_once=20)
    unseen, truth = blobs(500, seed=18)
    for snapshot in snapshots:
        check_snapshot(snapshot)
        found = Assigner(snapshot).distances(unseen).argmin(axis=1)
        assert adjusted_rand_score(truth, found) > 0.9


def test_the_checkpoint_has_a_bound() -> None:
    """Once the window is full it only grows with the digits of its counters."""
    vectors, _ = blobs(4_200, seed=19)
    trainer = Trainer(SMALL.model_copy(update={"snapshot_shift": 1e9}))
    learn(trainer, vectors[:4_000], at_once=500)
    full = len(trainer.checkpoint())
    learn(trainer, vectors[4_000:], at_once=100)
    assert len(trainer.checkpoint()) < full + 1_000 < 512 * 1_024
