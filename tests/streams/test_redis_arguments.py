"""Values reach Redis as they are, on both paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app import native
from stream_app.features.packing import pack
from stream_app.features.table import ACCOUNT
from stream_app.streams.redis_arguments import Arguments, arguments, pairs
from tests.native.paths import need_native, taking

values = st.one_of(st.text(max_size=300), st.binary(max_size=300))


def unpacked(given: Arguments) -> list[bytes]:
    """What Redis reads, by the specification of RESP."""
    found, at, sent = [], 0, given.sent
    while at < len(sent):
        head_ends = sent.index(b"\r\n", at)
        assert sent[at : at + 1] == b"$"
        start = head_ends + 2
        end = start + int(sent[at + 1 : head_ends])
        found.append(sent[start:end])
        assert sent[end : end + 2] == b"\r\n"
        at = end + 2
    assert len(found) == given.count
    assert bool(given) == bool(found)
    return found


def raw(parts: Sequence[str | bytes]) -> list[bytes]:
    return [part.encode() if isinstance(part, str) else part for part in parts]


@pytest.mark.parametrize("path", ["python", "native"])
@given(st.lists(st.tuples(values, values), max_size=40))
def test_what_goes_in_comes_out(path: str, given: list[tuple[str | bytes, str | bytes]]) -> None:
    with taking(path):
        flat = [part for pair in given for part in pair]
        assert unpacked(arguments(flat)) == raw(flat)
        assert pairs(given) == arguments(flat)


@pytest.mark.parametrize("size", [0, 9, 10, 99_999, 100_000])
def test_sizes_are_decimal(both_paths: str, size: int) -> None:
    assert both_paths
    assert unpacked(arguments([b"x" * size, "y"])) == [b"x" * size, b"y"]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_states_that_lie_side_by_side_are_pairs(both_paths: str, count: int) -> None:
    assert both_paths
    records = np.zeros(count, ACCOUNT)
    records["sequence"] = np.arange(count)
    packed = pack(records, np.arange(count), [f"ä{i}" for i in range(count)])
    assert pairs(packed) == pairs(list(packed))
    assert unpacked(pairs(packed)) == raw([part for pair in packed for part in pair])


@pytest.mark.parametrize("wrong", [None, bytearray(b"x"), 5])
def test_neither_text_nor_bytes_is_refused(wrong: object) -> None:
    need_native()
    for several in ([wrong], [("x", wrong)], [["x"]]):
        with pytest.raises(TypeError):
            native.compiled.bulk_strings(several)  # type: ignore[arg-type]


def test_text_that_is_not_unicode_is_refused(both_paths: str) -> None:
    assert both_paths
    with pytest.raises(UnicodeEncodeError):
        arguments(["\ud800"])
