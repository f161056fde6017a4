"""Records as they are stored: the same record comes back, and nothing else is taken for one."""

from __future__ import annotations

from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app import native
from stream_app.features.packing import Unreadable, pack, readable, unpack
from stream_app.features.table import ACCOUNT
from tests.native.paths import need_native, taking

WORDS = ACCOUNT.itemsize // 4
HEAD = 32

SIZES = (ACCOUNT.itemsize, 4, 32, 124, 128, 132, 256)
"""The last ones end just before, at, and just after a whole word of the head."""


def record_of(size: int) -> np.dtype[np.void]:
    return np.dtype([("bytes", "<u1", (size,))])


def some_records(size: int, count: int, seed: int) -> npt.NDArray[np.void]:
    """Records of which some words, some bytes, everything or nothing is zero."""
    random = np.random.default_rng(seed)
    content = random.integers(0, 256, (count, size), np.uint8)
    content[random.random((count, size)) < 0.3] = 0
    for record in content:
        record.reshape(-1, 4)[random.random(size // 4) < random.choice([0.0, 0.2, 0.9, 1.0])] = 0
    return content.reshape(-1).view(record_of(size))


def everything(records: npt.NDArray[np.void]) -> list[bytes]:
    return chosen(records, np.arange(len(records)))


def chosen(records: npt.NDArray[np.void], rows: npt.NDArray[np.int64]) -> list[bytes]:
    return [state for _, state in pack(records, rows, [""] * len(rows))]


@pytest.mark.parametrize("size", SIZES)
@given(count=st.integers(0, 20), seed=st.integers(0, 2**32))
def test_a_record_comes_back_bit_by_bit_on_both_paths(size: int, count: int, seed: int) -> None:
    records = some_records(size, count, seed)
    rows = np.random.default_rng(seed).integers(0, max(count, 1), 2 * count)
    with taking("python"):
        states, some = everything(records), chosen(records, rows)
        assert unpack(states, records.dtype).tobytes() == records.tobytes()
    assert some == [states[row] for row in rows.tolist()]
    assert all(readable(state, records.dtype) for state in states)
    if native.available:
        with taking("native"):
            assert everything(records) == states
            assert chosen(records, rows) == some
            assert unpack(states, records.dtype).tobytes() == records.tobytes()


def test_what_is_zero_takes_no_room(both_paths: str) -> None:
    assert both_paths
    records = np.zeros(2, ACCOUNT)
    records["sequence"][1], records["checks"][1] = 7, 1
    nothing, little = everything(records)
    assert nothing == bytes(HEAD)
    head = np.zeros(HEAD, np.uint8)
    head[[832 // 32, 952 // 32]] = [1 << 832 // 4 % 8, 1 << 952 // 4 % 8]
    assert little == head.tobytes() + bytes([7, 0, 0, 0]) + bytes([0, 1, 0, 0])


def test_what_is_packed_is_a_sequence_of_pairs(both_paths: str) -> None:
    assert both_paths
    records = some_records(ACCOUNT.itemsize, 3, 7)
    states, ids = everything(records), ["a", "b", "c"]
    packed = pack(records, np.arange(3), ids)
    pairs = list(zip(ids, states, strict=True))
    assert list(packed) == [packed[i] for i in range(3)] == packed[:] == pairs
    assert (len(packed), packed[-1], packed[1:]) == (3, pairs[-1], pairs[1:])
    with pytest.raises(IndexError):
        packed[3]


def broken(state: bytes, how: str, random: Random) -> bytes:
    """Not a state any more, for certain."""
    if how == "shorter":
        return state[: random.randrange(len(state))]
    if how == "longer":
        return state + random.randbytes(random.randint(1, 40))
    if how == "beyond":  # a word that records do not have
        position, bit = WORDS // 8, random.randrange(16)
        head = state[:position] + (1 << bit).to_bytes(2, "little")
        return head + state[HEAD:] + random.randbytes(4 * random.randint(0, 1))
    at = random.randrange(8 * WORDS // 8)  # of one word it is told otherwise whether it is there
    head = bytearray(state[:HEAD])
    head[at // 8] ^= 1 << at % 8
    return bytes(head) + state[HEAD:]


@given(
    st.sampled_from(["shorter", "longer", "beyond", "flipped"]),
    st.integers(0, 5),
    st.integers(0, 2**32),
)
def test_what_is_no_state_is_refused_and_the_first_one_is_named(
    how: str, position: int, seed: int
) -> None:
    random = Random(seed)
    states = everything(some_records(ACCOUNT.itemsize, 6, seed))
    for at in {position, 5}:
        states[at] = broken(states[at], how, random)
    assert not readable(states[position], ACCOUNT)
    for path in ("python", "native") if native.available else ("python",):
        with taking(path), pytest.raises(Unreadable) as caught:
            unpack(states, ACCOUNT)
        assert caught.value.position == position


@given(st.binary(max_size=200) | st.binary(min_size=HEAD, max_size=HEAD))
def test_any_bytes_are_a_state_or_refused(raw: bytes) -> None:
    """Both paths and `readable` agree, and a state that is read is written as it was."""
    for path in ("python", "native") if native.available else ("python",):
        with taking(path):
            if readable(raw, ACCOUNT):
                unpack([raw], ACCOUNT)
                continue
            with pytest.raises(Unreadable):
                unpack([raw], ACCOUNT)


def test_the_extension_refuses_what_does_not_fit() -> None:
    need_native()
    compiled = native.compiled
    records = np.zeros(2, ACCOUNT)
    for row in (2, -1, 2**62):
        with pytest.raises(IndexError, match="there is no row"):
            compiled.pack_records(records, ACCOUNT.itemsize, np.array([0, row]), ["a", "b"])
    for size in (0, 6):
        with pytest.raises(ValueError, match="whole words"):
            compiled.pack_records(records, size, np.arange(2), ["a", "b"])
        with pytest.raises(ValueError, match="whole words"):
            compiled.unpack_records([], size, records)
    for ids in (["a"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match=f"not {len(ids)} values"):
            compiled.pack_records(records, ACCOUNT.itemsize, np.arange(2), ids)
    with pytest.raises(ValueError, match="not as many records"):
        compiled.unpack_records([bytes(HEAD)], ACCOUNT.itemsize, records)
    with pytest.raises(TypeError):
        compiled.unpack_records([bytearray(HEAD), "x"], ACCOUNT.itemsize, records)  # type: ignore[list-item]
