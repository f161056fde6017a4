"""Names: one for each segment, different, the same every time, and true."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.names import name_segments

WIDTH = len(MODEL_VECTOR)
NAMES = [dimension.name for dimension in MODEL_VECTOR]
Floats = npt.NDArray[np.float64]

centres = st.integers(1, 50).flatmap(
    lambda k: arrays.arrays(np.float64, (k, WIDTH), elements=st.sampled_from([-1.0, 0.0, 0.4, 2.0]))
)


def named(**high: tuple[float, float]) -> str:
    """Name of a segment beside an average one; each dimension as (deviations, value)."""
    scaled, values = np.zeros((2, WIDTH)), np.zeros((2, WIDTH))
    for name, (deviations, value) in high.items():
        scaled[0, NAMES.index(name)] = deviations
        values[0, NAMES.index(name)] = value
    return name_segments(scaled, values)[0][0]


@given(centres, st.floats(0, 100))
def test_any_segments_get_names_that_differ_and_a_sentence(scaled: Floats, value: float) -> None:
    values = np.full(scaled.shape, value)
    found = name_segments(scaled, values)
    names = [name for name, _ in found]
    assert len(found) == len(scaled)
    assert len(set(names)) == len(names)
    assert all(name.strip() == name != "" for name in names)
    assert all(text.endswith(".") and text[0].isupper() for _, text in found)
    assert name_segments(scaled.copy(), values.copy()) == found


def test_a_segment_is_called_after_what_sets_it_apart() -> None:
    assert named(pricing_pages_28d=(2.0, 5.0)) == "Pricing researchers"
    assert named(email_opens_28d=(2.0, 6.0)) == "Newsletter readers"
    assert named(silence_days=(1.5, 20.0)) == "Gone quiet"


def test_a_word_is_used_only_where_it_is_true() -> None:
    """One person is no buying group, and two days are not quiet, however unusual they are."""
    assert "group" not in named(contacts_28d=(3.0, 1.2)).lower()
    assert "quiet" not in named(silence_days=(3.0, 2.0)).lower()
    assert "group" in named(contacts_28d=(3.0, 5.0)).lower()


def test_the_stronger_dimension_names_the_segment() -> None:
    both = named(pricing_pages_28d=(0.5, 5.0), email_opens_28d=(2.0, 6.0))
    assert both == "Newsletter readers"


def test_two_alike_are_told_apart() -> None:
    scaled, values = np.zeros((2, WIDTH)), np.zeros((2, WIDTH))
    j = NAMES.index("pricing_pages_28d")
    scaled[:, j], values[:, j] = [2.0, 1.5], [9.0, 5.0]
    (first, _), (second, _) = name_segments(scaled, values)
    assert first == "Pricing researchers"
    assert second != first


def test_the_description_says_more_and_fewer() -> None:
    scaled = np.zeros((1, WIDTH))
    scaled[0, NAMES.index("pricing_pages_28d")] = 2.0
    scaled[0, NAMES.index("silence_days")] = -1.0
    (_, text) = name_segments(scaled, np.zeros((1, WIDTH)))[0]
    assert text == "More pricing pages and fewer days of silence than the average account."
