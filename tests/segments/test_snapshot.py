"""A snapshot survives its JSON, and one that does not fit is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import SnapshotRefused
from stream_app.features.catalogue import MODEL_VECTOR, catalogue_hash
from stream_app.segments.hysteresis import Hysteresis
from stream_app.segments.snapshot import (
    Assigner,
    Snapshot,
    check_snapshot,
    read_snapshot,
    write_snapshot,
)
from tests.engine.scenario import OTHER_VIEW, QUIET_OR_BUSY

WIDTH = len(MODEL_VECTOR)
coordinates = st.lists(st.floats(-1e6, 1e6), min_size=WIDTH, max_size=WIDTH)


@given(coordinates, coordinates, st.lists(coordinates, min_size=1, max_size=4), st.text())
def test_a_snapshot_survives_its_json_to_the_bit(
    mean: list[float], scale: list[float], centres: list[list[float]], name: str
) -> None:
    segments = [
        msgspec.structs.replace(QUIET_OR_BUSY.segments[0], id=i, centre=centre, name=name)
        for i, centre in enumerate(centres, 1)
    ]
    snapshot = msgspec.structs.replace(
        QUIET_OR_BUSY, mean=mean, scale=[abs(x) for x in scale], segments=segments
    )
    assert read_snapshot(write_snapshot(snapshot)) == snapshot


def test_fields_that_a_newer_version_adds_are_ignored() -> None:
    body = json.loads(write_snapshot(QUIET_OR_BUSY)) | {"added_later": 1}
    assert read_snapshot(json.dumps(body).encode()) == QUIET_OR_BUSY


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(write_snapshot(QUIET_OR_BUSY)) | fields).encode()


def segments(**fields: Any) -> list[dict[str, Any]]:
    first, *others = json.loads(write_snapshot(QUIET_OR_BUSY))["segments"]
    return [first | fields, *others]


REFUSED = {
    "another catalogue": (changed(catalogue="0123456789abcdef"), "catalogue 0123456789abcdef"),
    "NaN in a centre": (changed(segments=segments(centre=[float("nan")] * WIDTH)), "not a model"),
    "Infinity in a centre": (
        changed(segments=segments(centre=[float("inf")] * WIDTH)),
        "not a model",
    ),
    "null in a centre": (changed(segments=segments(centre=[None] * WIDTH)), "not a model"),
    "a negative scale": (changed(scale=[-1.0] * WIDTH), "no numbers"),
    "a short centre": (changed(segments=segments(centre=[0.0] * (WIDTH - 1))), "dimensions"),
    "a long mean": (changed(mean=[0.0] * (WIDTH + 1)), "dimensions"),
    "an empty scale": (changed(scale=[]), "dimensions"),
    "the same id twice": (changed(segments=segments(id=2)), "twice"),
    "id 0": (changed(segments=segments(id=0)), "not a model"),
    "an id that no table has room for": (changed(segments=segments(id=2**40)), "not a model"),
    "a version that no record can hold": (changed(version=2**32), "not a model"),
    "no segments": (changed(segments=[]), "not a model"),
    "version 0": (changed(version=0), "not a model"),
    "dimensions in another order": (
        changed(dimensions=[d.name for d in reversed(MODEL_VECTOR)]),
        "dimensions",
    ),
    "not JSON": (b"model", "not a model"),
    "nothing": (b"", "not a model"),
    "null, as a replay without a model writes it": (b"null", "not a model"),
    "a list": (b"[]", "not a model"),
    "not UTF-8": (write_snapshot(QUIET_OR_BUSY).replace(b"Segment", b"\xff"), "not a model"),
    "a pickle": (b"\x80\x04\x95\x0b", "not a model"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_with_a_reason(data: bytes, says: str) -> None:
    with pytest.raises(SnapshotRefused, match=says):
        read_snapshot(data)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["mean", "scale", "centre"])
def test_coordinates_that_are_no_numbers_are_refused_in_memory_too(bad: float, place: str) -> None:
    row = [0.0] * (WIDTH - 1) + [bad]
    if place == "centre":
        first, *others = QUIET_OR_BUSY.segments
        broken = [msgspec.structs.replace(first, centre=row), *others]
        snapshot: Snapshot = msgspec.structs.replace(QUIET_OR_BUSY, segments=broken)
    else:
        snapshot = msgspec.structs.replace(QUIET_OR_BUSY, **{place: row})
    with pytest.raises(SnapshotRefused, match="no numbers"):
        check_snapshot(snapshot)


def test_a_refusal_names_both_catalogues_and_says_what_to_do() -> None:
    with pytest.raises(SnapshotRefused) as raised:
        read_snapshot(changed(catalogue="feedfacefeedface"))
    assert catalogue_hash() in str(raised.value)
    assert "train" in raised.value.hint


def test_a_snapshot_does_not_change() -> None:
    with pytest.raises(AttributeError):
        QUIET_OR_BUSY.version = 9  # type: ignore[misc]


@given(st.lists(coordinates, min_size=1, max_size=20))
def test_distances_do_not_depend_on_who_else_is_asked_for(vectors: list[list[float]]) -> None:
    assigner = Assigner(OTHER_VIEW, Hysteresis(0.2))
    together = assigner.distances(np.array(vectors))
    for i, vector in enumerate(vectors):
        assert assigner.distances(np.array([vector]))[0].tobytes() == together[i].tobytes()
    expected = np.linalg.norm(np.array(vectors)[:, None] - assigner.centres, axis=2)
    np.testing.assert_allclose(together, expected, rtol=1e-12)


@given(st.lists(coordinates, min_size=1, max_size=6), coordinates, coordinates)
def test_without_numpy_distances_have_the_same_bits(
    centres: list[list[float]], mean: list[float], vector: list[float]
) -> None:
    segments = [
        msgspec.structs.replace(QUIET_OR_BUSY.segments[0], id=i, centre=centre)
        for i, centre in enumerate(centres, 1)
    ]
    scale = [abs(x) if abs(x) > 1e-6 else 0.0 for x in reversed(mean)]
    assigner = Assigner(
        msgspec.structs.replace(QUIET_OR_BUSY, mean=mean, scale=scale, segments=segments)
    )
    assert assigner.scaled_one(vector) == assigner.scaled(np.array(vector)).tolist()
    assert assigner.distances_of(vector) == assigner.distances(np.array([vector]))[0].tolist()


def test_a_constant_dimension_does_not_count() -> None:
    flat = msgspec.structs.replace(QUIET_OR_BUSY, scale=[0.0] + [1.0] * (WIDTH - 1))
    near, far = np.zeros((1, WIDTH)), np.zeros((1, WIDTH))
    far[0, 0] = 1e9
    assigner = Assigner(flat, Hysteresis(0.2))
    assert (assigner.distances(near) == assigner.distances(far)).all()
    assert np.isfinite(assigner.distances(far)).all()
