"""Putting dead letters back on the topics that they came from.

The order of a replay: mark as `sending`, publish, mark as `sent`. A crash in between leaves marks
that say so (`replay_marks`). The record has the same event id as before, so that an account which
has had the event after all drops it, within the limits of its ring (docs/guarantees.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stream_app.events.control import EraseAccount, EraseContact
from stream_app.streams.dead_letters import Letter, Selection
from stream_app.streams.letterbox import Fate, Found, Letterbox
from stream_app.streams.ports import Clock, Publisher
from stream_app.streams.processor import Pipeline
from stream_app.streams.replay_marks import ReplayMarks
from stream_app.streams.topics import consumed

NOT_READ = "not_read"
"""Besides the decoder's reasons: workers do not read the topic that the letter names."""
INCOMPLETE = "incomplete"
"""The letter has not the whole record."""
NEVER_SENT = frozenset({NOT_READ, INCOMPLETE})
"""Not even with `force`."""

_AT_ONCE = 100
"""Letters at most that a crash leaves uncertain."""
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """A letter that would be a dead letter again."""

    id: str
    reason: str
    detail: str


@dataclass(slots=True)
class Tally:
    """What a replay did, or would do."""

    ready: int = 0
    """Letters to send; of them `sent` were sent."""
    sent: int = 0
    forced: int = 0
    """Of `ready`: those that would be dead letters again."""
    erasures: int = 0
    """Of `ready`: those that erase an account or a contact."""
    control_left: int = 0
    """Letters of `account-control` left alone because neither they nor that topic were named."""
    fates: Counter[Fate] = field(default_factory=Counter)
    """Letters left alone for what had become of them."""
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""
    refusals: list[Refusal] = field(default_factory=list)
    """The first of them."""
    uncertain: list[str] = field(default_factory=list)
    """Ids of the first of these."""
    found: set[str] = field(default_factory=set)
    """Of the ids that were asked for."""

    @property
    def uncertain_left(self) -> int:
        """Letters that were left alone because nobody knows whether they were sent."""
        return self.fates[Fate.UNCERTAIN]


class Redelivery:
    """Replays dead letters.

    Parameters
    ----------
    pipeline
        Whose decoders tell what would be refused today.
    again
        Send also letters of which nobody knows whether they were sent.
    force
        Send also letters that would be refused again.
    """

    def __init__(
        self,
        letterbox: Letterbox,
        publisher: Publisher,
        marks: ReplayMarks,
        pipeline: Pipeline,
        clock: Clock,
        *,
        again: bool = False,
        force: bool = False,
    ) -> None:
        self._letterbox, self._publisher, self._marks = letterbox, publisher, marks
        self._pipeline, self._clock = pipeline, clock
        self._again, self._force = again, force
        self._read = consumed(pipeline.settings.kafka.topic_prefix)

    async def plan(self, selection: Selection, stretches: Mapping[int, range]) -> Tally:
        """What `send` would do. Nothing is written."""
        return await self._go(selection, stretches, send=False)

    async def send(self, selection: Selection, stretches: Mapping[int, range]) -> Tally:
        """Put the selected letters back on their topics.

        Raises
        ------
        Unavailable
            Kafka or Redis did not answer. What was being sent is now uncertain.
        Incompatible
            Kafka will never take one of the records. Those sent along with it are uncertain.
        """
        return await self._go(selection, stretches, send=True)

    async def _go(
        self, selection: Selection, stretches: Mapping[int, range], *, send: bool
    ) -> Tally:
        tally = Tally()
        async for batch in self._letterbox.read(selection, stretches):
            if selection.ids:
                tally.found.update(found.letter.id for found in batch)
            ready = [found.letter for found in batch if self._is_ready(found, selection, tally)]
            tally.ready += len(ready)
            if send:
                for start in range(0, len(ready), _AT_ONCE):
                    tally.sent += await self._send(ready[start : start + _AT_ONCE])
        return tally

    def _is_ready(self, found: Found, selection: Selection, tally: Tally) -> bool:
        letter, fate = found.letter, found.fate
        if fate is Fate.UNCERTAIN and len(tally.uncertain) < _EXAMPLES:
            tally.uncertain.append(letter.id)
        if fate is not Fate.OPEN and not (fate is Fate.UNCERTAIN and self._again):
            tally.fates[fate] += 1
            return False
        # What erases is not swept along with the rest: there is no way back from it.
        if letter.topic == self._pipeline.control_topic and not selection.names(letter):
            tally.control_left += 1
            return False
        refusal = self._refusal(letter)
        if refusal is None:
            tally.erasures += self._erases(letter)
            return True
        if self._force and refusal.reason not in NEVER_SENT:
            tally.forced += 1
            return True
        tally.refused[refusal.reason] += 1
        if len(tally.refusals) < _EXAMPLES:
            tally.refusals.append(refusal)
        return False

    def _refusal(self, letter: Letter) -> Refusal | None:
        if letter.topic not in self._read:  # whoever may write dead letters may name any topic
            return Refusal(letter.id, NOT_READ, f"workers do not read {letter.topic}")
        if letter.cut:
            return Refusal(letter.id, INCOMPLETE, f"{letter.cut} was too large to be kept whole")
        pipeline, now_us = self._pipeline, self._clock.now_us()
        if letter.topic == pipeline.control_topic:
            rejections = pipeline.control_decoder.decode([letter], now_us).rejections
        else:
            rejections = pipeline.decoder.decode([letter], now_us).rejections
        return next((Refusal(letter.id, r.reason.value, r.detail) for r in rejections), None)

    def _erases(self, letter: Letter) -> bool:
        """Of a letter that would not be refused."""
        pipeline = self._pipeline
        if letter.topic != pipeline.control_topic:
            return False
        events = pipeline.control_decoder.decode([letter], self._clock.now_us()).events
        return any(isinstance(event, EraseAccount | EraseContact) for event in events)

    async def _send(self, letters: Sequence[Letter]) -> int:
        ids = [letter.id for letter in letters]
        begun = await self._marks.begin(ids, self._clock.now_us(), again=self._again)
        mine = [letter for letter, one in zip(letters, begun, strict=True) if one]
        if mine:
            await self._publisher.publish([letter.original() for letter in mine])
            await self._marks.finish([letter.id for letter in mine], self._clock.now_us())
        return len(mine)
