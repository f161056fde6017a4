"""Loading a partition from Redis: the next chunk is asked for while one is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from stream_app.errors import Unavailable
from stream_app.settings import RedisSettings
from stream_app.streams.redis_store import RedisStore


class Calls:
    """Answers to HSCAN, each when it is let through."""

    def __init__(self, answers: list[Any]) -> None:
        self._answers = iter(answers)
        self.asked: list[bytes] = []
        self.may = asyncio.Semaphore(0)

    async def call(self, _key: str, *command: Any) -> Any:
        self.asked.append(command[2])
        await self.may.acquire()
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def store_of(calls: Calls) -> RedisStore:
    store = RedisStore(RedisSettings())
    store._calls = calls  # type: ignore[assignment]
    return store


@pytest.fixture
def complaints() -> Iterator[list[dict[str, Any]]]:
    """What the event loop says of tasks that nobody has looked after."""
    found: list[dict[str, Any]] = []
    yield found
    assert found == []


ONE, TWO, NONE = (b"7", [b"a", b"1"]), (b"9", [b"b", b"2"]), (b"0", [])


async def test_the_next_chunk_is_asked_for_before_one_is_given() -> None:
    calls = Calls([ONE, (b"8", []), TWO, NONE])
    found = []
    calls.may.release()
    async for chunk in store_of(calls).load(3):
        await asyncio.sleep(0)
        found.append((chunk, calls.asked[-1]))
        for _ in range(2):
            calls.may.release()
    assert found == [([("a", b"1")], b"7"), ([("b", b"2")], b"9")]
    assert calls.asked == [b"0", b"7", b"8", b"9"]


async def test_an_error_comes_after_what_was_found_before_it() -> None:
    calls = Calls([ONE, Unavailable("away")])
    loading = store_of(calls).load(3)
    for _ in range(2):
        calls.may.release()
    assert await anext(loading) == [("a", b"1")]
    with pytest.raises(Unavailable):
        await anext(loading)


@pytest.mark.parametrize("answer", [None, TWO, Unavailable("away")])
async def test_who_leaves_early_leaves_nothing_behind(
    answer: Any, complaints: list[dict[str, Any]]
) -> None:
    """Whether the next answer is still to come, has come, or was an error."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    calls = Calls([ONE, answer])
    loading = store_of(calls).load(3)
    calls.may.release()
    assert await anext(loading) == [("a", b"1")]
    if answer is not None:
        calls.may.release()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await loading.aclose()  # type: ignore[attr-defined]
    assert asyncio.all_tasks() == {asyncio.current_task()}
