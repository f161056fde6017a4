"""Lines of a file, in which events and control events stand in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from stream_app.events.control import Control
from stream_app.events.decode import ControlDecoder, Decoded, Decoder, Reason
from stream_app.events.types import Event
from stream_app.settings import InputSettings


class _Line(NamedTuple):
    """A line as the decoders want their records."""

    topic: str
    value: bytes
    headers: tuple[()] = ()


class MixedDecoder:
    """Decodes batches of lines, each of which names its own type."""

    def __init__(self, settings: InputSettings) -> None:
        limits: dict[str, Any] = {
            "max_bytes": settings.max_record_bytes,
            "future_tolerance_seconds": settings.future_tolerance_seconds,
        }
        self._events, self._controls = Decoder({}, **limits), ControlDecoder(**limits)

    def decode(
        self, lines: Sequence[bytes], now_us: int
    ) -> tuple[Decoded[Event], Decoded[Control]]:
        """Every line is in exactly one of the lists; all rejections are in the first outcome."""
        decoded = self._events.decode([_Line("", line) for line in lines], now_us)
        # Control events are rare: they are looked for where the type was not an event's.
        unknown = [r.index for r in decoded.rejections if r.reason is Reason.UNKNOWN_TYPE]
        controls = self._controls.decode([_Line("", lines[index]) for index in unknown], now_us)
        controls.indices = [unknown[i] for i in controls.indices]
        rejections = {r.index: r for r in decoded.rejections if r.index not in controls.indices}
        for rejection in controls.rejections:
            if rejection.reason is not Reason.UNKNOWN_TYPE:  # a control event, but not a valid one
                index = unknown[rejection.index]
                rejections[index] = replace(rejection, index=index)
        decoded.rejections, controls.rejections = list(rejections.values()), []
        return decoded, controls
