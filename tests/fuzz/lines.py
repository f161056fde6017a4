"""The same values as lines of files, plain and compressed, whole and cut, through replay."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import zstandard

from stream_app.errors import UsageError
from stream_app.settings import Settings
from stream_app.streams.lines import read_lines
from stream_app.streams.replay import Outputs, Replay
from tests.fuzz.generate import Record

_PACKED = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, 1),
    ".zst": zstandard.ZstdCompressor().compress,
}


class Lines:
    """One replay over many files."""

    def __init__(self, settings: Settings, folder: Path, random: Random) -> None:
        self.read = 0
        self._folder, self._random = folder, random
        self._outputs = Outputs(folder / "replay")
        self._outputs.__enter__()
        self._replay = Replay(settings, self._outputs)

    def feed(self, records: Sequence[Record]) -> Iterator[str]:
        """Replay the records' values as a file; a newline within a value makes two lines of it."""
        data = b"\n".join(record.value or b"" for record in records) + b"\n"
        ending = self._random.choice(tuple(_PACKED))
        path = self._folder / f"events.jsonl{ending}"
        packed = _PACKED[ending](data)
        path.write_bytes(packed)
        self._replay.start_file("events.jsonl")
        summary = self._replay.summary
        before = summary.read
        for lines in read_lines(str(path)):
            self._replay.feed(lines)
        self._replay.start_file("")
        expected = sum(bool(line.strip()) for line in data.split(b"\n"))
        self.read += expected
        if summary.read - before != expected:
            yield f"replay: {expected} lines went in, {summary.read - before} were read"
        done = summary.applied + summary.controls + summary.duplicates + summary.dead_letters
        if summary.read != done:
            yield "replay: a line is neither applied nor a duplicate nor a dead letter"
        path.write_bytes(packed[: int(self._random.random() * len(packed))])
        try:
            for lines in read_lines(str(path)):
                if not all(line in data for line in lines[:3]):
                    yield f"a file that was cut{ending} has lines that the whole one has not"
        except UsageError:
            pass  # cut within a compressed block: said, and no more

    def finish(self) -> Iterator[str]:
        """End the replay."""
        try:
            summary = self._replay.finish()
        finally:
            self._outputs.__exit__(None, None, None)
        if summary.read != self.read:
            yield f"replay: {self.read} lines went in, {summary.read} were read"
        if sum(summary.dead_letters_by_reason.values()) != summary.dead_letters:
            yield "replay: dead letters and their reasons do not add up"
