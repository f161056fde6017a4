"""Memory that grows in place."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.features.pages import Pages
from stream_app.features.table import ACCOUNT
from tests.scale import memory

MANY = 50_000


def filled(count: int) -> tuple[Pages, bytes]:
    """Pages in which nothing is zero, and what they hold."""
    pages = Pages(ACCOUNT, count)
    array = pages.array()
    array["ring"] = np.arange(1, count * 64 + 1).reshape(count, 64)
    return pages, array.tobytes()


def test_what_is_there_stays_and_the_rest_is_zero() -> None:
    pages, before = filled(10)
    for count in (11, 5_000):
        pages.grow(count)
        array = pages.array()
        assert len(array) == count
        assert array.tobytes() == before + bytes((count - 10) * ACCOUNT.itemsize)
        array["latest_us"][-1] = 7  # new memory can be written
        array["latest_us"][-1] = 0
        del array


def test_an_array_that_somebody_still_has_keeps_what_it_had() -> None:
    pages, before = filled(10)
    kept = pages.array()["ring"][:3]
    content = kept.tolist()
    pages.grow(5_000)
    array = pages.array()
    assert array[:10].tobytes() == before
    array["ring"] = 0
    assert kept.tolist() == content


@pytest.mark.skipif(not memory.AVAILABLE, reason="only Linux moves pages and tells about memory")
def test_growing_needs_no_memory_for_a_copy() -> None:
    pages, before = filled(MANY)
    memory.forget_peak()
    resident = memory.resident_bytes()
    pages.grow(2 * MANY)
    assert memory.peak_bytes() - resident < 0.1 * len(before)
    assert pages.array()[:MANY].tobytes() == before
