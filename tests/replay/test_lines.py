"""Lines of files: every line once, whatever the blocks, and a clear word about broken files."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_app.errors import UsageError
from stream_app.streams import lines
from stream_app.streams.lines import read_lines

COMPRESSED = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
TEXT = b"".join(b'{"number": %d}\n' % i for i in range(60_000))


def all_lines(path: Path | str) -> list[bytes]:
    return [line for part in read_lines(str(path)) for line in part]


def file_of(folder: Path, ending: str, data: bytes, name: str = "events.jsonl") -> Path:
    path = folder / f"{name}{ending}"
    path.write_bytes(data)
    return path


class Stdin:
    """Standard input that cannot be sought, as a pipe."""

    def __init__(self, data: bytes) -> None:
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        self.buffer = os.fdopen(reading, "rb")


@pytest.mark.parametrize("ending", list(COMPRESSED))
def test_a_file_is_its_lines_in_order_however_it_is_packed(tmp_path: Path, ending: str) -> None:
    path = file_of(tmp_path, ending, COMPRESSED[ending](TEXT))
    assert all_lines(path) == TEXT.splitlines()


def test_standard_input_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = Stdin(b"one\ntwo")
    monkeypatch.setattr(sys, "stdin", stdin)
    with stdin.buffer:
        assert all_lines("-") == [b"one", b"two"]


def test_standard_input_may_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    assert all_lines("-") == TEXT.splitlines()


@given(
    data=st.lists(st.sampled_from([b"\n", b"ab", b"c", b"\r\n", b" "]), max_size=40).map(b"".join),
    block=st.integers(1, 9),
    ending=st.sampled_from(list(COMPRESSED)),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_do_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, block: int, ending: str
) -> None:
    """Blank lines are lines too, a last one without an end as well; an end is a newline."""
    path = file_of(tmp_path, ending, COMPRESSED[ending](data))
    with monkeypatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        expected = data.split(b"\n")
        assert all_lines(path) == (expected[:-1] if expected[-1] == b"" else expected)


@given(
    lengths=st.lists(st.integers(0, 60), max_size=12),
    block=st.integers(1, 25),
    closed=st.booleans(),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_beyond_the_limit_is_one_line_and_its_neighbours_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int], block: int, closed: bool
) -> None:
    whole = [bytes([97 + n % 26]) * length for n, length in enumerate(lengths)]
    path = file_of(tmp_path, "", b"\n".join(whole) + (b"\n" if closed else b""))
    with monkeypatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        patch.setattr(lines, "MAX_LINE_BYTES", 20)
        found = all_lines(path)
    if not closed and whole and not whole[-1]:
        whole.pop()  # a file that ends in a newline has no line behind it
    if closed and not whole:
        whole = [b""]
    assert len(found) == len(whole)
    for line, original in zip(found, whole, strict=True):
        assert original.startswith(line)
        assert line == original or len(line) > 20


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_memory_stays_bounded_when_a_file_has_no_line_ends(tmp_path: Path, ending: str) -> None:
    """300 MB of nothing, in a few kilobytes on disk: what is kept of it is the cut line."""
    path = tmp_path / f"zeros{ending}"
    with gzip.open(path, "wb", 1) if ending == ".gz" else zstandard.open(path, "wb") as file:
        for _ in range(300):
            file.write(bytes(1_000_000))
    tracemalloc.start()
    try:
        (only,) = all_lines(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines.MAX_LINE_BYTES < len(only) < 6 * lines.MAX_LINE_BYTES
    assert peak < 150_000_000


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_files_that_were_put_together_are_read_to_the_end(tmp_path: Path, ending: str) -> None:
    pack = COMPRESSED[ending]
    assert all_lines(file_of(tmp_path, ending, pack(TEXT) + pack(TEXT))) == TEXT.splitlines() * 2


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("missing", [1, 9, 5_000])
def test_a_file_that_was_cut_is_not_taken_for_a_whole_one(
    tmp_path: Path, ending: str, missing: int
) -> None:
    path = file_of(tmp_path, ending, COMPRESSED[ending](TEXT)[:-missing])
    with pytest.raises(UsageError, match="before") as raised:
        all_lines(path)
    assert path.name in str(raised.value)


def test_a_second_part_that_was_cut_is_noticed(tmp_path: Path) -> None:
    pack = COMPRESSED[".zst"]
    with pytest.raises(UsageError, match="before"):
        all_lines(file_of(tmp_path, ".zst", pack(TEXT) + pack(TEXT)[:-3]))


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_file_that_is_not_what_its_ending_says(tmp_path: Path, ending: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        all_lines(file_of(tmp_path, ending, TEXT))


def test_damage_within_a_compressed_file_is_told(tmp_path: Path) -> None:
    """Whatever the decompressor calls it: no such block, wrong distance, wrong checksum."""
    packed = bytearray(gzip.compress(TEXT))
    for position in range(10, len(packed) - 8, len(packed) // 25):
        broken = packed.copy()
        broken[position] ^= 0xFF
        path = file_of(tmp_path, ".gz", bytes(broken))
        with pytest.raises(UsageError, match="cannot read"):
            all_lines(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.jsonl.gz", "missing.jsonl.zst", ""])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    """The empty name is the folder itself."""
    with pytest.raises(UsageError, match="cannot read") as raised:
        all_lines(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


@pytest.mark.parametrize("ending", list(COMPRESSED))
def test_an_empty_file_has_no_lines(tmp_path: Path, ending: str) -> None:
    assert all_lines(file_of(tmp_path, ending, COMPRESSED[ending](b""))) == []


@pytest.mark.parametrize("ending", list(COMPRESSED))
def test_progress_is_told_in_bytes_on_disk_up_to_the_end(tmp_path: Path, ending: str) -> None:
    path = file_of(tmp_path, ending, COMPRESSED[ending](TEXT * 3))
    told: list[int] = []
    for _ in read_lines(str(path), told.append):
        pass
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == path.stat().st_size
