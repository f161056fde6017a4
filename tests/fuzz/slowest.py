"""The record that takes longest, alone, with its label.

Times are of the processor, so that they do not count what else the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import thread_time

from stream_app.segments.snapshot import Assigner
from stream_app.settings import Settings
from stream_app.streams.processor import Pipeline, Processor
from tests.fuzz.generate import LIMIT_BYTES, Record
from tests.fuzz.shapes import SHAPES
from tests.fuzz.values import EARLIEST_US

NOW_US = EARLIEST_US + 5 * 365 * 86_400_000_000
_REPEATS = 5


class Slowest:
    """Keeps the longest time; of each record the shortest of several counts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.label = ""
        self.size = 0
        """Bytes of the value."""

    def worth_repeating(self, seconds: float) -> bool:
        """Whether a record that took so long once may be the slowest."""
        return seconds > self.seconds

    def repeat(
        self,
        record: Record,
        copies: Iterable[Processor],
        assigner: Assigner | None = None,
        now_us: int = NOW_US,
    ) -> None:
        """Time it in each of these partitions, and take the shortest time."""
        seconds = min(_timed(copy, [record], assigner, now_us) for copy in copies)
        if seconds > self.seconds:
            self.seconds, self.label = seconds, record.label
            self.size = len(record.value or b"")

    def shapes(self) -> None:
        """Time every shape at the size limit, on every topic, in a partition without accounts."""
        for name in SHAPES:
            for topic in ("website-visits", "email-events", "engagement"):
                record = shaped(name, LIMIT_BYTES, topic)
                self.repeat(record, [partition() for _ in range(_REPEATS)])


def shaped(name: str, size: int, topic: str = "engagement", id_: bytes = b"1") -> Record:
    """A record of a shape."""
    value = SHAPES[name](id_, size)
    return Record(topic, 0, 0, b"large", value, (), NOW_US // 1_000, name)


def partition() -> Processor:
    """A partition without accounts, the only one."""
    return Processor(_PIPELINE, 0, 1)


def seconds_for(records: Sequence[Record], repeats: int = _REPEATS) -> float:
    """Shortest time of several in which a new partition processes these records."""
    return min(_timed(partition(), records, None, NOW_US) for _ in range(repeats))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Time that this thread has spent on it."""
    began = thread_time()
    work()
    return thread_time() - began


def _timed(
    processor: Processor, records: Sequence[Record], assigner: Assigner | None, now_us: int
) -> float:
    return cpu_seconds(lambda: processor.process(records, assigner, now_us))


_PIPELINE = Pipeline(Settings())
