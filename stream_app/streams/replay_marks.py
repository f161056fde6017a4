"""Which dead letters were put back on their topic, remembered in Redis.

    sa:{dlq}:<letter id>    string: `sending` or `sent`, and when

A letter is marked `sending` before its record is published, and `sent` when Kafka has it. Whoever
finds `sending` later knows that an earlier replay ended in between, and that nobody can tell
whether the record is on Kafka. Marks go by themselves when the letter itself has gone.

This is no part of the `StateStore`: workers know nothing of it, and it belongs to no partition. It
uses no command but GET and SET, within scripts, which the workers' Redis user may do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_app.events.instants import parse, to_rfc3339
from stream_app.settings import RedisSettings
from stream_app.streams.redis_calls import RedisCalls, Script
from stream_app.streams.topics import DEAD_LETTERS

KEPT_SECONDS = (DEAD_LETTERS.retention_days or 0) * 86_400
"""As long as letters are kept."""

_LOOK = Script("""
local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('GET', key) end
return found
""")
_BEGIN = Script("""
local begun = {}
for i, key in ipairs(KEYS) do
  local mark = redis.call('GET', key)
  if not mark or (ARGV[3] == '1' and string.sub(mark, 1, 7) == 'sending') then
    redis.call('SET', key, 'sending ' .. ARGV[1], 'EX', ARGV[2])
    begun[i] = 1
  else
    begun[i] = 0
  end
end
return begun
""")
_FINISH = Script("""
for _, key in ipairs(KEYS) do redis.call('SET', key, 'sent ' .. ARGV[1], 'EX', ARGV[2]) end
""")


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of one letter."""

    sent: bool
    """False: an earlier replay began, and nobody knows how it ended."""
    at_us: int


class ReplayMarks:
    """The marks under one Redis prefix. Letter ids are given and returned in the same order."""

    def __init__(self, settings: RedisSettings) -> None:
        self._calls = RedisCalls(settings)
        self._prefix = settings.prefix

    async def stop(self) -> None:
        """Disconnect."""
        await self._calls.stop()

    async def look(self, ids: Sequence[str]) -> list[Mark | None]:
        """The mark of each letter, None: it was never put back. Raises Unavailable."""
        if not ids:
            return []
        found = await self._calls.script(_LOOK, self._keys(ids), write=False)
        return [_mark(text) if text else None for text in found]

    async def begin(self, ids: Sequence[str], now_us: int, *, again: bool = False) -> list[bool]:
        """Mark letters as `sending`: True for those that are now the caller's to send. A letter
        that has a mark is not; `again` takes those that are `sending`. Never those that were sent.

        Raises
        ------
        Unavailable, OutcomeUnknown
            Redis did not answer; what is marked will be found as uncertain.
        """
        args = (to_rfc3339(now_us), KEPT_SECONDS, int(again))
        return [bool(one) for one in await self._calls.script(_BEGIN, self._keys(ids), *args)]

    async def finish(self, ids: Sequence[str], now_us: int) -> None:
        """Mark letters as `sent`. Raises as `begin` does."""
        await self._calls.script(_FINISH, self._keys(ids), to_rfc3339(now_us), KEPT_SECONDS)

    def _keys(self, ids: Sequence[str]) -> list[str]:
        return [f"{self._prefix}:{{dlq}}:{id_}" for id_ in ids]


def _mark(text: bytes) -> Mark:
    state, _, at = text.decode().partition(" ")
    return Mark(state == "sent", parse(at))
