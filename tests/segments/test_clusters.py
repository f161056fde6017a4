"""Scales, centres and batch fits: what odd vectors do to them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from stream_app.segments.batch import centres_of
from stream_app.segments.clusters import (
    CLIP,
    Clusters,
    SavedClusters,
    crossed,
    jaccard,
    nearest,
    scale_of,
    within,
)
from stream_app.segments.review import Limits, better_centres
from tests.segments.test_trainer import CENTRES, Floats, blobs


def test_one_value_that_is_a_million_times_too_large_does_not_flatten_its_dimension() -> None:
    vectors, _ = blobs(500, seed=1)
    usual = scale_of(vectors)
    vectors[7] = 1e9
    found = scale_of(vectors)
    np.testing.assert_allclose(found.deviation, usual.deviation, rtol=0.1)
    assert np.abs(found.of(vectors)).max() <= CLIP


def test_a_constant_dimension_counts_for_nothing() -> None:
    vectors, _ = blobs(500, seed=1)
    vectors[:, 3] = 4.5
    scale = scale_of(vectors)
    assert (scale.mean[3], scale.deviation[3]) == (4.5, 0.0)
    assert (scale.of(vectors)[:, 3] == 0.0).all()
    vectors[0, 3] = 1e9
    assert scale.of(vectors)[0, 3] == 0.0


def test_clusters_survive_their_json_to_the_bit() -> None:
    vectors, _ = blobs(200, seed=2)
    clusters = Clusters((3, 4, 7, 9), scale_of(vectors), CENTRES / 3.0)
    data = msgspec.json.encode(SavedClusters.of(clusters))
    again = msgspec.json.decode(data, type=SavedClusters).clusters()
    assert again.ids == clusters.ids
    assert again.centres.tobytes() == clusters.centres.tobytes()
    assert again.scale.mean.tobytes() == clusters.scale.mean.tobytes()
    np.testing.assert_allclose(
        again.unscaled(), again.centres * again.scale.deviation + again.scale.mean
    )


def test_the_cost_of_a_grouping_is_that_around_the_means_of_its_groups() -> None:
    scaled = np.array([[0.0], [2.0], [10.0]])
    assert within(scaled, np.array([0, 0, 1])) == 2.0
    assert within(scaled, np.array([0, 0, 0])) == pytest.approx(56.0)


def test_groups_are_compared_by_what_they_have_in_common() -> None:
    counts = crossed(np.array([0, 0, 1]), np.array([0, 1, 1]), 3, 2)
    assert counts.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert jaccard(counts).tolist() == [[0.5, 1 / 3], [0.0, 0.5], [1.0, 1.0]]


def test_a_few_strays_get_no_group_of_their_own() -> None:
    vectors, truth = blobs(2_000, seed=3)
    vectors[:3] = 40.0
    centres = centres_of(vectors, 4, seed=7)
    assert (centres < 10).all()
    found = nearest(vectors[3:], centres)
    assert len(np.unique(np.stack([found, truth[3:]]), axis=1).T) == 4


@pytest.mark.parametrize("different", [1, 2])
def test_fewer_different_vectors_than_groups_give_fewer_centres(different: int) -> None:
    vectors = np.tile(CENTRES[:different], (100, 1))
    assert len(centres_of(vectors, 4, seed=7)) == different


def found_in(
    vectors: Floats, present: list[Clusters], least: int = 4, most: int = 4, demand: float = 1.0
) -> bool:
    limits = Limits(least, most, 100, 7)
    return better_centres(vectors, present, limits, demand=demand) is not None


def test_good_centres_are_not_beaten_and_bad_ones_are() -> None:
    vectors, _ = blobs(1_000, seed=4)
    scale = scale_of(vectors)
    good = Clusters((1, 2, 3, 4), scale, scale.of(CENTRES))
    doubled = Clusters((1, 2, 3, 4), scale, scale.of(CENTRES[[0, 0, 1, 2]]))
    assert not found_in(vectors, [good])
    assert found_in(vectors, [doubled])
    assert not found_in(vectors, [doubled, good])  # a refit must beat each of them


def test_a_small_gain_is_not_worth_a_refit_of_what_people_rely_on() -> None:
    vectors, _ = blobs(1_000, seed=4)
    scale = scale_of(vectors)
    centres = scale.of(CENTRES)
    centres[0] += 0.8 * (centres[1] - centres[0])
    drawn = Clusters((1, 2, 3, 4), scale, centres)
    assert found_in(vectors, [drawn])
    assert not found_in(vectors, [drawn], demand=2.0)


def test_another_number_of_groups_that_is_clearly_better_is_taken() -> None:
    vectors, _ = blobs(1_000, seed=5)
    scale = scale_of(vectors)
    too_few = Clusters((1, 2, 3), scale, scale.of(CENTRES[:3]))
    assert found_in(vectors, [too_few], least=3, most=6)
    found = better_centres(vectors, [too_few], Limits(3, 6, 100, 7))
    assert found is not None
    assert len(found[1]) == 4
