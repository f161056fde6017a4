"""Lines of files, in blocks, with bounded memory: plain, .gz, .zst, or standard input."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from stream_app.errors import UsageError

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 8 << 20
"""A longer line is cut here; it is too large for an event anyway, and becomes a dead letter."""


def read_lines(
    path: str, on_progress: Callable[[int], None] = lambda _: None
) -> Iterator[list[bytes]]:
    """Lists of lines without their ends, about one block at a time.

    Parameters
    ----------
    path
        A file, or `-` for standard input (plain).
    on_progress
        Told how many bytes of the file, as it lies on disk, have been read so far.

    Raises
    ------
    UsageError
        The file is missing, unreadable, or not what its ending says.
    """
    try:
        with _opened(path) as (raw, data):
            yield from _split(data, lambda: on_progress(raw.tell() if raw.seekable() else 0))
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read {path}: {reason}") from None


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The raw file and the stream of its decompressed bytes."""
    if path == "-":
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with Path(path).open("rb") as raw:
        if path.endswith(".gz"):
            with gzip.open(raw) as data:
                yield raw, cast(IO[bytes], data)
        elif path.endswith(".zst"):
            yield raw, cast(IO[bytes], _Frames(raw))
        else:
            yield raw, raw


class _Frames:
    """Decompressed bytes of Zstandard frames. zstandard's own reader takes a file that was cut
    within a frame for a whole one."""

    _CHUNK_BYTES = 1 << 10  # of the file; in the worst case they become 32 MiB

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._unused = b""
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def read(self, size: int) -> bytes:
        """At least `size` bytes, fewer only at the end of the file."""
        parts, length = [], 0
        while length < size and (chunk := self._unused or self._raw.read(self._CHUNK_BYTES)):
            self._unused = b""
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            parts.append(self._frame.decompress(chunk))
            length += len(parts[-1])
            if self._frame.eof:
                self._unused, self._frame = self._frame.unused_data, None
        if length < size and self._frame:
            raise EOFError("the compressed file ended before its end marker was reached")
        return b"".join(parts)


def _split(data: IO[bytes], progressed: Callable[[], None]) -> Iterator[list[bytes]]:
    rest, skipping = b"", False
    while block := data.read(BLOCK_BYTES):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if skipping and lines:
            lines, skipping = lines[1:], False  # the end of a line that was cut
        if len(rest) > MAX_LINE_BYTES:
            if not skipping:
                lines.append(rest)
            rest, skipping = b"", True
        progressed()
        if lines:
            yield lines
    if rest and not skipping:
        yield [rest]
    progressed()
