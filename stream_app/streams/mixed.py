"""Lines of a file, in which events and control events stand in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stream_app.events.batch import Columns
from stream_app.events.control import Control
from stream_app.events.decode import ControlDecoder, Decoded, Decoder, Reason
from stream_app.events.reading import Line, Read, Reader
from stream_app.settings import InputSettings


class MixedReader:
    """Reads batches of lines, each of which names its own type."""

    def __init__(self, settings: InputSettings, columns: Columns) -> None:
        limits: dict[str, Any] = {
            "max_bytes": settings.max_record_bytes,
            "future_tolerance_seconds": settings.future_tolerance_seconds,
        }
        self._events = Reader(Decoder({}, **limits), columns)
        self._controls = ControlDecoder(**limits)

    def read(self, lines: Sequence[bytes], now_us: int) -> tuple[Read, Decoded[Control]]:
        """Every line is in exactly one outcome; all rejections are in the first."""
        read = self._events.read_values(lines, now_us)
        # Control events are rare: they are looked for where the type was not an event's.
        unknown = [r.index for r in read.rejections if r.reason is Reason.UNKNOWN_TYPE]
        controls = self._controls.decode([Line("", lines[index]) for index in unknown], now_us)
        controls.indices = [unknown[i] for i in controls.indices]
        rejections = {r.index: r for r in read.rejections if r.index not in controls.indices}
        for rejection in controls.rejections:
            if rejection.reason is not Reason.UNKNOWN_TYPE:  # a control event, but not a valid one
                index = unknown[rejection.index]
                rejections[index] = replace(rejection, index=index)
        controls.rejections = []
        return replace(read, rejections=list(rejections.values())), controls
